"""What peers told of their ledgers."""

from __future__ import annotations

from tests.ledger.entries import ANN, BOB, chain_of

from buildnet.ledger.frontier import Advance
from buildnet.ledger.messages import Heads
from buildnet.ledger.service import peers as module
from buildnet.ledger.service.peers import Peers

ONE, OTHER = chain_of(ANN), chain_of(BOB)


def heads(sealed: int, **reach: int) -> Heads:
    chains = {"one": ONE, "other": OTHER}
    rows = tuple(
        Advance(chains[name].origin, chains[name].incarnation, sequence, bytes(32))
        for name, sequence in reach.items()
    )
    return Heads(sealed, bytes(32), rows)


def test_a_peer_is_behind_and_ahead() -> None:
    peers = Peers()
    assert peers.get(b"p") is None
    peers.heard(b"p", heads(3, one=5, other=9), 1.0)
    peers.heard(b"p", heads(4, one=6), 2.0)
    told = peers.get(b"p")
    assert told is not None
    assert (told.sealed, told.heard_at) == (4, 2.0)
    held = {ONE: 10, OTHER: 7}
    assert told.lacks(held, {}) == 4
    assert told.lacks(held, {ONE: 8, OTHER: 3}) == 2  # it holds a seal over more than it told
    assert told.leads(held) == 2


def test_what_is_remembered_is_bounded() -> None:
    peers = Peers()
    for number in range(module.MAX_PEERS + 5):
        peers.heard(number.to_bytes(4, "big"), heads(1), 0.0)
    assert peers.get((0).to_bytes(4, "big")) is None
    assert peers.get((module.MAX_PEERS + 4).to_bytes(4, "big")) is not None
