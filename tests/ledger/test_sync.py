"""Entries reach every node, whatever is lost, late or false on the way."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.ledger.core_network import Network, Node

from buildnet.ledger.chain import Tip
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Damaged, Effect, EntriesArrived, Repair
from buildnet.ledger.frontier import Advance
from buildnet.ledger.messages import (
    MAX_BATCH,
    MAX_BATCH_BYTES,
    Entries,
    EntriesAsk,
    Equivocation,
    Heads,
)
from buildnet.ledger.sync import arriving, gate
from buildnet.ledger.sync.arriving import MAX_AHEAD
from buildnet.ledger.sync.pulling import MAX_CLAIMS, WINDOW
from buildnet.mesh.allowance import Allowance
from buildnet.mesh.events import Received, Send
from buildnet.mesh.link.peer import BYTES_BURST, BYTES_PER_S
from buildnet.mesh.testing import CheapSignatures, key_number


def heads(node: Node) -> dict[Chain, int]:
    return {chain: head.sequence for chain, head in node.core.heads.items()}


def row(node: Node, count: int) -> list[Entry]:
    """Return entries that a node could append, in order."""
    entries: list[Entry] = []
    tip = node.tip
    for number in range(count):
        entries.append(node.make(number, tip=tip))
        tip = Tip.of(entries[-1])
    return entries


def test_what_is_appended_is_pushed_to_all_at_once_in_bounded_batches() -> None:
    network = Network()
    one, other, third = network.nodes
    network.append(one, 40, data="x" * 4000)
    pushed = network.sent(Entries)
    assert {to for _, to, _ in pushed} == {other.key, third.key}
    for _, _, said in pushed:
        assert isinstance(said, Entries)
        assert sum(len(entry) for entry in said.entries) <= MAX_BATCH_BYTES
    network.settle()
    assert heads(other) == heads(third) == {one.chain: 40}
    assert other.store.image.entries == one.store.image.entries


def test_what_is_missed_is_asked_for_in_parts_that_go_into_a_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Behind an answer that breaks off all others wait."""
    network = Network()
    one, other, third = network.nodes
    network.cut(one, other)
    network.cut(one, third)
    for _ in range(8):
        network.append(one, 500, data="x" * 400)
    asks: list[EntriesAsk] = []
    perform = network.perform

    def watched(node: Node, effects: list[Effect]) -> None:
        said = [effect.message for effect in effects if isinstance(effect, Send)]
        if node is other:
            asks.extend(each for each in said if isinstance(each, EntriesAsk))
        perform(node, effects)

    monkeypatch.setattr(network, "perform", watched)
    network.link(one, other)
    network.settle()
    assert heads(other) == {one.chain: 4000}
    assert len(asks) > 4 * WINDOW
    for before, ask in pairwise(asks):
        assert ask.first == before.last + 1


def test_what_was_missed_is_pulled_when_a_link_comes_up() -> None:
    network = Network()
    one, other, third = network.nodes
    network.cut(one, other)
    network.cut(one, third)
    network.append(one, 1000)
    network.settle()
    assert heads(other) == {}
    network.link(one, other)
    network.settle()
    assert heads(other) == {one.chain: 1000}
    network.settle(2.0)  # the third one hears of it from the second
    assert heads(third) == {one.chain: 1000}


def test_who_starts_after_its_links_came_up_is_told_how_far_its_own_chain_is_held() -> None:
    """What peers say of themselves when a link comes up it is not there yet to hear."""
    network = Network()
    one, other, _ = network.nodes
    network.append(one, 3)
    network.settle()
    network.link(one, other)
    network.flying.clear()
    own = one.core.heads[one.chain]
    said = Heads(0, bytes(32), (Advance(one.key, one.chain.incarnation, own.sequence, own.hash),))
    network.tell(other, Received(one.key, said, 0))
    told = [(target, m) for sender, target, m in network.sent(Heads) if sender == other.key]
    assert [target for target, _ in told] == [one.key]
    assert isinstance(answer := told[0][1], Heads)
    assert answer.heads == said.heads
    network.flying.clear()
    network.tell(other, Received(one.key, said, 0))
    assert network.sent(Heads) == []


