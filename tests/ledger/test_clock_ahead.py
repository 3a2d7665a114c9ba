"""A node's clock runs far ahead, and is set right while its ledger is open."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from tests.ledger.core_network import Network

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind, Entry
from buildnet.ledger.opening import OPENED, Opening, Why
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.mesh.events import Office
from buildnet.mesh.service.cluster import Cluster

DRAFT = EntryDraft("note.added", Actor("somebody", "", ActorKind.USER.value), data={"text": "x"})


def test_what_is_appended_after_the_clock_was_set_right_is_sealed(tmp_path: Path) -> None:
    network = Network(1)
    (node,) = network.nodes
    node.local.office = Office(node.key, 1, granted=True, quorum=True)
    cluster = SimpleNamespace(
        key=SimpleNamespace(sign=node.signatures.sign),
        local=node.local,
        machine=SimpleNamespace(log=node.log),
        links=SimpleNamespace(say=lambda to, said: None, say_all=lambda to, said: None),
        note=lambda note: None,
    )

    async def work() -> tuple[Entry, Entry]:
        path = tmp_path / "ledger.db"
        async with ClusterLedger.taking_part(cast(Cluster, cluster), path) as ledger:
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
