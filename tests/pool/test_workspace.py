"""buildnet.yaml: what it means, every error with its line, and writing it again."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from buildnet.mesh.errors import NotFoundError
from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.requirements import Requirements
from buildnet.pool.workspace import (
    BUILD,
    Install,
    Task,
    TaskId,
    Workspace,
    WorkspaceError,
    find_root,
    load_workspace,
)

SHOP = """\
workspace: shop
packages:
  - name: shared
    path: packages/shared
  - name: core
    path: packages/core
    build_cmd: tsc -b
    dependencies: [shared]
    sources: ["packages/core/src/**/*.ts", "{path}/package.json"]
    output_dir: "{path}/dist"
    outputs: ["{path}/*.tsbuildinfo"]
    tools: [node]
    env: {NODE_ENV: production, VERSION: 1.10, LIST: "${name} {name}"}
    env_inherit: [CI]
    cores: 2
    memory: 1.5 GB
    timeout: 10m
    exports: ["{path}/src/**"]
    isolation: staged
    path_prepend: [node_modules/.bin]
    tasks:
      test:
        {cmd: npm test, depends_on: [build], shards: auto, env: {NODE_ENV: test},
         cores: 1, disk: 1 GB, processes: 64, timeout: 90}
      lint: eslint .
hooks: {pre_build: echo before, post_build: echo after}
"""

Read = Callable[[str], Workspace]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read a text as the definition of a workspace with some directories."""
    for path in ("packages/core/src", "packages/shared", "packages/web"):
        (tmp_path / path).mkdir(parents=True)

    def workspace(text: str) -> Workspace:
        (tmp_path / "buildnet.yaml").write_text(text)
        return load_workspace(tmp_path)

    return workspace


def test_all_keys(read: Read, tmp_path: Path) -> None:
    shop = read(SHOP)
    assert (shop.name, shop.root, shop.file) == ("shop", tmp_path, tmp_path / "buildnet.yaml")
    assert (shop.pre_build, shop.post_build) == ("echo before", "echo after")
    assert shop.definition_files == ("buildnet.yaml",)
    assert shop.packages["core"].dependencies == ("shared",)
    shared, core, test, lint = shop.tasks()
    assert shared == Task("shared", BUILD, None, "packages/shared")
    assert shared.shows_sources
    assert core == Task(
        package="core",
        name=BUILD,
        command="tsc -b",
        path="packages/core",
        depends_on=(shared.id,),
        sources=("packages/core/src/**/*.ts", "packages/core/package.json"),
        default_sources=False,
        exports=("packages/core/src/**",),
        outputs=("packages/core/dist", "packages/core/*.tsbuildinfo"),
        tools=("node",),
        env={"NODE_ENV": "production", "VERSION": "1.10", "LIST": "${name} core"},
        env_inherit=("CI",),
        path_entries=("node_modules/.bin",),
        requirements=Requirements(cores=2, memory_bytes=3 << 29, timeout_s=600),
        isolation="staged",
    )
    assert not core.shows_sources
    assert (test.id, str(test.id), str(core.id)) == (TaskId("core", "test"), "core#test", "core")
    assert test.depends_on == (core.id, shared.id)
    assert test.requirements == Requirements(1, 3 << 29, 1 << 30, 64, 90)
    assert (test.shards, test.outputs) == ("auto", ())
    assert test.env == {**core.env, "NODE_ENV": "test"}
    assert test.sources == core.sources
    assert (lint.command, lint.depends_on) == ("eslint .", (shared.id,))
    assert lint.requirements == core.requirements
    assert shop.outputs == core.outputs


def test_lookups(read: Read) -> None:
    shop = read(SHOP)
    assert shop.task(TaskId("core", "lint")).command == "eslint ."
    with pytest.raises(NotFoundError, match="no package 'coer'") as caught:
        shop.package("coer")
    assert caught.value.hint == "did you mean 'core'?"
    with pytest.raises(NotFoundError, match="core has no task 'tests'"):
        shop.task(TaskId("core", "tests"))


def test_the_template_form(read: Read) -> None:
    text = """\
name: core
description: A template
packages:
  - name: "{name}"
    path: "packages/{name}"
    build_cmd: build {name} ${name}
    output_dir: "packages/{name}/dist"
    tasks: {test: "test {path}"}
hooks: {pre_build: lint}
"""
    workspace = read(text)
    assert (workspace.name, workspace.description) == ("core", "A template")
    build, test = workspace.tasks()
    assert (build.package, build.path) == ("core", "packages/core")
    assert build.command == "build core ${name}"
    assert build.outputs == ("packages/core/dist",)
    assert test.command == "test packages/core"


