"""The ledger of a cluster of one node, on a real file: its clock runs ahead; it waits for seals."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from tests.ledger.core_network import Network, Node

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind, Chain, Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.ledger.service import cluster_ledger
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.own_chain import OwnChain
from buildnet.ledger.service.service import LedgerService
from buildnet.mesh.events import Office, OfficeChanged
from buildnet.mesh.service.cluster import Cluster

DRAFT = EntryDraft("note.added", Actor("somebody", "", ActorKind.USER.value), data={"text": "x"})


def cluster_of(node: Node) -> Cluster:
    """As much of a cluster as its ledger needs."""
    return cast(
        Cluster,
        SimpleNamespace(
            key=SimpleNamespace(sign=node.signatures.sign),
            local=node.local,
            machine=SimpleNamespace(log=node.log),
            links=SimpleNamespace(say=lambda to, said: None, say_all=lambda to, said: None),
            note=lambda note: None,
            note_bug=lambda detail: None,
        ),
    )


def test_what_is_appended_after_the_clock_was_set_right_is_sealed(tmp_path: Path) -> None:
    network = Network(1)
    (node,) = network.nodes
    node.local.office = Office(node.key, 1, granted=True, quorum=True)
    cluster = cluster_of(node)

    async def work() -> tuple[Entry, Entry]:
        path = tmp_path / "ledger.db"
        async with ClusterLedger.taking_part(cluster, path) as ledger:
            network.clock.advance(4000)
            wrong = await ledger.append_one(DRAFT)
            network.clock.advance(-4000)
            right = await asyncio.gather(*(ledger.append_one(DRAFT) for _ in range(3)))
            assert len({entry.chain for entry in right}) == 1
            assert await ledger.sealed(right[-1], 30.0) > 0
            (opening,) = await ledger.store.range(
                right[0].chain, 1, 1, max_count=1, max_bytes=10_000
            )
            said = Opening.read(opening.data)
            assert (opening.body.type, said.why) == (OPENED, Why.CLOCK_AHEAD)
            assert said.after is not None
            assert said.after[0] == wrong.chain
            return wrong, right[0]

    wrong, right = asyncio.run(work())
    assert wrong.chain != right.chain
    assert wrong.body.hlc > right.body.hlc


def test_a_bug_in_what_goes_on_ends_neither_the_node_nor_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (node,) = Network(1).nodes
    right, calls = OwnChain.choose, list[int]()

    async def wrong(self: OwnChain) -> tuple[Chain, Opening | None]:
        calls.append(1)
        if len(calls) == 1:
            raise RuntimeError("a bug")
        return await right(self)

    monkeypatch.setattr(OwnChain, "choose", wrong)
    monkeypatch.setattr(cluster_ledger, "_AGAIN_S", 0.0)

    async def work() -> None:
        async with ClusterLedger.taking_part(cluster_of(node), tmp_path / "ledger.db") as ledger:
            assert (await ledger.append_one(DRAFT)).body.sequence == 2

    asyncio.run(work())
    assert len(calls) == 2


def test_who_asks_while_a_seal_is_on_its_way_to_the_disk_is_told_once_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(1)
    (node,) = network.nodes
    node.local.office = Office(node.key, 1, granted=True, quorum=True)

    async def work() -> None:
        async with ClusterLedger.taking_part(cluster_of(node), tmp_path / "ledger.db") as ledger:
            right, let, held = ledger.store.keep, asyncio.Event(), asyncio.Event()

            async def keep(*what: Keep) -> None:
                if any(one.seals for one in what):
                    held.set()
                    await let.wait()
                await right(*what)

            await ledger.sealed(await ledger.append_one(DRAFT), 30.0)
            monkeypatch.setattr(ledger.store, "keep", keep)
            entry = await ledger.append_one(DRAFT)
            await held.wait()
            assert ledger.core.holding.reach.sequence(entry.chain) == entry.body.sequence
            asked = asyncio.create_task(ledger.sealed(entry, 30.0))
            for _ in range(3):  # longer than its look at the store takes
                await ledger.store.entry(entry.id)
            assert not asked.done()
            let.set()
            height = await asked
            assert (await ledger.store.entry(entry.id)).height == height

    async def in_time() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(in_time())


def test_who_leaves_waits_until_its_entries_are_sealed_if_anybody_seals(tmp_path: Path) -> None:
    (node,) = Network(1).nodes

    async def work() -> None:
        service = LedgerService(tmp_path)
        async with service.guest(cluster_of(node)):
            ledger = await service.current()
            entry = await ledger.append_one(DRAFT)
            await service.settle(0.0)
            office = Office(node.key, 1, granted=True, quorum=True)
            node.local.office = office
            ledger.take(OfficeChanged(office))
            await service.settle(30.0)
            assert ledger.core.holding.reach.sequence(entry.chain) >= entry.body.sequence

    asyncio.run(work())
