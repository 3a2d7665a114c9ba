"""Keys: each part of what decides a result changes them, and nothing else does."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest
from blake3 import blake3

from buildnet.cli.testing import write_files
from buildnet.mesh.digest import Digest
from buildnet.node import platform, toolchain
from buildnet.node.config import ToolOverride
from buildnet.node.resolve import Prepared, Resolver
from buildnet.node.sources import SourceReader, outputs_excluded
from buildnet.node.toolchain import Toolchain
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Package, Task, TaskId, Workspace

PLATFORM = {"OSFamily": "linux", "ISA": "x86-64", "libc": "glibc 2.36", "release": "debian 12"}
TASK = Task(
    "core",
    "build",
    "cc -c a.c && ./post.sh",
    "core",
    depends_on=(TaskId("lib", "build"),),
    outputs=("core/out",),
    tools=("gen",),
    env={"MODE": "release"},
    env_inherit=("CI",),
)


class _Nothing:
    """A store without results, a table without files."""

    def last_run(self, *arguments: Any) -> None:
        return None

    get_action = lookup = previous = record = last_run


@dataclass
class World:
    """A workspace in a directory, and a host's programs in another."""

    root: Path
    system: Path
    links: Path
    task: Task = TASK
    isolation: str = "strict"
    inherited: tuple[tuple[str, str], ...] = (("CI", "1"), ("USER", "me"))
    platform: tuple[tuple[str, str], ...] = tuple(PLATFORM.items())
    made: bytes = b"lib"
    dependencies: str = "tree"
    requirements: Requirements = field(default_factory=Requirements)

    def program(self, name: str, text: str) -> Path:
        place = self.system / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(0o755)
        return place

    def key(self) -> Digest:
        lib = Task("lib", "build", "make", "lib", outputs=("lib/out",))
        packages = {
            "lib": Package("lib", "lib", (), {"build": lib}),
            "core": Package("core", "core", ("lib",), {"build": self.task}),
        }
        workspace = Workspace(self.root.name, self.root, None, packages)
        nothing = cast(Any, _Nothing())
        resolver = Resolver(
            workspace=workspace,
            workspace_id=str(self.root),
            reader=SourceReader(self.root, nothing),
            store=nothing,
            hold=nothing,
            toolchain=Toolchain(self.links, {}, str(self.system)),
            outputs=outputs_excluded(("core/out", "lib/out")),
            inherited=dict(self.inherited),
            isolation=self.isolation,
            source_epoch_s=315532800,
            dependencies=cast(Any, Key(self.dependencies)),
            platform=dict(self.platform),
        )
        made = DirectoryTree.from_paths({"lib/out/x": FileEntry(Digest.of(self.made), False)})
        resolver.settle(Prepared(lib, None, {}, outputs=made))
        action = resolver.prepare(replace(self.task, requirements=self.requirements)).action
        assert action is not None
        return action.digest


@dataclass
class Key:
    key: str


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path / "w", tmp_path / "system", tmp_path / "links")
    monkeypatch.setattr(toolchain, "SYSTEM_PATH", str(world.system))
    write_files(world.root, {"core/a.c": "a", "core/post.sh": "#!/usr/bin/env awk\n", "lib/l": ""})
    for name in ("gen", "cc", "awk"):
        world.program(name, f"#!{world.system}/shell\necho 1.0\n")
    world.program("shell", "not a script")
    world.program("unused", "1")
    return world


def with_task(**changes: Any) -> Callable[[World], None]:
    return lambda world: setattr(world, "task", replace(world.task, **changes))


def with_platform(name: str) -> Callable[[World], None]:
    return lambda world: setattr(
        world, "platform", tuple({**dict(world.platform), name: "other"}.items())
    )


def rename(world: World) -> None:
    (world.root / "core/a.c").rename(world.root / "core/b.c")


CHANGES: dict[str, Callable[[World], object]] = {
    "system": with_platform("OSFamily"),
    "architecture": with_platform("ISA"),
    "libc": with_platform("libc"),
    "release": with_platform("release"),
    "isolation": lambda world: setattr(world, "isolation", "staged"),
    "command": with_task(command="cc -c a.c"),
    "outputs": with_task(outputs=("core/out", "core/more")),
    "tools": with_task(tools=()),
    "variable": with_task(env={"MODE": "debug"}),
    "inherited": lambda world: setattr(world, "inherited", (("CI", "2"),)),
    "not inherited any more": with_task(env_inherit=()),
    "network": with_task(network=True),
    "path": with_task(path_entries=("bin",)),
    "variable that holds a path": with_task(env_paths={"LIB": "lib"}),
    "source": lambda world: (world.root / "core/a.c").write_text("b"),
    "mode": lambda world: (world.root / "core/a.c").chmod(0o755),
    "name of a source": rename,
    "dependency's output": lambda world: setattr(world, "made", b"other"),
    "installed dependencies": with_task(dependencies_tree=True),
    "declared tool": lambda world: world.program("gen", "2"),
    "first word": lambda world: world.program("cc", "2"),
    "interpreter": lambda world: world.program("shell", "2"),
    "interpreter of a source": lambda world: world.program("awk", "2"),
}


