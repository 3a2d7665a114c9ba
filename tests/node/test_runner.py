"""One task on a runner thread: what can be seen without a command or a build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import runner as module
from buildnet.node.report import TaskReport
from buildnet.node.resolve import OutputConflictError, Prepared
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.store import SourceChangedError, Store
from buildnet.node.store.files import FileTable
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.build import Status
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry
from buildnet.pool.workspace import Task


def runner_in(root: Path, resolver: object = None, store: Store | None = None) -> TaskRunner:
    table = FileTable(cast(Any, SimpleNamespace(rows=lambda *_: [], write=None)), "w")
    nothing = cast(Any, SimpleNamespace(get_action=lambda *_: object()))
    return TaskRunner(
        key=nothing,
        store=store or nothing,
        limits=Limits(1.0, 1),
        workspace_id="w",
        root=root,
        executors={},
        resolver=cast(Any, resolver),
        dependencies=None,
        table=table,
        hold=nothing,
        tell=lambda task: lambda chunk: None,
    )


def action_of(inputs: DirectoryTree) -> Action:
    return encode_action(ActionSpec("true", "", {}, (), {"isolation": "workspace"}, inputs))


def test_what_another_build_has_just_made_is_claimed_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Resolver:
        def claim(self, prepared: Prepared) -> None:
            raise OutputConflictError("x is made by b#build too")

    found = SimpleNamespace(outputs=EMPTY_TREE, log=None)
    monkeypatch.setattr(module, "decode_record", lambda *_: found)
    prepared = Prepared(Task("a", "build", "true", ""), action_of(EMPTY_TREE), {})
    report = TaskReport.of(prepared.task.id, "node", Status.FAILED, prepared)
    with pytest.raises(OutputConflictError):
        runner_in(tmp_path, Resolver())._take_cached(report, prepared)


def test_inputs_in_place_are_compared_without_reading_them_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(Path, "read_bytes")
    (tmp_path / "x").write_text("before")
    action = action_of(DirectoryTree({"x": FileEntry(Digest.of(b"before"))}))
    runner = runner_in(tmp_path)
    runner._require_inputs(action)
    (tmp_path / "x").write_text("after")
    with pytest.raises(SourceChangedError, match="x changed"):
        runner._require_inputs(action)


def test_files_of_a_delivery_that_the_node_did_not_survive_do_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files(*names: str) -> DirectoryTree:
        return DirectoryTree.from_paths({name: FileEntry(Digest.of(b"")) for name in names})

    def delivered(outputs: DirectoryTree, *_: object, **said: Mapping[str, object]) -> None:
        if "dies.js" in outputs.entries:
            raise KeyboardInterrupt
        removed.append(sorted(said["stale"]))

    removed: list[list[str]] = []
    monkeypatch.setattr(module, "deliver", delivered)
    task = Task("a", "build", "true", "", outputs=("*.js",))
    prepared = Prepared(task, action_of(EMPTY_TREE), {})
    with Store.open(tmp_path / "store", 1 << 30) as store:
        runner = runner_in(tmp_path, store=store)
        runner.deliver(replace(prepared, outputs=files("a.js")))
        with pytest.raises(KeyboardInterrupt):
            runner.deliver(replace(prepared, outputs=files("dies.js")))
        runner.deliver(replace(prepared, outputs=files("a.js")))
        runner.deliver(replace(prepared, outputs=files("b.js")))
    assert removed == [[], ["dies.js"], ["a.js"]]
