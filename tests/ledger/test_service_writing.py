"""What is written together, who is told, and in which order it goes out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tests.ledger.entries import ANN, BOB, chain_of, run
from tests.ledger.store_making import Scene, using

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor
from buildnet.ledger.events import Keep
from buildnet.ledger.messages import SealPropose, Seals
from buildnet.ledger.restored import Accepted, Restored
from buildnet.ledger.seal import Cosignature, SealRecord
from buildnet.ledger.service import cluster_ledger
from buildnet.ledger.service import keeper as module
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import LedgerStoppedError
from buildnet.ledger.service.keeper import Keeper
from buildnet.ledger.service.waiting import Waiting
from buildnet.ledger.store.errors import LedgerFullError
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.send_queue import Outgoing, SendQueue
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.testing import listening_node

OTHERS = Keep(1, entries=tuple(run(3)))
MORE = Keep(2, entries=tuple(run(2, BOB)))
VOTE = Keep(3, accepted=Accepted(1, 1, b"value"))


class Disk:
    """A store that takes what it is given."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []

    async def keep(self, *what: Keep) -> None:
        self.written.append([one.token for one in what])


def keeping(work: Callable[[Keeper], Awaitable[None]]) -> list[list[int]]:
    """Run ``work`` with a keeper; return the tokens of each write."""
    disk, told = Disk(), list[int]()

    async def go() -> None:
        keeper = Keeper(cast(LedgerStore, disk), told.append)
        running = asyncio.create_task(keeper.run())
        async with asyncio.timeout(20):
            await work(keeper)
            await keeper.written()
        running.cancel()

    asyncio.run(go())
    assert told == [token for batch in disk.written for token in batch]
    return disk.written


def test_entries_of_others_are_written_with_the_vote_that_rests_on_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TOGETHER_S", 3600.0)

    async def work(keeper: Keeper) -> None:
        keeper.put(OTHERS)
        for _ in range(5):
            await asyncio.sleep(0)
        keeper.put(MORE)
        for _ in range(5):
            await asyncio.sleep(0)
        keeper.put(VOTE)

    assert keeping(work) == [[1, 2, 3]]


def test_entries_that_nobody_waits_for_are_written_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TOGETHER_S", 0.001)

    async def work(keeper: Keeper) -> None:
        keeper.put(OTHERS)
        await keeper.written()
        keeper.put(MORE)

    assert keeping(work) == [[1], [2]]


@pytest.mark.parametrize("together", [True, False])
def test_no_vote_rests_on_what_a_bug_left_out(together: bool) -> None:
    class Faulty(Disk):
        async def keep(self, *what: Keep) -> None:
            if OTHERS in what:
                raise RuntimeError("a bug")
            await super().keep(*what)

    async def go() -> None:
        told: list[int] = []
        keeper = Keeper(cast(LedgerStore, Faulty()), told.append)
        running = asyncio.create_task(keeper.run())
        async with asyncio.timeout(20):
            for keep in (OTHERS, MORE, VOTE):
                keeper.put(keep)
                if not together:
                    await keeper.written()
            await keeper.written()
        running.cancel()
        assert told == [MORE.token]

    asyncio.run(go())