@pytest.mark.parametrize("what", CHANGES)
def test_every_part_changes_the_key(world: World, what: str) -> None:
    before = world.key()
    assert world.key() == before
    CHANGES[what](world)
    assert world.key() != before


def test_a_tree_of_dependencies_is_part_of_the_key(world: World) -> None:
    with_task(dependencies_tree=True)(world)
    before = world.key()
    world.dependencies = "other"
    assert world.key() != before


def move(world: World) -> None:
    for name in ("root", "system", "links"):
        place: Path = getattr(world, name)
        if place.exists() and name == "root":
            setattr(world, name, place.rename(place.with_name("elsewhere")))


UNRELATED: dict[str, Callable[[World], object]] = {
    "place": move,
    "times": lambda world: os.utime(world.root / "core/a.c", (1, 1)),
    "permissions of others": lambda world: (world.root / "core/a.c").chmod(0o600),
    "undeclared variable": lambda world: setattr(world, "inherited", (("CI", "1"), ("HOST", "x"))),
    "undeclared program": lambda world: world.program("unused", "2"),
    "limits": lambda world: setattr(world, "requirements", Requirements(2, 1 << 30, 9, 5, 5.0)),
    "outputs that stand": lambda world: write_files(world.root, {"core/out/x": "y"}),
    "package's name": with_task(package="heart"),
    "time of a tool": lambda world: os.utime(world.system / "gen", (1, 1)),
}


@pytest.mark.parametrize("what", UNRELATED)
def test_nothing_else_changes_the_key(world: World, what: str) -> None:
    before = world.key()
    UNRELATED[what](world)
    assert world.key() == before


def test_a_link_to_another_version_is_another_tool(world: World) -> None:
    old, new = world.program("v1/tool", "1"), world.program("v2/tool", "2")
    link = world.system / "tool"
    link.symlink_to(old)
    tools = Toolchain(world.links, {}, str(world.system))
    before = tools.tool("tool")
    assert before == tools.tool("tool")
    link.unlink()
    link.symlink_to(new)
    assert tools.tool("tool").identity != before.identity
    assert tools.tool("tool").path == new


def test_python_behind_a_link_is_looked_up_again(world: World) -> None:
    old, new = world.program("v1/python3", "1"), world.program("v2/python3", "2")
    link = world.system / "python3"
    link.symlink_to(old)
    tools = Toolchain(world.links, {}, str(world.system))
    assert tools.tool("python3").path == old
    link.unlink()
    link.symlink_to(new)
    assert tools.tool("python3").path == new


def test_a_shim_stands_for_the_program_that_it_starts(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of pyenv, whose shims stay what they are when another version is chosen."""
    home = world.system / ".pyenv"
    monkeypatch.setenv("PYENV_ROOT", str(home))
    real = {name: world.program(f".pyenv/versions/{name}/python3", name) for name in ("a", "b")}
    chosen = home / "version"
    shim = world.program(".pyenv/shims/python3", f"#!/bin/sh\ncat {chosen}\n")
    chosen.write_text(str(real["a"]))
    tools = Toolchain(world.links, {}, str(shim.parent))
    first = tools.tool("python3")
    assert first.path == real["a"]
    assert first.digest == Digest.of(b"a")
    chosen.write_text(f"{real['b']}\n")
    assert tools.tool("python3").path == real["b"]


def test_a_tool_that_may_change_once_more_without_another_date_is_read_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    written_ns = (world.system / "shell").stat().st_ctime_ns
    tools = Toolchain(world.links, {}, str(world.system))
    hashers: list[Any] = []

    def hasher() -> Any:
        hashers.append(blake3())
        return hashers[-1]

    monkeypatch.setattr(toolchain, "blake3", hasher)
    for after_ns, read in ((1_000_000, 1), (10**10, 2), (10**10, 2)):
        monkeypatch.setattr(toolchain, "time_ns", lambda: written_ns + after_ns)  # noqa: B023
        tools.tool("shell")
        assert len(hashers) == read


def test_an_override_is_what_the_owner_named(world: World) -> None:
    mine = world.program("mine", "x")
    tools = Toolchain(world.links, {"node": ToolOverride(path=mine)}, str(world.system))
    assert tools.tool("node").digest == Digest.of(b"x")


def test_scripts_that_interpret_each_other_end(world: World) -> None:
    a, b = world.system / "a", world.system / "b"
    world.program("a", f"#!{b}\n")
    world.program("b", f"#!{a}\n")
    tool = Toolchain(world.links, {}, str(world.system)).tool("a")
    assert 0 < len(tool.interpreters) < 10


def test_the_platform_is_asked_again_after_an_upgrade(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = tmp_path / "os-release"
    release.write_text('NAME="Debian"\nID=debian\nVERSION_ID="12"\n')
    monkeypatch.setattr(platform, "_RELEASE_FILES", (str(release),))
    monkeypatch.setattr("sys.platform", "linux")
    assert platform.platform_properties()["release"] == "debian 12"
    release.write_text('NAME="Debian"\nID=debian\nVERSION_ID="13.10"\n')
    assert platform.platform_properties()["release"] == "debian 13.10"
