"""Taking over turbo.json: tasks, what they need, read and write, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.importing.imported import Imported
from buildnet.pool.importing.turbo import import_turbo
from buildnet.pool.workspace import BUILD, Task, TaskId, WorkspaceError

Shop = Callable[..., Path]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Write a workspace of two packages, ``web`` needs ``core``; files: path -> text or object."""

    def make(turbo: object, files: dict[str, Any] | None = None, **scripts: str) -> Path:
        scripts = {"build": "tsc", "test": "vitest run", **scripts}
        contents: dict[str, Any] = {
            "package.json": {"name": "shop", "workspaces": ["packages/*"]},
            "turbo.json": turbo,
            ".gitignore": "dist\n",
            "packages/core/package.json": {"name": "core", "scripts": scripts},
            "packages/web/package.json": {
                "name": "web", "scripts": scripts, "dependencies": {"core": "*"},
            },
            **(files or {}),
        }  # fmt: skip
        for path, content in contents.items():
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            text = content if isinstance(content, str) else json.dumps(content, indent=1)
            (tmp_path / path).write_text(text)
        return tmp_path

    return make


def imported(root: Path) -> Imported:
    """Import, and see that the file says the same."""
    found = import_turbo(root)
    (root / "again.yaml").write_text(write_workspace(found.annotated()))
    again = read_workspace(root / "again.yaml")
    (root / "again.yaml").unlink()
    assert again.packages == found.workspace.packages
    return found


def task(found: Imported, package: str, name: str = BUILD) -> Task:
    return found.workspace.task(TaskId(package, name))


def told(found: Imported) -> list[str]:
    return [str(one) for one in found.findings]


def test_tasks_with_what_they_need_and_write(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"dependsOn": ["^build"], "outputs": ["dist/**", "types"]},
            "test": {"dependsOn": ["build"], "outputs": ["coverage/**"]},
            "lint": {},
            "deploy": {},
        }
    }
    found = imported(shop(turbo, lint="eslint ."))
    core, web = TaskId("core", BUILD), TaskId("web", BUILD)
    assert list(found.workspace.packages["web"].tasks) == [BUILD, "test", "lint"]
    assert task(found, "web").depends_on == (core,)
    assert task(found, "web").outputs == ("packages/web/dist/**", "packages/web/types/**")
    test = task(found, "web", "test")
    assert (test.command, test.depends_on) == ("vitest run", (web, core))
    assert test.outputs == ("packages/web/coverage/**",)
    lint = task(found, "web", "lint")
    assert (lint.command, lint.depends_on, lint.outputs) == ("eslint .", (core,), ())
    assert lint.env["npm_lifecycle_event"] == "lint"
    assert not found.findings
    assert "turbo.json" not in task(found, "web").sources
    assert "turbo.json" in found.workspace.definition_files


def test_outputs_that_are_not_known_are_told_and_no_others(shop: Shop) -> None:
    def notes(build: dict[str, Any]) -> list[str]:
        # Nobody can tell what this command writes.
        files = {".gitignore": ""}
        found = imported(shop({"tasks": {"build": build}}, files, build="./make.sh"))
        return [each for each in found.workspace.notes if "add outputs" in each]

    assert notes({"outputs": ["made/**"]}) == notes({"outputs": []}) == []
    assert [each.partition(":")[0] for each in notes({})] == ["packages/core", "packages/web"]


def test_version_1_with_comments_and_its_variables(shop: Shop) -> None:
    turbo = """{
      "pipeline": {  // of 2022
        "build": {"dependsOn": ["^build", "$MODE"], "dotEnv": [".env"], "outputs": ["dist/**"],},
      },
      "globalDependencies": ["tsconfig.json", "$TURBO_ROOT$/x.txt"], "globalEnv": ["CI", "PATH"],
    }"""
    found = imported(shop(turbo))
    build = task(found, "core")
    assert build.env_inherit == ("CI", "MODE")
    assert build.sources[-3:] == ("tsconfig.json", "x.txt", "packages/core/.env")
    assert list(found.workspace.packages["core"].tasks) == [BUILD]
    assert not found.findings


def test_a_package_says_more_of_its_own_tasks(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"dependsOn": ["^build"], "outputs": ["dist/**"], "env": ["A"]},
            "core#build": {"outputs": ["lib/**"]},
            "lint": {},
        }
    }
    own = {
        "extends": ["//"],
        "tasks": {
            "build": {"outputs": ["$TURBO_EXTENDS$", "out/**"], "env": ["B"]},
            "lint": {"extends": False},
        },
    }
    found = imported(shop(turbo, {"packages/web/turbo.json": own}, lint="eslint"))
    assert task(found, "core").outputs == ("packages/core/lib/**", "packages/core/dist/**")
    assert task(found, "core").env_inherit == ()
    assert task(found, "web").outputs == ("packages/web/dist/**", "packages/web/out/**")
    assert task(found, "web").env_inherit == ("B",)
    assert "lint" in found.workspace.packages["core"].tasks
    assert "lint" not in found.workspace.packages["web"].tasks