def test_seals_are_set_aside_after_what_was_put_before_and_as_often_as_it_takes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A seal of the old voters that waits to be written must not come after it."""
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)
    voters, state = cast(VoterHistory, object()), cast(Restored, object())

    class Slow(Disk):
        tries = 0

        async def keep(self, *what: Keep) -> None:
            await asyncio.sleep(0.01)
            await super().keep(*what)

        async def rewind(self, height: int, of: VoterHistory) -> Restored:
            assert (height, of) == (7, voters)
            assert disk.written == [[3], [4]]
            self.tries += 1
            if self.tries == 1:
                raise LedgerFullError("no room")
            return state

    disk = Slow()

    async def go() -> None:
        keeper = Keeper(cast(LedgerStore, disk), lambda token: None)
        running = asyncio.create_task(keeper.run())
        async with asyncio.timeout(20):
            keeper.put(VOTE)
            await asyncio.sleep(0)  # it is on its way,
            await asyncio.sleep(0)
            keeper.put(replace(VOTE, token=4))  # and another one waits
            assert await keeper.rewind(7, voters) is state
        running.cancel()

    asyncio.run(go())
    assert disk.tries == 2


def test_what_can_never_be_written_holds_up_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """On a real file: a seal that counts other entries, and one where another is kept."""
    scene, other = Scene(), Scene()
    scene.add()
    others = other.add(BOB)
    first = [scene.keep(), scene.seal()]
    entries, rival = other.keep(), other.seal()
    miscounted = replace(scene.seal(), token=91, sealed=(((others.chain, 1),),))
    vote = Keep(92, accepted=Accepted(1, 2, b"value"))
    told: list[int] = []
    failed: list[str] = []

    async def work(store: LedgerStore) -> None:
        keeper = Keeper(store, told.append, failed.append)
        running = asyncio.create_task(keeper.run())
        async with asyncio.timeout(20):
            for keep in first:
                keeper.put(keep)
            await keeper.written()
            for keep in (replace(rival, token=80), replace(entries, token=81), miscounted, vote):
                keeper.put(keep)
            await keeper.written()
        running.cancel()
        assert (await store.entry(others.id)).entry == others
        assert keeper.left_out == failed[-1]

    using(tmp_path / "l.db", work)
    assert told == [1, 2, 81]
    assert failed == [
        "another final seal of height 1 is kept",
        "the seal of height 2 counts other entries",
    ]
    assert caplog.text.count("not written to the ledger, for ever") == 2


def test_a_full_volume_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_PAUSE_S", 0.001)

    class Full(Disk):
        tries = 0

        async def keep(self, *what: Keep) -> None:
            self.tries += 1
            if self.tries < 4:
                raise LedgerFullError("no room left")
            await super().keep(*what)

    async def go() -> None:
        told: list[int] = []
        keeper = Keeper(cast(LedgerStore, Full()), told.append)
        running = asyncio.create_task(keeper.run())
        async with asyncio.timeout(20):
            keeper.put(VOTE)
            await keeper.written()
        running.cancel()
        assert (told, keeper.left_out) == ([VOTE.token], None)

    asyncio.run(go())


def test_who_waits_for_a_seal_waits_no_longer_than_said() -> None:
    async def go() -> None:
        waiting = Waiting()
        with pytest.raises(TimeoutError):
            await waiting.wait(chain_of(ANN), 5, 0.001)
        late = asyncio.create_task(waiting.wait(chain_of(ANN), 5, 3600.0))
        await asyncio.sleep(0)
        waiting.stop(LedgerStoppedError("this node stops"))
        with pytest.raises(LedgerStoppedError):
            await late

    asyncio.run(go())


def test_a_seal_goes_out_before_the_proposal_of_the_next_height() -> None:
    seal = Seals((SealRecord(b"value", 1, (Cosignature(bytes(32), bytes(64)),)),))
    queue = SendQueue()
    for message in (seal, SealPropose(1, b"next")):
        queue.put(Outgoing.of(message))
    first = queue.take()
    assert first is not None
    assert first.payload == seal.encode()


def test_own_entries_are_handed_out_together_and_acknowledged_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_ledger, "TOGETHER_S", 3600.0)
    draft = EntryDraft("test.happened", Actor("somebody", "", "user"))
    ledgers: list[ClusterLedger] = []

    @asynccontextmanager
    async def guest(cluster: Cluster) -> AsyncIterator[ClusterLedger]:
        async with ClusterLedger.taking_part(cluster, tmp_path / "ledger.db") as ledger:
            ledgers.append(ledger)
            yield ledger

    async def go() -> None:
        key = NodeKey.generate()
        async with listening_node(tmp_path, "one", key=key, guest_of=guest):
            (ledger,) = ledgers
            async with asyncio.timeout(20):
                made = [await ledger.append_one(draft) for _ in range(3)]
            chain = made[0].chain
            assert ledger.core.heads[chain].sequence < made[0].body.sequence
            assert await ledger.store.range(chain, made[0].body.sequence, 100) == made

    asyncio.run(go())
