"""Which chain a node goes on with after a start."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from tests.ledger.entries import run

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Advance, Head
from buildnet.ledger.messages import Heads
from buildnet.ledger.opening import Why
from buildnet.ledger.restored import Restored
from buildnet.ledger.service import own_chain
from buildnet.ledger.service.own_chain import OwnChain
from buildnet.ledger.store.fence import Start
from buildnet.mesh.events import LinkState
from buildnet.mesh.local import Local
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


@pytest.mark.parametrize("members", [1, 3])
def test_a_chain_whose_newest_entry_is_damaged_does_not_go_on(members: int) -> None:
    unsure = replace(HELD, unsure=frozenset([CHAIN]))
    told = [(ONE, heads())][: members - 1]
    chain, why = chosen(*told, restored=unsure, members=members)
    assert chain != CHAIN
    assert why is Why.UNCONFIRMED_HEAD
    # One that was succeeded before keeps nothing from going on.
    older = replace(HELD, unsure=frozenset([Chain(ME, b"earlier!")]))
    assert chosen(*told, restored=older, members=members) == (CHAIN, None)
    # Nothing of the newest one can be read.
    gone = replace(HELD, unsure=frozenset([Chain(ME, b"unknown!")]))
    assert chosen(*told, restored=gone, members=members)[1] is Why.UNCONFIRMED_HEAD
    assert chosen(restored=Restored(unsure=gone.unsure))[1] is Why.RESTORE


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


@pytest.mark.parametrize("goes_on", [True, False])
def test_what_the_disk_lost_has_to_be_shown(goes_on: bool) -> None:
    entries = run(4)
    local = local_of(entries[0].body.origin, member_list([entries[0].body.origin, OTHER]))
    local.links = {OTHER: LinkState(True, 0.0)}
    chain, tip = entries[0].chain, entries[1]
    own = OwnChain(
        local, Restored(heads={chain: (Head(2, tip.hash), tip.body.hlc)}), Start.CONTINUED
    )
    reach, entry_hash = (2, tip.hash) if goes_on else (4, entries[3].hash)
    row = Advance(chain.origin, chain.incarnation, reach, entry_hash)
    assert own.heard(OTHER, Heads(0, bytes(32), (row,))) is not goes_on
    assert (asyncio.run(own.choose())[0] == chain) is goes_on
    assert not own.is_shown_loss(entries[:2])
    assert own.is_shown_loss(entries) is not goes_on
    assert not own.is_shown_loss(entries)


def test_a_restored_ledger_begins_another_chain_whatever_peers_say() -> None:
    chain, why = chosen((ONE, heads()), start=Start.RESTORED)
    assert chain not in HELD.heads
    assert why is Why.RESTORE


def test_a_new_node_begins_its_first_chain() -> None:
    _, why = chosen(restored=Restored(), start=Start.FRESH)
    assert why is Why.FIRST


def ahead_of(local: Local, seconds: float) -> int:
    return local.clock.now() + (int(seconds * 1000) << 16)


def test_a_chain_whose_clock_ran_ahead_does_not_go_on() -> None:
    local = local_of(ME, member_list([ME]))
    ahead = Restored(heads={CHAIN: (HEAD, ahead_of(local, 400))})
    assert chosen(restored=ahead, members=1)[1] is Why.CLOCK_AHEAD
    a_little = Restored(heads={CHAIN: (HEAD, ahead_of(local, 200))})
    assert chosen(restored=a_little, members=1) == (CHAIN, None)


def test_of_a_chain_that_ran_ahead_and_its_successor_the_successor_goes_on() -> None:
    local = local_of(ME, member_list([ME]))
    successor = Chain(ME, b"afterthe")
    heads = {CHAIN: (HEAD, ahead_of(local, 4000)), successor: (Head(2, b"s" * 32), 9)}
    assert chosen(restored=Restored(heads=heads), members=1) == (successor, None)


def test_after_an_entry_of_a_wrong_clock_another_chain_begins_once() -> None:
    local = local_of(ME, member_list([ME]))
    own = OwnChain(local, Restored(), Start.FRESH)
    (right,) = run(1)
    wrong = Entry.sign(replace(right.body, hlc=ahead_of(local, 400)), lambda _: bytes(64))
    own.wrote(right)
    assert own.successor() is None
    own.wrote(wrong)
    found = own.successor()
    assert found is not None
    chain, opening = found
    assert (chain.origin, opening.why) == (ME, Why.CLOCK_AHEAD)
    assert opening.after == (wrong.chain, Head(wrong.body.sequence, wrong.hash))
    assert own.successor() is None
