"""What peers have pruned comes as hashes, counts as far as a final seal is over it, and no more."""

from __future__ import annotations

import pytest
from tests.ledger.core_network import Network, Node

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import Effect, EntriesArrived, Keep, Stub
from buildnet.ledger.frontier import Advance
from buildnet.ledger.messages import EntriesAsk, Heads, PrunedEntries, Seals
from buildnet.ledger.sealing.core import WANT_S
from buildnet.mesh.events import LinkUp, Note, Received, Send


def grown() -> tuple[Network, Node, Node, list[Entry]]:
    """Two that have sealed some entries of the first, and a third that lacks all but the opening:
    its seal is here, the others' entries were pruned."""
    network = Network(3)
    one, other, third = network.nodes
    network.office(one, 1)
    network.append(one)
    network.settle(0.5)
    network.cut(one, third)
    network.cut(other, third)
    entries = network.append(one, 5)
    network.settle(0.5)
    assert other.core.last is not None
    assert third.core.last is not None
    assert other.core.last.height == third.core.last.height + 1
    third.local.links[other.key] = other.local.links[one.key]
    network.tell(third, LinkUp(other.key, True))
    return network, other, third, entries


def pruned(entries: list[Entry]) -> PrunedEntries:
    first = entries[0]
    return PrunedEntries(
        first.body.origin,
        first.body.incarnation,
        first.body.sequence,
        tuple(one.hash + one.body.hlc.to_bytes(8, "big") for one in entries),
    )


def tell(network: Network, node: Node, sender: Node, said: object) -> list[Effect]:
    return network.tell(node, Received(sender.key, said))  # type: ignore[arg-type]


def stubs_of(effects: list[Effect]) -> tuple[Stub, ...]:
    return tuple(stub for one in effects if isinstance(one, Keep) for stub in one.stubs)


def test_nothing_is_taken_that_no_final_seal_names() -> None:
    network, other, third, entries = grown()
    assert stubs_of(tell(network, third, other, pruned(entries))) == ()
    assert third.core.heads[entries[0].chain].sequence == 1


def test_what_a_final_seal_is_over_is_taken() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    effects = tell(network, third, other, pruned(entries))
    assert [stub.sequence for stub in stubs_of(effects)] == [2, 3, 4, 5, 6]
    assert third.core.last == other.core.last
    assert not third.core.holding.chains[entries[0].chain].stubs


@pytest.mark.parametrize("wrong", [2, 4])
def test_hashes_that_are_not_those_sealed_are_forgotten(wrong: int) -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    said = pruned(entries)
    lie = list(said.entries)
    lie[wrong] = bytes(32) + lie[wrong][32:]
    effects = tell(
        network,
        third,
        other,
        PrunedEntries(said.origin, said.incarnation, said.first, tuple(lie)),
    )
    assert third.core.last != other.core.last
    notes = [one.reason for one in effects if isinstance(one, Note)]
    assert "ledger: pruned entries that no seal is over" in notes
    assert third.core.heads[entries[0].chain].sequence == 1
    replaced = [one.replaced for one in effects if isinstance(one, Keep) and one.replaced]
    assert [at for _, at in replaced[0]] == [2, 3, 4, 5, 6]
    tell(network, third, other, pruned(entries))
    assert third.core.last == other.core.last


def test_who_was_not_asked_is_not_believed() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    one = network.nodes[0]
    third.local.links[one.key] = third.local.links[other.key]
    assert stubs_of(tell(network, third, one, pruned(entries))) == ()
    assert stubs_of(tell(network, third, other, pruned(entries[1:]))) == ()
    assert stubs_of(tell(network, third, other, pruned(entries)))


def test_who_claims_to_have_them_whole_is_asked_first() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    one, last = network.nodes[0], entries[-1]
    third.local.links[one.key] = third.local.links[other.key]
    row = Advance(*last.chain, last.body.sequence, last.hash)
    tell(network, third, one, Heads(0, bytes(32), (row,)))
    effects = tell(network, third, other, pruned(entries))
    assert stubs_of(effects) == ()
    asks = [one for one in effects if isinstance(one, Send) and isinstance(one.message, EntriesAsk)]
    assert {ask.to for ask in asks} == {one.key}
    network.tell(third, EntriesArrived(one.key, tuple(entries)))
    assert third.core.last == other.core.last
    assert not third.core.holding.chains[last.chain].stubs


def test_a_clock_that_no_entry_has_is_not_taken() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    said = pruned(entries)
    lie = (said.entries[0][:32] + bytes([255] * 8), *said.entries[1:])
    tell(network, third, other, PrunedEntries(said.origin, said.incarnation, said.first, lie))
    network.settle(2 * WANT_S)
    tell(network, third, other, pruned(entries))
    assert third.core.last == other.core.last


def test_entries_that_came_before_what_was_pruned_follow_it() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    network.tell(third, EntriesArrived(other.key, tuple(entries[3:])))
    assert third.core.heads[entries[0].chain].sequence == 1
    effects = tell(network, third, other, pruned(entries[:3]))
    assert [stub.sequence for stub in stubs_of(effects)] == [2, 3, 4]
    kept = [entry for one in effects if isinstance(one, Keep) for entry in one.entries]
    assert kept == entries[3:]
    assert third.core.last == other.core.last


def test_what_a_seal_lacks_is_asked_for_again_from_everybody() -> None:
    network, other, third, entries = grown()
    assert other.core.last is not None
    tell(network, third, other, Seals((other.core.last.record,)))
    one = network.nodes[0]
    third.local.links[one.key] = third.local.links[other.key]
    network.cut(third, other)  # who sent the seal is gone
    network.now += 60.0
    effects = third.core.tick(network.now)
    asks = [each for each in effects if isinstance(each, Send) and each.to == one.key]
    assert any(
        isinstance(ask.message, EntriesAsk) and ask.message.last == entries[-1].body.sequence
        for ask in asks
    )
