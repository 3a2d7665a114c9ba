"""One task on a runner thread: what can be seen without a command or a build."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import Mock

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node import runner as module
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.executor import Execution
from buildnet.node.execute.isolation import STRICT
from buildnet.node.execute.outcome import ProcessOutcome
from buildnet.node.output_teller import OutputTeller
from buildnet.node.progress import Progress
from buildnet.node.racing import FIRST, SECOND, LostRaceError, Race, Racing
from buildnet.node.report import TaskReport
from buildnet.node.resolve import OutputConflictError, Prepared
from buildnet.node.runner import Limits, TaskRunner
from buildnet.node.store import ActionRecord, SourceChangedError, Store
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
        tell=lambda task: OutputTeller(Progress(), Mock(), task.package, task.task),
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


def test_another_node_s_result_is_kept_only_once_its_run_has_won(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def execute(*_: object) -> Execution:
        race.wins(meanwhile)
        return Execution(ended, Digest.of(b""), EMPTY_TREE, record=record)

    ended = ProcessOutcome(0, None, False, False, 1, 0, None, 0, 0)
    record = ActionRecord(Digest.of(b"a"), b"", STRICT, b"", b"", 0.0, 1.0, "", ())
    prepared = Prepared(Task("a", "build", "true", ""), action_of(EMPTY_TREE), {})
    kept: list[ActionRecord] = []
    resolver = SimpleNamespace(claim=lambda _: None, settle=lambda _: None)
    hold = SimpleNamespace(put_action=kept.append, missing=lambda _: (), get=lambda _: b"")
    runner = replace(runner_in(tmp_path, resolver), hold=cast(Any, hold))
    monkeypatch.setattr(TaskRunner, "deliver", lambda *_: None)
    for meanwhile in (SECOND, FIRST):
        race = Race()
        remote = cast(Any, SimpleNamespace(isolation=STRICT, execute=execute))
        report = TaskReport.of(prepared.task.id, "node", Status.FAILED, prepared)
        with nullcontext() if meanwhile == FIRST else pytest.raises(LostRaceError):
            runner.run(
                report,
                prepared,
                CancelToken(),
                look_again=False,
                executor=Racing(remote, race, FIRST),
            )
        assert kept == ([record] if meanwhile == FIRST else [])


def test_what_was_noted_is_committed_once_though_two_do_so_at_the_same_time(
    tmp_path: Path,
) -> None:
    committed: list[str] = []

    class Meanwhile(dict[str, Any]):
        """What was noted; before the first of it is taken out, somebody else takes out all."""

        def pop(self, *arguments: Any) -> Any:
            if len(self) == 2:
                noted = dict(self)
                self.clear()
                committed.extend(noted)
            return super().pop(*arguments)

    store = SimpleNamespace(record_runs=lambda workspace, noted: committed.extend(noted))
    runner = runner_in(tmp_path, store=cast(Any, store))
    both = replace(runner, runs=Meanwhile(a=1, b=2))
    both.keep_runs()
    assert committed == ["a", "b"]
