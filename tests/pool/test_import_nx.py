"""Taking over nx.json, project.json and the key nx of package.json."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.importing.imported import Imported
from buildnet.pool.importing.nx import import_nx
from buildnet.pool.workspace import BUILD, Task, TaskId, WorkspaceError


def write(root: Path, files: dict[str, Any]) -> Path:
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        (root / path).write_text(text)
    return root


def imported(root: Path) -> Imported:
    """Import, and see that the file says the same."""
    found = import_nx(root)
    (root / "again.yaml").write_text(write_workspace(found.annotated()))
    again = read_workspace(root / "again.yaml")
    (root / "again.yaml").unlink()
    assert again.packages == found.workspace.packages
    return found


def task(found: Imported, package: str, name: str = BUILD) -> Task:
    return found.workspace.task(TaskId(package, name))


def told(found: Imported) -> list[str]:
    return [f"{one.file}: {one.message}" for one in found.findings]


def test_outputs_that_are_not_known_are_told_and_no_others(tmp_path: Path) -> None:
    def notes(build: dict[str, Any]) -> list[str]:
        files = {
            "nx.json": {"targetDefaults": {"build": {"cache": True, **build}}},
            "package.json": {"name": "shop", "workspaces": ["packages/*"]},
            # Nobody can tell what this command writes.
            "packages/core/package.json": {"name": "core", "scripts": {"build": "./make.sh"}},
        }
        found = imported(write(tmp_path, files))
        return [each for each in found.workspace.notes if "add outputs" in each]

    assert notes({"outputs": ["{projectRoot}/made"]}) == notes({"outputs": []}) == []
    assert [each.partition(":")[0] for each in notes({})] == ["packages/core"]


def test_packages_with_scripts(tmp_path: Path) -> None:
    nx = {
        "namedInputs": {
            "shared": ["{workspaceRoot}/tsconfig.json", {"env": "CI"}, {"runtime": "node -v"}],
            "default": ["shared", "{projectRoot}/**/*", "!{projectRoot}/**/*.md"],
            "production": ["default", "!{projectRoot}/tests/**/*"],
        },
        "targetDefaults": {
            "build": {
                "cache": True,
                "dependsOn": ["^build"],
                "inputs": ["production", "^production"],
                "outputs": ["{projectRoot}/dist", "{workspaceRoot}/out/{projectName}"],
            },
            "lint": {"cache": True, "dependsOn": ["^lint", "core:build"]},
            "publish": {"dependsOn": ["build"]},
        },
    }
    scripts = {"build": "tsc", "test": "vitest", "lint": "eslint", "publish": "p", "dev": "d"}
    files = {
        "nx.json": nx,
        "package.json": {"name": "shop", "workspaces": ["packages/*"]},
        "packages/core/package.json": {"name": "core", "scripts": scripts},
        "packages/web/package.json": {
            "name": "web",
            "scripts": scripts,
            "dependencies": {"core": "*"},
            "nx": {
                "includedScripts": ["build", "lint"],
                "targets": {"lint": {"dependsOn": [{"target": "build", "projects": "self"}]}},
                "namedInputs": {"shared": ["shared", "default"]},
            },
        },
    }
    found = imported(write(tmp_path, files))
    core, web = task(found, "core"), task(found, "web")
    assert list(found.workspace.packages["core"].tasks) == [BUILD, "test", "lint"]
    assert list(found.workspace.packages["web"].tasks) == [BUILD, "lint"]
    assert web.depends_on == (core.id,)
    assert core.outputs == ("packages/core/dist/**", "out/core/**")
    assert core.env_inherit == ("CI",)
    assert core.sources[-3:] == (
        "tsconfig.json", "!packages/core/**/*.md", "!packages/core/tests/**/*",
    )  # fmt: skip
    assert "tsconfig.json" not in web.sources
    assert task(found, "core", "lint").depends_on == (core.id,)
    assert task(found, "web", "lint").depends_on == (web.id, core.id)
    assert told(found) == ["nx.json: build: the input {'runtime': 'node -v'} is not taken over"]
    assert found.findings[0].line == 8


def test_targets_of_several_projects_come_first(tmp_path: Path) -> None:
    def package(name: str, *before: str) -> dict[str, Any]:
        targets = {"build": {"dependsOn": [{"target": "build", "projects": [*before]}]}}
        return {"name": name, "scripts": {"build": "tsc"}, "nx": {"targets": targets}}

    files = {
        "nx.json": {"targetDefaults": {"build": {"cache": True}}},
        "package.json": {"name": "shop", "workspaces": ["packages/*"]},
        "packages/a/package.json": package("a"),
        "packages/b/package.json": package("b"),
        "packages/c/package.json": package("c", "a", "b"),
    }
    found = imported(write(tmp_path, files))
    assert task(found, "c").depends_on == (TaskId("a", BUILD), TaskId("b", BUILD))


def test_projects_without_a_package_json(tmp_path: Path) -> None:
    project = {
        "name": "tool",
        "implicitDependencies": ["lib", "gone"],
        "targets": {
            "build": {
                "executor": "nx:run-commands",
                "outputs": ["{options.outputPath}", "{options.unknown}"],
                "options": {"command": "make {projectName}", "cwd": "{projectRoot}"},
                "configurations": {"production": {"outputPath": "dist/tool"}},
                "defaultConfiguration": "production",
            },
            "check": {
                "cache": True,
                "executor": "nx:run-commands",
                "options": {"commands": ["true", {"command": "echo 1 > x"}], "env": {"A": "b c"}},
            },
            "bundle": {"cache": True, "executor": "@nx/webpack:webpack"},
            "serve": {"cache": True, "continuous": True, "command": "vite"},
        },
    }
    files = {
        "nx.json": {
            "plugins": ["@nx/vite/plugin", {"plugin": "@nx/eslint/plugin"}],
            "targetDefaults": {"@nx/webpack:webpack": {"dependsOn": ["build"]}},
        },
        "package.json": {"name": "root"},
        "apps/tool/project.json": project,
        "libs/lib/project.json": {"targets": {}},
    }
    found = imported(write(tmp_path, files))
    build, check, bundle = (task(found, "tool", one) for one in (BUILD, "check", "bundle"))
    assert (build.path, build.command) == ("apps/tool", "make tool")
    assert build.outputs == ("dist/tool/**",)
    assert build.depends_on == (TaskId("lib", BUILD),)
    assert task(found, "lib").command is None
    assert check.command is not None
    subprocess.run(["sh", "-ec", check.command], cwd=tmp_path / "apps/tool", check=True)
    assert (tmp_path / "x").read_text() == "1\n"
    assert (bundle.command, bundle.isolation) == ("nx run tool:bundle", "workspace")
    assert bundle.depends_on[0] == build.id
    assert "serve" not in found.workspace.packages["tool"].tasks
    text = "\n".join(told(found))
    for words in (
        "@nx/vite/plugin infers", "@nx/eslint/plugin infers", "no project 'gone'",
        "@nx/webpack:webpack runs in nx alone", "serve does not end", "tool: what it needs",
    ):  # fmt: skip
        assert words in text
    assert all(one.hint and one.line for one in found.findings)


def test_projects_of_two_names_without_build_scripts(tmp_path: Path) -> None:
    files = {
        "nx.json": {},
        "package.json": {"workspaces": ["libs/*"], "scripts": {"build": "nx run-many -t build"}},
        "libs/a/package.json": {"name": "@x/a", "dependencies": {"@x/b": "*"}},
        "libs/a/project.json": {
            "name": "a",
            "implicitDependencies": ["c"],
            "targets": {"build": {"command": "make", "dependsOn": ["b:gen"]}},
        },
        "libs/b/package.json": {"name": "@x/b"},
        "libs/b/project.json": {
            "name": "b",
            "targets": {"gen": {"cache": True, "command": "gen", "outputs": ["{projectRoot}/g"]}},
        },
        "libs/c/package.json": {"name": "@x/c"},
        "libs/c/project.json": {"name": "c"},
    }
    found = imported(write(tmp_path, files))
    assert sorted(found.workspace.packages) == ["@x/a", "@x/b", "@x/c"]
    assert found.workspace.packages["@x/a"].dependencies == ("@x/b", "@x/c")
    assert task(found, "@x/a").depends_on[0] == TaskId("@x/b", "gen")
    assert task(found, "@x/b", "gen").outputs == ("libs/b/g/**",)
    assert not found.findings


def test_there_is_nothing_to_import(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match=r"has no nx\.json"):
        import_nx(tmp_path)
    with pytest.raises(WorkspaceError, match="has no project"):
        import_nx(write(tmp_path, {"nx.json": {}}))
    with pytest.raises(WorkspaceError, match=r"a/project\.json:1: must be a JSON object"):
        import_nx(write(tmp_path, {"a/project.json": []}))