def test_what_comes_first_in_its_own_package(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"dependsOn": ["^build", "prepare"], "outputs": ["dist/**"]},
            "prepare": {"dependsOn": ["codegen", "client"]},
            "codegen": {"outputs": ["gen/**"]},
            "client": {"cache": False},
            "lint": {"dependsOn": ["client", "^lint"]},
        }
    }
    found = imported(shop(turbo, codegen="gen > gen/a.ts", client="prisma", lint="eslint"))
    core, codegen = TaskId("core", BUILD), TaskId("web", "codegen")
    build = task(found, "web")
    assert (build.command, build.depends_on) == ("prisma && tsc", (codegen, core))
    assert task(found, "web", "codegen").outputs == ("packages/web/gen/**",)
    lint = task(found, "web", "lint")
    assert (lint.command, lint.depends_on) == ("prisma && eslint", (TaskId("core", "lint"), core))
    assert [one.line for one in found.findings] == [23]  # client is not cached


def test_tasks_of_named_packages_come_first(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"outputs": ["dist/**"]},
            "core#build": {"dependsOn": ["web#build", "shared#build"]},
            "other#build": {"dependsOn": ["web#build", "core#lint", "web#nothing"]},
            "lint": {},
            "//#format": {},
        }
    }
    other = {"packages/other/package.json": {"name": "other", "scripts": {"build": "x"}}}
    found = imported(shop(turbo, other, lint="eslint"))
    assert task(found, "other").depends_on == (TaskId("web", BUILD), TaskId("core", "lint"))
    assert task(found, "core").depends_on == (TaskId("web", BUILD),)
    assert task(found, "web").depends_on == ()  # which turbo.json does not ask for
    assert told(found) == [
        "turbo.json:11: there is no package 'shared'",
        "turbo.json:22: //#format is a task of the root, which is no package",
    ]
    assert all(one.hint for one in found.findings)


def test_a_circle_is_opened_and_told(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"dependsOn": ["^build"]},
            "core#build": {"dependsOn": ["web#build"]},
        }
    }
    found = imported(shop(turbo))
    needs = {one: task(found, one).depends_on for one in ("core", "web")}
    assert sum(map(len, needs.values())) == 1
    assert len(found.findings) == 1
    assert "which needs it already" in told(found)[0]


def test_listed_inputs_leave_out_only_what_is_another_tasks(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"inputs": ["src/**", "package.json", "!**/*.md"], "outputs": ["dist/**"]},
            "test": {"inputs": ["$TURBO_DEFAULT$", "!README.md", "../../vitest.base.ts"]},
            "size": {"inputs": ["dist/**"]},
        }
    }
    files = {f"packages/core/{one}/a.ts": "" for one in ("src", "test", "bin", "dist")}
    found = imported(shop(turbo, files, size="size-limit"))
    build = task(found, "core")
    assert build.default_sources
    assert build.sources[-2:] == ("!packages/core/**/*.md", "!packages/core/test/**")
    assert task(found, "core", "test").sources[-2:] == (
        "!packages/core/README.md", "vitest.base.ts",
    )  # fmt: skip
    assert task(found, "core", "size").depends_on == (build.id,)
    assert [one.line for one in found.findings] == [5, 22]
    assert "but test/, not only those listed" in told(found)[0]


def test_outputs_that_cannot_be(shop: Shop) -> None:
    turbo = {
        "tasks": {
            "build": {"outputs": [".next/**", "!.next/cache/**", "!**/*.map", "build.log"]},
            "types": {"outputs": [".next/types/**", "node_modules/x/**", "../../out/**"]},
        }
    }
    found = imported(shop(turbo, types="tsc"))
    build = task(found, "core")
    assert build.command == "tsc && rm -rf .next/cache"
    assert build.outputs == ("packages/core/.next/**", "packages/core/build.log{,/**}")
    assert task(found, "core", "types").outputs == ("out/**",)
    assert [one.line for one in found.findings] == [7, 13, 13, 14, 15]


def test_tasks_that_do_not_end_or_are_not_kept(shop: Shop) -> None:
    turbo = {
        "remoteCache": {"enabled": True},
        "ui": "tui",
        "tasks": {
            "build": {"outputs": ["dist/**"], "env": ["NEXT_*", "!X"], "strange": 1},
            "test": {"cache": False},
            "dev": {"cache": False, "persistent": True},
            "login": {"interactive": True},
            "clean": {"cache": False, "dependsOn": ["^clean"]},
        },
    }
    found = imported(shop(turbo, dev="vite", login="x", clean="rm -rf dist"))
    assert list(found.workspace.packages["core"].tasks) == [BUILD, "test"]
    text = "\n".join(told(found))
    for words in ("'remoteCache' is not", "'NEXT_*' stands", "'!X' stands", "'strange' is not",
                  "test runs every time", "dev does not end", "login does not end",
                  "clean is not cached"):  # fmt: skip
        assert text.count(words) == 1, words
    assert len(found.findings) == 8


def test_a_build_of_another_name(shop: Shop) -> None:
    turbo = {"tasks": {"compile": {"dependsOn": ["^compile"]}, "build": {}, "lint": {}}}
    manifest = {
        "name": "shop",
        "workspaces": ["packages/*"],
        "scripts": {"compile": "turbo run compile"},
    }
    found = imported(shop(turbo, {"package.json": manifest}, compile="tsc -b", lint="eslint"))
    assert task(found, "web").command == "tsc -b"
    assert task(found, "web").depends_on == (TaskId("core", BUILD),)
    assert list(found.workspace.packages["web"].tasks) == [BUILD, "lint"]
    assert told(found) == ["turbo.json:8: build is left out: packages are built by compile"]


def test_there_is_nothing_to_import(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"has no turbo\.json"):
        import_turbo(tmp_path)
    root = shop({"tasks": {}})
    (root / "package.json").unlink()
    with pytest.raises(WorkspaceError, match=r"has no package\.json"):
        import_turbo(root)