def test_default_and_extra_sources_and_exports(read: Read) -> None:
    build = read(
        "workspace: w\npackages:\n- {name: a, path: ./packages/core/, build_cmd: x, "
        "extra_sources: ['tsconfig.json', 'scripts/', '!**/*.md'], exports: sources}\n"
    ).task(TaskId("a", BUILD))
    assert build.path == "packages/core"
    assert build.default_sources
    assert build.sources == ("tsconfig.json", "scripts/**", "!**/*.md")
    assert build.shows_sources
    assert build.exports == ()


def test_the_root_as_a_package(read: Read) -> None:
    build = read("workspace: w\npackages:\n- {name: a, path: ., build_cmd: x, outputs: [dist]}\n")
    assert build.task(TaskId("a", BUILD)).path == ""


def errors(read: Read, text: str) -> list[tuple[int | None, str, str | None]]:
    with pytest.raises(WorkspaceError) as caught:
        read(text)
    assert caught.value.exit_code == 2
    assert caught.value.code == "WORKSPACE"
    for problem in caught.value.problems[:20]:
        assert str(problem) in caught.value.message
    return [(problem.line, problem.message, problem.hint) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("package", "message", "hint"),
    [
        ("build_cmd: [tsc]", "core.build_cmd: must be one command line, not a list", "&&"),
        ("build_cmd: ''", "core.build_cmd: the command is empty", "remove"),
        ("build_cmd: 3", "core.build_cmd: must be text, not a number", "quotes"),
        ("sources: src", "core.sources: must be a list, not text", "write [src]"),
        ("sources: [1]", "core.sources[0]: must be text, not a number", "quotes"),
        ("soruces: []", "core.soruces: unknown key", "did you mean 'sources'?"),
        ("tasks: {t: {cdm: x, cmd: y}}", "core.tasks.t.cdm: unknown key", "'cmd'?"),
        ("tasks: {t: {}}", "core.tasks.t: 'cmd' is missing", "cmd: …"),
        ("tasks: {t: {cmd: x, depends_on: [buil]}}", "core#t depends on 'buil'", "'build'?"),
        ("tasks: {t: {cmd: x, depends_on: [t]}}", "core#t depends on itself", "build"),
        ("tasks: {build: x}", "core: build is no task here", "build_cmd"),
        ("tasks: {t: {cmd: x, shards: 0}}", "core.tasks.t.shards: must be a number from 1", ""),
        ("env: {1A: x}", "core.env.1A: '1A' cannot name an environment variable", "letters"),
        ("env: {PATH: x}", "core.env.PATH: PATH is made from the tools", "path_prepend"),
        ("env: {A: [x]}", "core.env.A: must be text, not a list", ""),
        ("env_inherit: [A-B]", "core.env_inherit[0]: 'A-B' cannot name", "letters"),
        ("timeout: soon", "core.timeout: ", "10m"),
        ("timeout: 0", "core.timeout: ", ""),
        ("timeout: yes", "core.timeout: must be a duration", "10m"),
        ("cores: 0", "core.cores: must be a whole number from 1", "remove the key"),
        ("cores: 1.5", "core.cores: must be a whole number from 1", "remove the key"),
        ("processes: many", "core.processes: must be a whole number", "remove the key"),
        ("memory: lots", "core.memory: 'lots' is not a size", "2 GB"),
        ("memory: 0 GB", "core.memory: must be more than 0", "remove the key"),
        ("memory: yes", "core.memory: must be a size", "2 GB"),
        ("disk: 2 GX", "core.disk: '2 GX' has the unknown unit 'GX'", "mean"),
        ("tasks: {t: {cmd: x, core: 2}}", "core.tasks.t.core: unknown key", "'cores'?"),
        ("network: maybe", "core.network: must be true or false, not text", ""),
        ("isolation: none", "core.isolation: must be 'strict', 'staged' or 'workspace'", ""),
        ("exports: all", "core.exports: must be a list of patterns", "sources"),
        ("dependencies: [core]", "core depends on itself", "remove"),
        ("dependencies: [wbe]", "core depends on 'wbe', which is no package", "'web'?"),
        ("sources: [../x]", "'../x' leads out of the workspace", "root"),
        ("sources: ['!/x/**']", "'!/x/**' is not relative to the workspace", "root"),
        ("sources: ['a\\b']", "is not a pattern", "'/'"),
        ("sources: ['{a,../b}/x']", "leads out of the workspace", ""),
        ("sources: ['{1..99999}']", "more than 10,000", ""),
        ("outputs: ['~/x'], build_cmd: x", "'~/x' is not relative", ""),
        ("outputs: ['C:/x'], build_cmd: x", "'C:/x' is not relative", ""),
        ("outputs: [''], build_cmd: x", "'' is not a path", ""),
        ("outputs: ['!x'], build_cmd: x", "outputs cannot exclude", ""),
        ("output_dir: packages/core/dist", "core has outputs but no build_cmd", "build_cmd"),
        ("output_dir: packages/core, build_cmd: x", "hold the sources of its own package", "dist"),
        ("output_dir: packages, build_cmd: x", "hold the sources of", "dist"),
        ("output_dir: ., build_cmd: x", "hold the sources of", "dist"),
        ("output_dir: packages/web, build_cmd: x", "hold the sources of package web", "dist"),
        ("outputs: [packages/web/dist], build_cmd: x", "also an output of web", "of its own"),
        ("outputs: [packages/web/dist/x/**], build_cmd: x", "overlaps with 'packages/web/d", "own"),
        (
            "outputs: ['packages/*/dist/*.js'], build_cmd: x",
            "overlaps with 'packages/*/dist",
            "own",
        ),
        ("link_escape: x", "core.link_escape: unknown key", "known"),
        ("sources: [link/x]", "'link/x' leads out of the workspace through a symbolic", "copy"),
        ("tools: [a b]", "core.tools[0]: 'b' is no version requirement", "write >=20"),
        ("tools: ['a#']", "core.tools[0]: 'a#' cannot be a name", ""),
        ('labels: ["a\\u202eb"]', r"core.labels[0]: 'a\u202eb' cannot be a name", "turn text"),
        ('labels: ["a\\u200bb"]', r"'a\u200bb' cannot be a name", "can't be seen"),
        ('tasks: {"t\\u202e": {cmd: 5}}', r"core.tasks.t\u202e", ""),
    ],
)
def test_errors_of_a_package(
    read: Read, tmp_path: Path, package: str, message: str, hint: str
) -> None:
    (tmp_path / "link").symlink_to("/usr")
    text = (
        "workspace: w\npackages:\n"
        "  - {name: web, path: packages/web, build_cmd: x, output_dir: packages/web/dist}\n"
        f"  - {{name: core, path: packages/core, {package}}}\n"
    )
    found = errors(read, text)
    assert any(message in problem for _, problem, _ in found), found
    line, _, said = next(one for one in found if message in one[1])
    assert line in {3, 4}  # of two outputs that meet, either may be named
    assert hint in (said or "")


