"""One task on a runner thread: what can be seen without a command or a build."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import runner as module
from buildnet.node.report import TaskReport
from buildnet.node.resolve import OutputConflictError, Prepared
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.store import SourceChangedError
from buildnet.node.store.files import FileTable
from buildnet.pool.action import Action, ActionSpec, encode_action
from buildnet.pool.build import Status
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree, FileEntry
from buildnet.pool.workspace import Task


def runner_in(root: Path, resolver: object = None) -> TaskRunner:
    table = FileTable(cast(Any, SimpleNamespace(rows=lambda *_: [], write=None)), "w")
    nothing = cast(Any, SimpleNamespace(get_action=lambda *_: object()))
    return TaskRunner(
        key=nothing,
        store=nothing,
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