def test_few_asks_are_under_way_at_a_time() -> None:
    network = Network()
    one, other, _ = network.nodes
    network.cut(one, other)
    network.append(one, 2000)
    network.flying.clear()
    network.link(one, other)
    most = 0
    for _ in range(2000):
        if heads(other) == {one.chain: 2000}:
            break
        network.deliver()
        for node in network.nodes:
            network.write(node)
        most = max(most, len([ask for ask in network.sent(EntriesAsk) if ask[0] == other.key]))
    assert heads(other) == {one.chain: 2000}
    assert 0 < most <= WINDOW + 1


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(12)), st.integers(1, 4))
def test_the_order_of_arrival_does_not_matter(order: list[int], size: int) -> None:
    network = Network()
    one, other, _ = network.nodes
    entries = row(one, 12)
    one.store.append(tuple(entries))
    for at in range(0, 12, size):
        batch = tuple(entries[place] for place in order[at : at + size])
        network.tell(other, EntriesArrived(one.key, batch))
    assert heads(other) == {one.chain: 12}
    network.write(other)
    assert other.store.image.entries == one.store.image.entries


def test_what_is_far_ahead_of_its_chain_is_not_kept_waiting() -> None:
    network = Network()
    one, other, _ = network.nodes
    first = one.make()
    tip = Tip(MAX_AHEAD + 5, bytes(32), 0)
    network.tell(other, EntriesArrived(one.key, (one.make(tip=tip),)))
    assert other.core._sync._arriving._waiting == {}
    network.tell(other, EntriesArrived(one.key, (one.make(tip=tip._replace(sequence=5)),)))
    assert len(other.core._sync._arriving._waiting[one.chain]) == 1
    network.tell(other, EntriesArrived(one.key, (first,)))
    assert heads(other) == {one.chain: 1}


def test_nobody_fills_the_memory_with_chains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_CHAINS", 2)
    network = Network()
    one, other, third = network.nodes
    chains = [Chain(one.key, bytes([number]) * 8) for number in range(3)]
    for chain in chains:
        network.tell(third, EntriesArrived(one.key, (one.make(chain=chain),)))
    assert heads(third) == dict.fromkeys(chains[:2], 1)
    network.append(other)
    network.settle()
    assert heads(third)[other.chain] == 1


def test_what_waits_of_one_origin_is_in_no_others_way(monkeypatch: pytest.MonkeyPatch) -> None:
    network = Network()
    one, other, third = network.nodes
    gaps, honest = row(one, 9)[1:], row(other, 3)
    monkeypatch.setattr(arriving, "MAX_WAITING_BYTES", 4 * len(gaps[0].signed))
    network.tell(third, EntriesArrived(one.key, tuple(gaps)))
    network.tell(third, EntriesArrived(other.key, tuple(honest[1:])))
    network.tell(third, EntriesArrived(other.key, tuple(honest[:1])))
    assert heads(third) == {other.chain: 3}


def test_entries_of_strangers_and_of_other_clusters_are_refused() -> None:
    network = Network()
    one, other, third = network.nodes
    stranger = key_number(99).public_key
    body = replace(one.make().body, origin=stranger)
    strange = Entry.sign(body, CheapSignatures(stranger).sign)
    network.tell(other, EntriesArrived(third.key, (strange,)))
    assert "ledger: entry beyond its bound" in other.notes
    foreign = Entry.sign(replace(one.make().body, cluster=bytes(32)), one.signatures.sign)
    network.tell(other, EntriesArrived(third.key, (foreign,)))
    assert "ledger: entry of another cluster" in other.notes
    assert heads(other) == {}
    assert not other.writes


def test_a_false_frontier_costs_a_few_asks_and_is_noted() -> None:
    network = Network()
    one, other, third = network.nodes
    network.settle(0.1)
    draw = random.Random(1)
    rows = tuple(Advance(one.key, draw.randbytes(8), 10**9, draw.randbytes(32)) for _ in range(250))
    for _ in range(40):
        network.tell(other, Received(third.key, Heads(10**6, bytes(32), rows)))
        rows = tuple(replace(one, incarnation=draw.randbytes(8)) for one in rows)
    pulling = other.core._sync._pulling
    assert sum(len(claims) for claims in pulling._claims.values()) <= MAX_CLAIMS
    asks = [ask for ask in network.sent(EntriesAsk) if ask[0] == other.key]
    assert len(asks) <= 16
    network.append(one, 10)
    network.settle()
    assert heads(other) == {one.chain: 10}
    network.settle(600.0)
    assert "ledger: entries did not come" in other.notes


def test_who_does_not_answer_is_not_waited_for_where_another_one_has_it() -> None:
    network = Network(3)
    one, liar, third = network.nodes
    network.append(third, 5)
    network.settle(1.0)
    rows = (Advance(third.key, third.chain.incarnation, 60, bytes(32)),)
    network.tell(one, Received(liar.key, Heads(0, bytes(32), rows)))
    network.settle(2.5)
    assert one.core._sync._pulling._patience.keys() == {liar.key}
    network.lost = {Entries}
    network.append(third, 1)
    network.deliver()
    network.lost = set()
    rows = (Advance(third.key, third.chain.incarnation, 6, third.tip.hash),)
    network.tell(one, Received(third.key, Heads(0, bytes(32), rows)))
    network.settle(0.1)
    assert heads(one)[third.chain] == 6


