"""Which chain a node goes on with after a start."""

from __future__ import annotations

import asyncio

import pytest

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Advance, Head
from buildnet.ledger.messages import Heads
from buildnet.ledger.opening import Why
from buildnet.ledger.restored import Restored
from buildnet.ledger.service import own_chain
from buildnet.ledger.service.own_chain import OwnChain
from buildnet.ledger.store.fence import Start
from buildnet.mesh.events import LinkState
from testbed.core_network import keys_of, local_of, member_list

ME, ONE, OTHER = keys_of(3)
CHAIN = Chain(ME, b"12345678")
HEAD = Head(7, b"h" * 32)
HELD = Restored(heads={Chain(ME, b"earlier!"): (Head(9, b"e" * 32), 5), CHAIN: (HEAD, 6)})


def heads(sequence: int = 7, entry: bytes = HEAD.hash) -> Heads:
    return Heads(0, bytes(32), (Advance(ME, CHAIN.incarnation, sequence, entry),))


def chosen(
    *told: tuple[bytes, Heads],
    restored: Restored = HELD,
    start: Start = Start.CONTINUED,
    members: int = 3,
) -> tuple[Chain, Why | None]:
    local = local_of(ME, member_list([ME, ONE, OTHER][:members]))
    local.links = {key: LinkState(True, 0.0) for key in (ONE, OTHER)[: members - 1]}
    own = OwnChain(local, restored, start)
    for sender, said in told:
        own.heard(sender, said)
    chain, opening = asyncio.run(own.choose())
    return chain, None if opening is None else opening.why


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(own_chain, "CONFIRM_S", 0.01)
    monkeypatch.setattr(own_chain, "OTHERS_S", 0.01)


def test_a_chain_that_a_peer_confirms_goes_on() -> None:
    assert chosen((ONE, heads())) == (CHAIN, None)


def test_a_node_alone_goes_on() -> None:
    assert chosen(members=1) == (CHAIN, None)


@pytest.mark.parametrize(
    "told",
    [
        (),
        ((ONE, heads(6)),),
        ((ONE, heads(8)),),
        ((ONE, heads(7, b"x" * 32)),),
        ((ONE, heads()), (OTHER, heads(8))),
        ((OTHER, heads(7, b"x" * 32)), (ONE, heads())),
    ],
)
def test_one_that_nobody_confirms_or_somebody_knows_better_does_not(
    told: tuple[tuple[bytes, Heads], ...],
) -> None:
    chain, why = chosen(*told)
    assert chain.origin == ME
    assert chain not in HELD.heads
    assert why is Why.UNCONFIRMED_HEAD


def test_a_restored_ledger_begins_another_chain_whatever_peers_say() -> None:
    chain, why = chosen((ONE, heads()), start=Start.RESTORED)
    assert chain not in HELD.heads
    assert why is Why.RESTORE


def test_a_new_node_begins_its_first_chain() -> None:
    _, why = chosen(restored=Restored(), start=Start.FRESH)
    assert why is Why.FIRST
