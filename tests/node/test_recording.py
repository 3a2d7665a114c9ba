"""What happens on a node comes into the ledger: in order, once, and never in anybody's way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.ledger.entries import ANN, CLUSTER, START, chain_of

from buildnet.ledger.accounts import Books
from buildnet.ledger.chain import Tip
from buildnet.ledger.draft import DraftError, EntryDraft, next_body, node_actor, opening_body
from buildnet.ledger.entry import Entry
from buildnet.ledger.entry_types import TYPES, describe
from buildnet.ledger.merkle import root_of
from buildnet.ledger.opening import Opening, Why
from buildnet.ledger.postings import allocated
from buildnet.ledger.query import Query
from buildnet.ledger.store import selecting
from buildnet.ledger.store.errors import LedgerFullError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.writer import MakeBody, Place
from buildnet.mesh.digest import Digest
from buildnet.mesh.identity import node_id_of
from buildnet.node import recording as module
from buildnet.node.build_record import (
    BuildBegan,
    BuildEnded,
    BuildInterrupted,
    BuildTakenOver,
    Results,
    leaf_of,
)
from buildnet.node.offer import ResourcesFound, amounts, described, postings
from buildnet.node.presence import NodeJoined, NodeStarted, NodeStopped
from buildnet.node.recording import OpenLedger, Recording
from buildnet.node.sharing.loans import Loans, LoansBrokenOff
from buildnet.pool.leases import Amount, Lease
from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    Program,
    StorageVolume,
)

NODE = node_id_of(ANN.public_key)
GIB = 1 << 30


class OneLedger:
    """A real file and chain; ``failures`` are raised by the next appends, one each."""

    def __init__(self, store: LedgerStore) -> None:
        self.store = store
        self.key = ANN.public_key
        self.failures: list[Exception] = []
        self.waited_for: list[Entry] = []
        self._clock = START

    async def current(self) -> OneLedger:
        return self

    async def append(self, drafts: Sequence[EntryDraft]) -> tuple[Entry, ...]:
        if self.failures:
            raise self.failures.pop(0)
        self._clock += 1 << 16
        return await self.store.append([body_of(draft) for draft in drafts], hlc=self._clock)

    async def sealed(self, entry: Entry, timeout_s: float) -> int:
        self.waited_for.append(entry)
        return 1

    async def entries(self, *types: str) -> list[Entry]:
        page = await self.store.query(Query(types=types))
        found = [one.entry for one in page.entries]
        return [one for one in found if one.body.type != "chain.opened"]


def body_of(draft: EntryDraft) -> MakeBody:
    def make(place: Place) -> Any:
        tip = Tip(place.sequence - 1, place.previous, place.hlc - 1)
        return next_body(place.cluster, place.chain, tip, draft, clock=place.hlc)

    return make


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[OneLedger]:
    store = await LedgerStore.open(path / "ledger.db", cluster=CLUSTER, sign=ANN.sign)
    try:
        chain = chain_of(ANN)
        await store.use(chain)
        body = opening_body(CLUSTER, chain, Opening(Why.FIRST), clock=START)
        await store.append([lambda place: body], hlc=START)
        yield OneLedger(store)
    finally:
        await store.close()


def run(path: Path, work: Callable[[OneLedger, Recording], Awaitable[None]]) -> None:
    async def go() -> None:
        async with opened(path) as ledger:
            await work(ledger, Recording(ledger))

    asyncio.run(go())


class Said:
    """A record of one word."""

    def __init__(self, word: str, error: Exception | None = None) -> None:
        self.word = word
        self.error = error

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        if self.error is not None:
            raise self.error
        return [EntryDraft("system.note", node_actor(ledger.key), data={"text": self.word})]


def words(entries: Sequence[Entry]) -> list[str]:
    return [entry.data["text"] for entry in entries]


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
        ledger.failures = [FULL] * 1000
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


async def written(ledger: OneLedger, *records: Any) -> list[Entry]:
    """Write records as the queue does; return all entries."""
    for record in records:
        drafts = await record.drafts(ledger)
        if drafts:
            await ledger.append(drafts)
    return await ledger.entries()


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


# --- what a node offers ------------------------------------------------------------------------


def resources(cores: int = 4, free: int = GIB, *volumes: StorageVolume) -> NodeResources:
    return NodeResources(
        system=OperatingSystem(name="linux"),
        cpu=CpuResources(cores=cores, logical=cores, architecture="x86_64"),
        memory=MemoryResources(total_bytes=8 * GIB, available_bytes=free, installed_bytes=8 * GIB),
        storage=volumes or (volume("/", 100 * GIB),),
        tools=(Program(name="git", version="2.43", path="/usr/bin/git"),),
        scanned_at=datetime(2026, 11, 21, tzinfo=UTC),
    )


def volume(path: str, size: int, free: int = 5) -> StorageVolume:
    return StorageVolume(
        path=path, mount_point=path, total_bytes=size, available_bytes=free, file_system="ext4"
    )


def offers(entries: Sequence[Entry]) -> dict[tuple[str, str], int]:
    """What the entries' postings sum up to, by account and unit."""
    found: dict[tuple[str, str], int] = {}
    for entry in entries:
        for one in entry.body.postings:
            key = (one.account.removeprefix(f"node:{NODE}/"), one.unit)
            sign = 1 if one.side == "credit" else -1
            found[key] = found.get(key, 0) + sign * one.amount
    return {key: amount for key, amount in found.items() if amount}