def test_a_link_that_leads_out_can_be_excluded(read: Read, tmp_path: Path) -> None:
    """It is the remedy that its own error names."""
    (tmp_path / "packages/core").mkdir(parents=True, exist_ok=True)
    (tmp_path / "packages/core/link").symlink_to("/usr")
    package = "{name: core, path: packages/core, extra_sources: ['!packages/core/link']}"
    workspace = read(f"workspace: w\npackages:\n- {package}\n")
    assert workspace.packages["core"].tasks["build"].sources == ("!packages/core/link",)


def test_errors_of_the_file(read: Read) -> None:
    package = "packages:\n  - {name: core, path: packages/core}\n"
    assert errors(read, "")[0][:2] == (1, "the file is empty")
    assert errors(read, "- a\n")[0][:2] == (1, "the file must be a mapping (key: value)")
    assert errors(read, package)[0][:2] == (1, "'workspace' is missing")
    assert errors(read, f"workspace: a\nname: b\n{package}")[0][0] == 2
    assert errors(read, "workspace: w\n")[0][1] == "'packages' is missing"
    assert errors(read, "workspace: w\npackages: []\n")[0][:2] == (2, "there are no packages")
    assert errors(read, "workspace: w\npackages: {a: 1}\n")[0][2] == "begin each item with '- '"
    assert errors(read, f"workspace: a b\n{package}")[0][2] == "leave out spaces, '#' and ','"
    assert errors(read, f"workspace: w\nhooks: {{pre: x}}\n{package}")[0][1] == (
        "hooks.pre: unknown key"
    )
    assert errors(read, f"workspace: w\ninstall: nmp\n{package}")[0][1] == (
        "install: must be 'npm', 'yarn' or 'pnpm', not 'nmp'"
    )
    assert errors(read, f"workspace: w\ninstall: npm\n{package}")[0][:2] == (
        2,
        "install: there is no package.json at the root",
    )
    assert errors(read, "a: [1\n")[0][0] == 2
    assert errors(read, "workspace: w\nworkspace: w\n")[0][:2] == (
        2,
        "duplicate key 'workspace', already at line 1",
    )