def test_an_endless_range_is_answered_by_one_message() -> None:
    network = Network()
    one, other, _ = network.nodes
    network.append(one, 500, data="x" * 500)
    network.settle()
    ask = EntriesAsk(one.chain.origin, one.chain.incarnation, 1, 2**62)
    network.tell(other, Received(one.key, ask))
    network.write(other)
    assert len(network.sent(Entries)) == 1


def test_two_entries_in_one_place_are_kept_as_evidence_and_told_once() -> None:
    network = Network()
    one, other, third = network.nodes
    network.append(one, 2)
    network.settle()
    forged = one.make("forged")
    network.append(one, 1, data="real")
    network.lost = {Entries}  # the third one hears of it by the evidence only
    network.deliver()
    network.lost = set()
    real = one.store.entry(one.chain, 3)
    assert real is not None
    network.tell(other, EntriesArrived(one.key, (real,)))
    network.tell(other, EntriesArrived(third.key, (forged,)))
    network.settle()
    for node in (other, third):
        (found,) = node.store.image.quarantines
        assert found.sequence == 3
        assert {found.one, found.other} == {real.signed, forged.signed}
    notes = [note for note in third.notes if note == "ledger: equivocation"]
    assert len(notes) == 1
    network.tell(third, Received(other.key, Equivocation(real.signed, forged.signed)))
    assert not network.sent(Equivocation)


def test_false_evidence_changes_nothing() -> None:
    network = Network()
    one, other, third = network.nodes
    entry = one.make()
    later = one.make(tip=Tip.of(entry))
    unsigned = entry.signed[:64] + replace(entry.body, reason="other").encode()
    for said in (
        Equivocation(entry.signed, entry.signed),
        Equivocation(entry.signed, later.signed),
        Equivocation(entry.signed, unsigned),
        Equivocation(entry.signed, bytes(200)),
    ):
        network.tell(other, Received(third.key, said))
    assert other.store.image.quarantines == []
    assert not other.writes


def test_this_nodes_own_chain_is_never_continued_by_others() -> None:
    network = Network()
    one, other, _ = network.nodes
    network.append(one, 2)
    network.settle()
    network.tell(one, EntriesArrived(other.key, (one.make("not mine"),)))
    assert heads(one) == {one.chain: 2}
    assert "ledger: own chain goes on elsewhere" in one.notes


def test_a_damaged_range_is_fetched_again() -> None:
    network = Network()
    one, other, _ = network.nodes
    entries = network.append(one, 5)
    network.settle()
    network.tell(other, Damaged(one.chain, 2, 4))
    (ask,) = network.sent(EntriesAsk)
    assert ask[2] == EntriesAsk(one.chain.origin, one.chain.incarnation, 2, 4)
    found = other.core.handle(EntriesArrived(one.key, tuple(entries[1:4])), network.now)
    assert Repair(tuple(entries[1:4])) in found


def test_all_that_is_asked_for_at_once_may_come_in_any_order() -> None:
    assert WINDOW * MAX_BATCH <= MAX_AHEAD


def test_who_hands_out_a_long_ledger_is_not_taken_for_a_flood() -> None:
    allowance = Allowance(BYTES_PER_S, BYTES_BURST, 0.0)
    a_second = 20_000 * 420  # entries, and bytes of each in its message: twice what is aimed at
    assert all(allowance.take(a_second, float(second)) for second in range(600))


def test_what_is_sent_again_is_no_news_though_it_was_never_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = Network()
    one, other, _ = network.nodes
    network.append(one, 3)
    network.settle()
    monkeypatch.setattr(arriving, "MAX_AHEAD", 40)
    following = row(one, 50)
    ahead, beyond = following[20], following[45]
    unlinked = one.make(tip=replace_hash(one.tip))
    unopened = one.make(tip=one.tip, chain=Chain(one.key, b"another!"))
    assert [other.core.is_news(one) for one in (following[0], ahead)] == [True, True]
    assert not any(map(other.core.is_news, (beyond, unlinked)))
    for _ in range(2):
        network.tell(other, EntriesArrived(one.key, (ahead, unlinked)))
        assert not other.core.is_news(ahead), "it waits for those before it"
    monkeypatch.setattr(arriving, "MAX_WAITING_BYTES", 2 * len(ahead.signed))
    network.tell(other, EntriesArrived(one.key, (unopened,)))
    assert not other.core.is_news(following[30]), "as much waits of that origin as may"
    assert other.core.is_news(following[0])


def replace_hash(tip: Tip) -> Tip:
    """Return where another branch would stand."""
    return tip._replace(hash=bytes(32))