def test_a_scan_is_recorded_if_it_found_something_else(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        same = (ResourcesFound("ann", resources()), ResourcesFound("ann", resources(free=2 * GIB)))
        entries = await written(ledger, *same)
        assert [one.body.type for one in entries] == ["node.resources"]
        assert offers(entries)["cores/free", "cores"] == 4
        assert "available_bytes" not in json.dumps(entries[0].data)

        entries = await written(ledger, ResourcesFound("ann", resources(6)))
        assert len(entries) == 2
        assert len(entries[1].body.postings) == 2
        entries = await written(ledger, ResourcesFound("ann", resources(2)))
        found = offers(entries)
        assert found["cores/free", "cores"] == 2
        assert found["cores/capacity", "cores"] == -2
        assert found["storage://free", "bytes"] == 100 * GIB
        rows = await ledger.store.table("node_resources")
        cpu = next(row for row in rows if row["resource_type"] == "cpu")
        assert json.loads(str(cpu["resource_data"]))["cores"] == 2

    run(tmp_path, work)


def test_a_volume_that_is_gone_is_withdrawn(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        both = resources(4, GIB, volume("/", 9), volume("/mnt/x", 7))
        one = resources(4, GIB, volume("/", 9))
        entries = await written(ledger, ResourcesFound("a", both), ResourcesFound("a", one))
        assert ("storage:/mnt/x/free", "bytes") not in offers(entries)
        assert ("storage:/mnt/x/free", "bytes") in offers(entries[:1])

    run(tmp_path, work)


def test_what_is_allocated_counts_as_offered() -> None:
    place = f"node:{NODE}/cores"
    held = {(place, "capacity", "cores"): -4, (place, "free", "cores"): 4}
    assert postings(held, {(place, "cores"): 4}) == ()
    lent = held | {(place, "free", "cores"): 0, (place, "allocated", "cores"): 4}
    assert postings(lent, {(place, "cores"): 1}) == (), "what is allocated can't be withdrawn"
    pair = postings(held, {(place, "cores"): 1})
    assert [(one.account, one.side, one.amount) for one in pair] == [
        (f"{place}/free", "debit", 3),
        (f"{place}/capacity", "credit", 3),
    ]
    assert allocated(place, "cores", 3)[0].account == f"{place}/free"


def lease(number: int, slots: int, memory_bytes: int = 0) -> Lease:
    key, amount = number.to_bytes(16, "big"), Amount(slots, memory_bytes)
    return Lease(key, f"b{number}", b"h" * 32, b"c" * 32, 7, amount, True, 0.0, 0.0, "ann")


def test_what_is_lent_is_allocated_as_far_as_it_is_free_and_given_back_whole(
    tmp_path: Path,
) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        loans, (first, second) = Loans(), (lease(1, 3, GIB), lease(2, 3))
        for each in (first, second):
            loans.lent(each, 100.0, 0.0)
        begun = loans.to_write(100.0)
        assert begun is not None
        entries = await written(ledger, ResourcesFound("ann", resources(4)), begun)
        found = offers(entries)
        assert found["cores/allocated", "cores"] == 4, "slots may be more than there are cores"
        assert ("cores/free", "cores") not in found
        assert found["memory/allocated", "bytes"] == GIB
        found = offers(await written(ledger, ResourcesFound("ann", resources(2))))
        assert found["cores/capacity", "cores"] == -4, "all of it is lent"
        loans.ended(first, "it was given back", 101.0)
        over = loans.to_write(110.0)
        assert over is not None
        found = offers(await written(ledger, over, ResourcesFound("ann", resources(2))))
        assert found["cores/allocated", "cores"] == 1
        assert found["cores/capacity", "cores"] == -2
        assert ("memory/allocated", "bytes") not in found
        # The node is killed, and starts again.
        entries = await written(ledger, LoansBrokenOff())
        assert not [name for name, _ in offers(entries) if name.endswith("/allocated")]
        books = Books()
        for entry in entries:
            assert not books.apply(entry).violations
        assert books.balance(f"node:{NODE}/cores/free", "cores") == 2

    run(tmp_path, work)


def test_long_scans_and_many_volumes_fit_into_an_entry(tmp_path: Path) -> None:
    tools = tuple(Program(name=f"t{n}", path="/opt/" + "x" * 200) for n in range(500))
    many = tuple(volume(f"/mnt/{n}", n + 1) for n in range(200))
    found = resources(4, GIB, *many).model_copy(update={"tools": tools})
    assert len(json.dumps(described(found))) < 40_000
    assert len(amounts(NODE, found)) <= 16

    async def work(ledger: OneLedger, recording: Recording) -> None:
        (entry,) = await written(ledger, ResourcesFound("ann", found))
        assert len(entry.body.postings) == 32
        assert entry.data["resources"]["cpu"]["cores"] == 4

    run(tmp_path, work)


# --- builds ------------------------------------------------------------------------------------


def report(name: str, status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {
        **{"name": name, "task": "build", "status": status, "tier": "full", "duration_ms": 12.4},
        **{"node": NODE, "action": "ab" * 32, "error": None},
        **changes,
    }


def no_result(action: Digest) -> bytes | None:
    return None


def ended(*packages: dict[str, Any], status: str = "succeeded", **changes: Any) -> BuildEnded:
    given: dict[str, Any] = {
        **{"build_id": "b1", "actor": "ann", "status": status, "duration_ms": 1234.5},
        **{"error": None, "packages": packages, "unchanged": 0, "results": Results((), no_result)},
    }
    return BuildEnded(**{**given, **changes})


BEGAN = BuildBegan("b1", "ann", "shop", "build", ("core", "page"))


def test_a_build_is_two_entries_and_one_account(tmp_path: Path) -> None:
    actions = (Digest.of(b"two"), Digest.of(b"one"), Digest.of(b"lost"))
    signed = {actions[0]: b"signed two", actions[1]: b"signed one"}
    of_store = {action: leaf_of(each) for action, each in signed.items()}

    async def work(ledger: OneLedger, recording: Recording) -> None:
        end = ended(report("core"), report("page"), results=Results(actions, of_store.get))
        began, completed = await written(ledger, BEGAN, end)
        assert (began.body.type, completed.body.type) == ("build.started", "build.completed")
        assert began.body.actor.id == "ann"
        for entry in (began, completed):
            assert entry.body.entity == "build:b1"
            assert entry.data.keys() <= TYPES[entry.body.type].fields.keys()
        states = [one.state for one in (*began.body.postings, *completed.body.postings)]
        assert states == ["", "running", "running", "completed"]
        assert {one.account for one in completed.body.postings} == {"build:b1/0"}
        ordered = sorted(actions[:2], key=lambda one: one.hash)
        leaves = [bytes.fromhex(Digest.of(signed[one]).hash) for one in ordered]
        assert completed.data["root"] == root_of(leaves).hex()
        assert completed.data["metrics"] == {
            **{"packages": 2, "results": 2, "status_succeeded": 2, "tier_full": 2}
        }
        (row,) = await ledger.store.table("builds")
        assert (row["status"], row["duration_ms"]) == ("completed", 1234)
        assert len(await ledger.store.table("build_packages")) == 2

    run(tmp_path, work)


def test_a_record_that_is_written_again_is_there_once(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        end = ended(report("core"))
        assert len(await written(ledger, BEGAN, BEGAN, end, end)) == 2

    run(tmp_path, work)


def test_failed_and_cancelled_builds_say_why(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        broken = report("page", "failed", error={"message": "the command failed"})
        records = (
            ended(report("core"), broken, status="failed"),
            ended(build_id="b2", status="cancelled"),
            ended(build_id="b3", status="failed", error="x" * 9000),
        )
        failed, cancelled, long = await written(ledger, *records)
        assert failed.data["error"] == "page: the command failed"
        assert [one["name"] for one in failed.data["packages"]] == ["page", "core"]
        assert cancelled.data["reason"] == "it was asked for"
        assert len(long.data["error"]) == 500
        # Their beginnings are not in this ledger: the accounts begin with the end.
        assert [one.state for one in failed.body.postings] == ["", "failed"]

    run(tmp_path, work)


def test_a_build_of_thousands_of_packages_fits_and_tells_the_failures(tmp_path: Path) -> None:
    packages = [report(f"package-{number}-{'x' * 60}") for number in range(5000)]
    packages.append(report("last", "failed", error={"message": "no"}, task="test"))

    async def work(ledger: OneLedger, recording: Recording) -> None:
        names = (*(one["name"] for one in packages), "bad-\udcff")
        began = BuildBegan("b1", "ann\x00\udcff", "shop", "build", names)
        start, end = await written(ledger, began, ended(*packages, status="failed"))
        assert end.data["packages"][0]["name"] == "last#test"
        kept = len(end.data["packages"])
        assert kept > 100
        assert end.data["packages_left_out"] == 5001 - kept
        assert end.data["metrics"]["status_failed"] == 1
        assert start.data["packages_left_out"] > 0
        assert start.body.actor.id == "ann??"

    run(tmp_path, work)


def test_a_build_that_a_crash_interrupted_is_closed_where_it_began(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        why = "the node stopped during this build"
        once = BuildInterrupted("b1", why)
        entries = await written(ledger, BEGAN, once, once, BuildInterrupted("b9", why))
        assert [one.body.type for one in entries] == ["build.started", "build.cancelled"]
        assert entries[1].data["reason"] == why

    run(tmp_path, work)


def test_who_goes_on_with_a_build_has_an_account_of_its_own_and_the_end_stands_there(
    tmp_path: Path,
) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        over, late = BuildTakenOver("b1", 1), ended(report("core"))
        end = ended(report("core"), term=1)
        entries = await written(ledger, BEGAN, over, over, end, late)
        types = [one.body.type for one in entries]
        assert types == ["build.started", "build.taken_over", "build.completed", "build.completed"]
        assert entries[1].data == {"term": 1, "before": 0}
        assert entries[2].data["term"] == 1
        books = Books()
        voids = [books.apply(one).is_void for one in entries]
        assert voids == [False, False, False, True]  # who was taken over from counts no more
        assert books.state("build:b1") == "completed"

    run(tmp_path, work)


def test_a_build_whose_beginning_was_lost_with_its_node_can_be_taken_over(tmp_path: Path) -> None:
    async def work(ledger: OneLedger, recording: Recording) -> None:
        entries = await written(ledger, BuildTakenOver("b1", 3), ended(report("core"), term=3))
        assert entries[0].data == {"term": 3, "before": None}
        books = Books()
        assert not any(books.apply(one).is_void for one in entries)
        assert books.state("build:b1") == "completed"

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