def test_paths_of_packages(read: Read, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "outside").symlink_to("/usr")
    found = errors(
        read,
        "workspace: w\npackages:\n"
        "- {name: a, path: packages/cor}\n"
        "- {name: b, path: /packages/core}\n"
        f"- {{name: c, path: {tmp_path}/packages/core}}\n"
        "- {name: d, path: packages/../packages/core}\n"
        "- {name: e, path: file}\n"
        "- {name: f, path: outside/lib}\n"
        "- {name: a, path: packages/web}\n",
    )
    assert [(line, message.split("'")[-1].strip(), hint) for line, message, hint in found] == [
        (3, "does not exist", "did you mean 'core'?"),
        (4, "is not relative to the workspace", "paths are relative to the root of the workspace"),
        (5, "is not relative to the workspace", "write 'packages/core'"),
        (
            6,
            "leads out of the workspace or back into it",
            "paths are relative to the root, without '..'",
        ),
        (7, "is not a directory", "name the directory that holds the package"),
        (
            8,
            "leads out of the workspace through a symbolic link",
            "copy what it leads to into the workspace",
        ),
        (9, ", the first is at line 3", "give it a name of its own"),
    ]  # fmt: skip


def test_cycles_are_named(read: Read) -> None:
    found = errors(
        read,
        "workspace: w\npackages:\n"
        "- {name: shared, path: packages/shared}\n"
        "- name: core\n  path: packages/core\n  dependencies:\n  - shared\n  - web\n"
        "- {name: web, path: packages/web, dependencies: [core]}\n",
    )
    assert [one[:2] for one in found] == [(8, "dependency cycle: core -> web -> core")]
    found = errors(
        read,
        "workspace: w\npackages:\n- name: core\n  path: packages/core\n  tasks:\n"
        "    a: {cmd: x, depends_on: [b]}\n    b: {cmd: x, depends_on: [a]}\n",
    )
    assert [one[:2] for one in found] == [(6, "dependency cycle: core#a -> core#b -> core#a")]


def test_only_the_first_problems_are_shown(read: Read) -> None:
    keys = "".join(f"key{number}: 1\n" for number in range(30))
    with pytest.raises(WorkspaceError) as caught:
        read(f"workspace: w\npackages:\n- {{name: a, path: packages/core}}\n{keys}")
    assert len(caught.value.problems) == 30
    assert caught.value.message.count("\n") == 20
    assert caught.value.message.endswith("… and 10 more")


def test_a_link_to_a_file_outside_is_a_source_but_no_output(read: Read, tmp_path: Path) -> None:
    outside = tmp_path.parent / f"{tmp_path.name}-outside.txt"
    outside.write_text("o")
    keys = "{name: a, path: packages/core, build_cmd: x, %s: [packages/core/s1.txt]}"
    text = f"workspace: w\npackages:\n- {keys}\n"
    (tmp_path / "packages/core/s1.txt").symlink_to(outside)
    for key in ("sources", "extra_sources", "exports"):
        read(text % key)
    found = errors(read, text % "outputs")
    assert "leads out of the workspace through a symbolic link" in found[0][1]


def test_outputs_of_one_task_may_overlap(read: Read) -> None:
    package = "{name: a, path: packages/core, build_cmd: x, outputs: [o, o/p]}"
    assert read(f"workspace: w\npackages:\n- {package}\n").outputs == ("o", "o/p")


def test_no_workspace(tmp_path: Path) -> None:
    with pytest.raises(WorkspaceError, match="holds no workspace") as caught:
        load_workspace(tmp_path)
    assert "buildnet.yaml" in (caught.value.hint or "")
    with pytest.raises(WorkspaceError, match="no workspace at"):
        find_root(tmp_path)


def test_finding_the_root(tmp_path: Path) -> None:
    inner = tmp_path / "packages" / "a" / "src"
    inner.mkdir(parents=True)
    (tmp_path / "packages/a/package.json").write_text('{"name": "a", "scripts": {"build": "x"}}')
    assert find_root(inner) == tmp_path / "packages/a"
    (tmp_path / "package.json").write_text('{"workspaces": ["packages/*"]}')
    assert find_root(inner) == tmp_path
    (tmp_path / "packages/buildnet.yaml").write_text("")
    assert find_root(inner) == tmp_path / "packages"


