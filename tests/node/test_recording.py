"""What happens on a node comes into the ledger: in order, once, and never in anybody's way."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.node.recording_ledger import (
    BEGAN,
    NODE,
    OneLedger,
    Said,
    offers,
    resources,
    run,
    words,
    written,
)

from buildnet.ledger.draft import DraftError, EntryDraft
from buildnet.ledger.entry import Entry
from buildnet.ledger.entry_types import TYPES, describe
from buildnet.ledger.query import Query
from buildnet.ledger.store import selecting
from buildnet.ledger.store.errors import LedgerFullError
from buildnet.node import recording as module
from buildnet.node.build_record import BuildInterrupted
from buildnet.node.offer import ResourcesFound
from buildnet.node.presence import NodeJoined, NodeStarted, NodeStopped
from buildnet.node.recording import Recording

FULL = LedgerFullError("no room left", hint="free some")


# --- the queue ---------------------------------------------------------------------------------


def test_records_are_written_in_order_and_the_last_is_waited_for(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        recording.put(Said("one"))  # before anything runs
        async with recording.running(lambda: Said("bye")):
            recording.put(Said("two"))
            assert recording.waiting == 2
        entries = await ledger.entries()
        assert words(entries) == ["one", "two", "bye"]
        assert ledger.waited_for == [entries[-1]]
        assert recording.problem is None

    run(tmp_path, work)


def test_what_can_not_be_written_now_is_written_later_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_AGAIN_S", (0.001, 0.002))

    async def work(ledger: OneLedger, recording: Recording) -> None:
        ledger.failures = [FULL, FULL, FULL]
        with caplog.at_level(logging.INFO, "buildnet.node"):
            async with recording.running(lambda: Said("bye")):
                recording.put(Said("one"))
                recording.put(Said("two"))
        assert words(await ledger.entries()) == ["one", "two", "bye"]
        told = [one.message for one in caplog.records]
        assert told == [
            "Said can't be recorded yet: no room left",
            "the ledger takes records again",
        ]

    run(tmp_path, work)


def test_a_node_that_can_not_record_says_so_and_stops_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "STOP_S", 0.05)

    async def work(ledger: OneLedger, recording: Recording) -> None:
        tried = asyncio.Event()

        async def full(drafts: Sequence[EntryDraft]) -> tuple[Entry, ...]:
            tried.set()
            raise FULL

        ledger.append = full  # type: ignore[method-assign]
        async with asyncio.timeout(5), recording.running(lambda: Said("bye")):
            recording.put(Said("one"))
            await tried.wait()
            await asyncio.sleep(0)
            assert recording.problem == "1 record of this node wait for the ledger: no room left"
        assert "does not tell of 2 records" in caplog.text
        assert await ledger.entries() == []

    run(tmp_path, work)


def test_what_never_can_be_written_is_left_out_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        async with recording.running(lambda: Said("bye")):
            recording.put(Said("a", DraftError("this can't be recorded", cause="too long")))
            recording.put(Said("b", RuntimeError("a mistake")))
            recording.put(Said("c"))
        assert words(await ledger.entries()) == ["c", "bye"]
        assert recording.lost == 2
        assert recording.problem == (
            "2 records of this node are missing in the ledger: see its log"
        )
        assert "too long" in caplog.text
        assert "a bug while recording Said" in caplog.text

    run(tmp_path, work)


def test_the_queue_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 3)

    async def work(ledger: OneLedger, recording: Recording) -> None:
        for number in range(5):
            recording.put(Said(str(number)))
        assert (recording.waiting, recording.lost) == (3, 2)
        async with recording.running(lambda: Said("bye")):
            while recording.waiting:
                await asyncio.sleep(0)
        assert words(await ledger.entries()) == ["0", "1", "2", "bye"]

    run(tmp_path, work)


# --- presence ----------------------------------------------------------------------------------


def test_a_node_introduces_itself_once_in_a_cluster(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        joined = NodeJoined("ann", "worker", "http://ann")
        entries = await written(
            ledger,
            joined,
            NodeStarted("ann", "worker", "http://ann"),
            NodeStopped("ann", "it was told to stop"),
            NodeJoined("ann", "worker", "http://ann"),
            NodeStarted("ann", "worker", "http://ann"),
        )
        types = [entry.body.type for entry in entries]
        assert types == ["node.joined", "node.started", "node.stopped", "node.started"]
        assert {entry.body.entity for entry in entries} == {f"node:{NODE}"}
        for entry in entries:
            assert entry.data.keys() <= TYPES[entry.body.type].fields.keys()
            assert "unknown" not in describe(entry)
        (row,) = await ledger.store.table("nodes")
        assert (row["name"], row["status"], row["role"]) == ("ann", "online", "worker")

    run(tmp_path, work)


# --- much that is not sealed -------------------------------------------------------------------


def test_what_was_recorded_is_found_among_much_that_is_not_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without a majority: one page of a query comes to an end before it."""
    monkeypatch.setattr(selecting, "BUDGET", 5)

    async def work(ledger: OneLedger, recording: Recording) -> None:
        notes = [Said(str(number)) for number in range(20)]
        joined = NodeJoined("ann", "worker", "http://ann")
        await written(ledger, *notes, joined, ResourcesFound("ann", resources()), BEGAN, *notes)
        again = NodeJoined("ann", "worker", "http://ann")
        gone = BuildInterrupted("b1", "the node stopped")
        await written(ledger, again, ResourcesFound("ann", resources(6)), gone)
        own = [one.entry async for one in ledger.store.find(Query())]
        told = [one for one in own if one.body.type not in ("chain.opened", "system.note")]
        types = ["node.joined", "node.resources", "build.started", "node.resources"]
        assert [one.body.type for one in told] == [*types, "build.cancelled"]
        assert offers(told)["cores/free", "cores"] == 6
        assert [one.state for one in told[-1].body.postings] == ["running", "cancelled"]

    run(tmp_path, work)
