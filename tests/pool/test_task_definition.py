"""What runs before a task: ``depends_on`` within a package and across packages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.graph import closure
from buildnet.pool.workspace import TaskId, Workspace, WorkspaceError

Read = Callable[..., Workspace]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Read the packages ``app`` -> ``web`` -> ``core`` with some keys more, given in this order."""
    for name in ("core", "web", "app"):
        (tmp_path / name).mkdir()

    def workspace(core: str = "", web: str = "", app: str = "") -> Workspace:
        text = (
            "workspace: w\npackages:\n"
            f"- {{name: core, path: core, build_cmd: x, {core}}}\n"
            f"- {{name: web, path: web, build_cmd: x, dependencies: [core], {web}}}\n"
            f"- {{name: app, path: app, build_cmd: x, dependencies: [web], {app}}}\n"
        )
        (tmp_path / "buildnet.yaml").write_text(text)
        return read_workspace(tmp_path / "buildnet.yaml")

    return workspace


def needs(workspace: Workspace, package: str, task: str = "t") -> list[str]:
    return [f"{one.package}#{one.task}" for one in workspace.task(TaskId(package, task)).depends_on]


@pytest.mark.parametrize(
    ("depends_on", "expected"),
    [
        ("[]", ["web#build"]),
        ("[build]", ["app#build", "web#build"]),
        ("[^build]", ["web#build"]),
        ("[^lint]", ["web#lint"]),
        ("[^lint, build]", ["app#build", "web#lint"]),
        ("[^build, ^lint]", ["web#build", "web#lint"]),
        ("[^docs]", ["core#docs"]),
        ("['^']", []),
        ("[core#docs]", ["core#docs", "web#build"]),
        ("[app#build, core#build]", ["app#build", "core#build", "web#build"]),
        ("[^only-app]", []),
    ],
)
def test_what_runs_before_a_task(read: Read, depends_on: str, expected: list[str]) -> None:
    workspace = read(
        core="tasks: {docs: x, lint: x}",
        web="tasks: {lint: x}",
        app=f"tasks: {{only-app: x, t: {{cmd: x, depends_on: {depends_on}}}}}",
    )
    assert needs(workspace, "app") == expected


def test_a_build_depends_on_tasks_too(read: Read) -> None:
    workspace = read(
        core="depends_on: [codegen], tasks: {codegen: {cmd: x}}",
        web="depends_on: [^codegen, ^build]",
    )
    assert needs(workspace, "core", "build") == ["core#codegen"]
    assert needs(workspace, "web", "build") == ["core#codegen", "core#build"]
    assert needs(workspace, "app", "build") == ["web#build"]
    order = [str(task.id) for task in closure(workspace, ["app"])]
    assert order == ["core#codegen", "core", "web", "app"]


def test_the_same_task_goes_down_the_packages(read: Read) -> None:
    keys = "tasks: {check: {cmd: x, depends_on: [^check]}}"
    order = [str(task.id) for task in closure(read(keys, keys, keys), ["app"], "check")]
    assert order == ["core#check", "web#check", "app#check"]


@pytest.mark.parametrize(
    ("depends_on", "message", "hint"),
    [
        ("[^lnit]", "app#t depends on '^lnit', which is no task of any package", "'lint'?"),
        ("[wbe#lint]", "app#t depends on 'wbe#lint', which is no package", "'web'?"),
        ("[web#lnit]", "app#t depends on 'web#lnit', which is no task of web", "'lint'?"),
        ("[app#t]", "app#t depends on itself", "tasks: build"),
        ("['#lint']", "app#t depends on '#lint', which is no package", "packages: app"),
        ("[zz]", "app#t depends on 'zz', which is no task of its package", "tasks: build"),
    ],
)
def test_what_is_not_there_is_told_at_its_line(
    read: Read, depends_on: str, message: str, hint: str
) -> None:
    with pytest.raises(WorkspaceError) as caught:
        read(web="tasks: {lint: x}", app=f"tasks: {{t: {{cmd: x, depends_on: {depends_on}}}}}")
    (problem,) = caught.value.problems
    assert (problem.line, problem.message) == (5, message)
    assert hint in (problem.hint or "")


@pytest.mark.parametrize(
    ("core", "cycle"),
    [
        ("depends_on: [t], tasks: {t: {cmd: x, depends_on: [build]}}", "core -> core#t -> core"),
        ("depends_on: [web#build]", "core -> web -> core"),
        ("tasks: {t: {cmd: x, depends_on: [app#u]}}", "core#t -> app#u -> core#t"),
    ],
)
def test_cycles_across_packages_are_named(read: Read, core: str, cycle: str) -> None:
    with pytest.raises(WorkspaceError, match=f"cycle: {cycle}$") as caught:
        read(core=core, app="tasks: {u: {cmd: x, depends_on: [core#t]}}" if "#u" in core else "")
    assert caught.value.problems[0].line == 3


NEEDS = st.lists(
    st.sampled_from(["build", "^", "^a", "^b", "^build", "core#a", "core#build"]),
    max_size=3,
    unique=True,
)
TASKS = st.fixed_dictionaries({"a": NEEDS, "b": NEEDS})


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.tuples(TASKS, TASKS, TASKS))
def test_what_was_read_is_written_so_that_it_reads_the_same(
    tmp_path: Path, given_tasks: tuple[dict[str, list[str]], ...]
) -> None:
    packages = []
    for name, below, tasks in zip(
        ("core", "web", "app"), ("", "core", "web"), given_tasks, strict=True
    ):
        (tmp_path / name).mkdir(exist_ok=True)
        packages.append(
            {
                "name": name,
                "path": name,
                "build_cmd": "x",
                "dependencies": [below] if below else [],
                "tasks": {task: {"cmd": "x", "depends_on": on} for task, on in tasks.items()},
            }
        )
    file = tmp_path / "buildnet.yaml"
    file.write_text(yaml.safe_dump({"workspace": "w", "packages": packages}))
    try:
        workspace = read_workspace(file)
    except WorkspaceError:
        return  # names a task that is not there, or is a cycle
    file.write_text(write_workspace(workspace))
    again = read_workspace(file)
    for task in workspace.tasks():
        assert set(again.task(task.id).depends_on) == set(task.depends_on)