def test_written_and_read_again(read: Read, tmp_path: Path) -> None:
    shop = read(SHOP)
    (tmp_path / "again.yaml").write_text(write_workspace(shop))
    again = read_workspace(tmp_path / "again.yaml")
    assert again.packages == shop.packages


def test_an_install_is_written_shortly(read: Read, tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"dependencies": {"x": "1"}}')
    (tmp_path / "package-lock.json").write_text("{}")
    text = "workspace: w\ninstall: npm\npackages:\n- {name: a, path: packages/core}\n"
    workspace = read(text)
    assert workspace.install == Install(
        manager="npm",
        command="npm ci --no-audit --no-fund",
        inputs=("package-lock.json", "package.json"),
        lock_file="package-lock.json",
        roots=("",),
    )
    assert workspace.task(TaskId("a", BUILD)).dependencies_tree
    assert "\ninstall: npm\n" in write_workspace(workspace)
    other = read(text.replace("npm\n", "{manager: npm, command: npm ci --x}\n", 1))
    assert "npm ci --x" in write_workspace(other)


def test_what_people_wrote_is_written_as_they_did(read: Read) -> None:
    text = "workspace: w\ndescription: 🚀 Größe\npackages:\n- {name: a, path: packages/core}\n"
    assert "\ndescription: 🚀 Größe\n" in write_workspace(read(text))


WORDS = st.text(string.ascii_letters + string.digits + "-_.", min_size=1, max_size=8).filter(
    lambda word: not word.startswith(".") and word != "build"
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
COMMANDS = TEXTS.filter(str.strip)
SETTINGS = {
    "extra_sources": st.lists(WORDS, max_size=2),
    "tools": st.lists(WORDS, max_size=2),
    "env": st.dictionaries(
        st.sampled_from(["A", "B_1", "yes"]), TEXTS.filter(lambda text: "{" not in text), max_size=2
    ),
    "env_inherit": st.lists(st.sampled_from(["CI", "HOME"]), max_size=2),
    "network": st.booleans(),
    "cores": st.integers(1, 8),
    "memory": st.integers(1, 1 << 40) | st.sampled_from(["1.5 GB", "20 MB"]),
    "disk": st.integers(1, 1 << 40),
    "processes": st.integers(1, 100),
    "timeout": st.integers(1, 10_000),
    "isolation": st.sampled_from(["staged", "workspace"]),
    "path_prepend": st.lists(WORDS, max_size=2),
    "exports": st.just("sources") | st.lists(WORDS, max_size=2),
    "dependencies_tree": st.booleans(),
}
PACKAGES = st.fixed_dictionaries(
    {"build_cmd": COMMANDS},
    optional={
        **SETTINGS,
        "sources": st.lists(WORDS, max_size=2),
        "output_dir": st.just("o/one"),
        "tasks": st.dictionaries(
            WORDS, st.fixed_dictionaries({"cmd": COMMANDS}, optional=SETTINGS), max_size=2
        ),
    },
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example({"build_cmd": "0\xa0"})  # a space of no line's end
@given(PACKAGES)
def test_any_package_is_written_and_read_again(tmp_path: Path, package: dict[str, object]) -> None:
    (tmp_path / "p").mkdir(exist_ok=True)
    data = {"workspace": "w", "packages": [{"name": "a", "path": "p", **package}]}
    (tmp_path / "first.yaml").write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")
    first = read_workspace(tmp_path / "first.yaml")
    (tmp_path / "second.yaml").write_text(write_workspace(first), encoding="utf-8")
    assert read_workspace(tmp_path / "second.yaml").packages == first.packages


def test_two_packages_in_one_directory_by_a_link_are_told(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").symlink_to("a")
    text = "workspace: w\npackages:\n- {name: a, path: a}\n- {name: b, path: b}\n"
    (tmp_path / "buildnet.yaml").write_text(text)
    with pytest.raises(WorkspaceError, match="b: 'b' is the directory of a, 'a', by a link"):
        load_workspace(tmp_path)
    (tmp_path / "buildnet.yaml").write_text(text.replace("path: b", "path: a"))
    assert set(load_workspace(tmp_path).packages) == {"a", "b"}


def test_a_tool_may_be_asked_for_in_certain_versions(read: Read) -> None:
    tools = 'tools: ["node >=20 <23", git, "gcc 13"]'
    text = f"workspace: w\npackages: [{{name: core, path: packages/core, build_cmd: x, {tools}}}]\n"
    task = read(text).packages["core"].tasks["build"]
    assert task.tools == ("node", "git", "gcc")
    assert task.tool_versions == {"node": ">=20 <23", "gcc": "13"}
