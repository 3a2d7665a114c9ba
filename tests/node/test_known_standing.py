"""What stands in a workspace in which several builds are at work at once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from buildnet.cli.testing import write_files
from buildnet.mesh.digest import Digest
from buildnet.node.sources import SourceReader, source_key
from buildnet.node.standing import Found, StandingTask, Visible
from buildnet.node.store.files import FileTable
from buildnet.node.store.store import Store
from buildnet.node.toolchain import Tool, Toolchain
from buildnet.node.workspaces import OpenWorkspace, View, Workspaces
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry
from buildnet.pool.workspace import TaskId

DEFINITION = """\
workspace: w
packages:
  - {name: low, path: low, build_cmd: x, sources: ["low/*"], outputs: [low.out]}
  - {name: high, path: high, build_cmd: x, sources: ["high/*"], outputs: [high.out],
     dependencies: [low]}
  - {name: apart, path: apart, build_cmd: x, sources: ["apart/*"], outputs: [apart.out]}
"""
LOW, HIGH, APART = (TaskId(name, "build") for name in ("low", "high", "apart"))


class Opened:
    """A workspace with files of its own, and builds that are at work in it."""

    def __init__(self, directory: Path) -> None:
        files = {f"{name}/in": "1\n" for name in ("low", "high", "apart")}
        self.root = write_files(directory / "w", {**files, "buildnet.yaml": DEFINITION})
        self.store = Store.open(directory / "store", 1 << 30)
        self.table: FileTable = self.store.file_table("w")
        self.workspaces = Workspaces(directory / "cookies")
        self.toolchain = cast(Toolchain, None)  # asked for no tool
        self._opened = self.workspaces.find(self.root)

    def open(self) -> OpenWorkspace:
        return self._opened

    def begin(self, **environment: str) -> View:
        opened = self.open()
        with opened.memory.lock:
            opened.begin(opened.definition, environment, "strict", self.toolchain)
            return opened.view()

    def read(self, *tasks: TaskId) -> dict[TaskId, Found]:
        """Read the sources of tasks, as a build does that then finds their outputs in place."""
        opened = self.open()
        reader = SourceReader(
            self.root, self.table, opened.ignore_rules, memory=opened.memory, watch=opened.watch
        )
        found: dict[TaskId, Found] = {}
        for each in tasks:
            task = opened.definition.workspace.task(each)
            default = task.path if task.default_sources else None
            tree = reader.tree(task.sources, default, opened.definition.outputs).tree
            key = source_key(task.sources, default)
            standing = StandingTask(seen(tree), tree, Digest.of(tree.encoded), "strict", (key,))
            needed = {one: found[one].standing.visible for one in task.depends_on if one in found}
            found[each] = Found(standing, needed)
        return found

    def keep(self, view: View, found: dict[TaskId, Found], **tools: Tool) -> None:
        self.open().keep(view, found, tools, {})

    @property
    def standing(self) -> set[TaskId]:
        return set(self.open().standing.tasks)


def seen(tree: DirectoryTree) -> Visible:
    return Visible(tree, EMPTY_TREE, skipped=True)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    opened = Opened(tmp_path)
    if opened.begin() and opened.open().not_watched is not None:
        pytest.skip(str(opened.open().not_watched))
    yield opened
    opened.workspaces.close()
    opened.store.close()


def test_what_another_build_hears_of_is_not_taken_to_stand(opened: Opened) -> None:
    first = opened.begin()
    found = opened.read(LOW, HIGH, APART)
    (opened.root / "low/in").write_text("2\n")
    second = opened.begin()  # it alone is told of the edit
    opened.keep(second, opened.read(APART))
    opened.keep(first, found)
    assert opened.standing == {APART}, "low was edited, and high was made from low"
    opened.keep(third := opened.begin(), opened.read(LOW, HIGH))
    opened.open().close(third)
    assert opened.standing == {LOW, HIGH, APART}


def test_a_build_goes_by_what_stood_when_it_began(opened: Opened) -> None:
    opened.keep(opened.begin(), opened.read(LOW, HIGH, APART))
    view = opened.begin()
    (opened.root / "low/in").write_text("2\n")
    opened.begin()
    assert opened.standing == {HIGH, APART}
    assert set(view.standing.tasks) == {LOW, HIGH, APART}
    view.standing.remove(APART)
    assert opened.standing == {HIGH}, "it is looked at by one, so it does not stand for others"


def test_a_task_stands_only_upon_what_stands(opened: Opened) -> None:
    """Else, were low put back to what it was once, high would be taken for up to date."""
    view = opened.begin()
    found = opened.read(LOW, HIGH)
    opened.keep(view, {HIGH: found[HIGH]})
    assert opened.standing == set()
    opened.keep(view, found)
    other = DirectoryTree({"x": FileEntry(Digest.of(b"x"), False)})
    opened.keep(view, {HIGH: Found(found[HIGH].standing, {LOW: seen(other)})})
    assert opened.standing == {LOW, HIGH}
    changed = Found(
        StandingTask(seen(other), other, None, None, found[LOW].standing.keys), needed={}
    )
    opened.keep(view, {LOW: changed})
    assert opened.standing == {LOW}


def test_builds_that_see_other_surroundings_do_not_mix(opened: Opened) -> None:
    node = [Tool("node", "node", Path("/n"), text, Digest.of(text.encode())) for text in ("1", "2")]
    first, second = opened.begin(), opened.begin()
    opened.keep(first, opened.read(LOW), node=node[0])
    opened.keep(second, opened.read(APART), node=node[1])
    assert opened.standing == set(), "node was replaced between the two"
    opened.keep(first, opened.read(LOW), node=node[0])
    assert opened.standing == set(), "all was forgotten since it began"


def test_what_changed_for_a_build_does_so_whoever_is_told(opened: Opened) -> None:
    view, workspace = opened.begin(), opened.open()
    opened.read(LOW)
    assert workspace.is_as_read(view, workspace.definition.outputs)
    (opened.root / "low/in").write_text("2\n")
    opened.begin()
    assert not workspace.is_as_read(view, workspace.definition.outputs)
    workspace.close(view)
