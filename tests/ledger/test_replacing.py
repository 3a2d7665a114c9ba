"""Another branch takes the place of one that is held, never of what was sealed meanwhile."""

from __future__ import annotations

import pytest
from tests.ledger.core_network import Network
from tests.ledger.entries import ANN, CLUSTER, chain_of, entry, run

from buildnet.ledger.chain import Tip
from buildnet.ledger.entry import Entry
from buildnet.ledger.frontier import Advance
from buildnet.ledger.holding import Holding
from buildnet.ledger.restored import Restored
from buildnet.ledger.sync.replacing import Replacing

CHAIN = chain_of(ANN)
HELD = run(5)


def branch_after(entries: list[Entry], count: int) -> list[Entry]:
    """The same entries, and ``count`` others than those that are held."""
    found = list(entries)
    for number in range(count):
        found.append(entry(after=Tip.of(found[-1]), data={"other": number}))
    return found


def sealed(holding: Holding, last: Entry) -> None:
    advances = (Advance(ANN.public_key, CHAIN.incarnation, last.body.sequence, last.hash),)
    holding.seal(advances, holding.under(advances))


@pytest.mark.parametrize("meanwhile", [2, 3])
def test_what_was_sealed_while_a_branch_was_fetched_stays(meanwhile: int) -> None:
    node = Network(2).nodes[0]
    holding = Holding(node.core.membership, Restored())
    replacing = Replacing(node.local, CLUSTER, holding)
    for one in HELD:
        holding.append(one)
    sealed(holding, HELD[0])
    branch = branch_after(HELD[:3], 2)
    target = Tip.of(branch[-1]).head
    replacing.begin(CHAIN, target, b"", 0.0)
    complete, _ = replacing.take(tuple(branch[1:meanwhile]), 0.0)
    assert complete == []
    sealed(holding, HELD[meanwhile - 1])
    replacing.settle()
    complete, _ = replacing.take(tuple(branch[meanwhile:]), 0.0)
    assert complete == []
    replacing.begin(CHAIN, target, b"", 0.0)
    complete, _ = replacing.take(tuple(branch[meanwhile:]), 0.0)
    assert complete == [CHAIN]
    new, replaced = replacing.finish(CHAIN)
    assert new == branch[3:]
    assert replaced == ((CHAIN, 4), (CHAIN, 5))
    assert holding.tip(CHAIN) == Tip.of(branch[-1])
    assert holding.reach.sequence(CHAIN) == meanwhile
