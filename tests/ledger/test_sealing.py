"""Seals: what voters check, what is on disk before it is said, what the next coordinator does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.ledger.core_network import Network, Node

from buildnet.ledger.chain import Tip
from buildnet.ledger.core import LedgerCore
from buildnet.ledger.entry import Chain
from buildnet.ledger.events import EntriesArrived
from buildnet.ledger.frontier import Head
from buildnet.ledger.merkle import root_of
from buildnet.ledger.messages import (
    Entries,
    SealCosign,
    SealPrepare,
    SealPromise,
    SealPropose,
    SealRefuse,
    Seals,
)
from buildnet.ledger.seal import (
    Cosignature,
    SealRecord,
    SealValue,
    cosign_statement,
    hash_of_value,
)
from buildnet.ledger.sealing.proposing import INTERVAL_S
from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.members.member_list import Revocation


def sealed_up_to(node: Node) -> dict[Chain, int]:
    return {chain: head.sequence for chain, head in node.core.frontier.items()}


def in_office(term: int = 1) -> tuple[Network, Node, Node, Node]:
    """Three voters, the first in office; an entry is sealed."""
    network = Network(3)
    one, other, third = network.nodes
    network.office(one, term)
    network.append(one)
    network.settle(0.5)
    assert one.core.last is not None
    assert other.core.last == third.core.last
    return network, one, other, third


def refusals(network: Network) -> list[str]:
    return [said.reason for _, _, said in network.flying if isinstance(said, SealRefuse)]


def proposal(network: Network, sender: Node) -> SealPropose:
    found = [said for key, _, said in network.sent(SealPropose) if key == sender.key]
    assert isinstance(found[0], SealPropose)
    return found[0]


def test_what_is_appended_anywhere_is_sealed_everywhere() -> None:
    network, one, other, third = in_office()
    network.append(other, 30)
    network.append(third, 5)
    network.settle(0.5)
    expected = {one.chain: 1, other.chain: 30, third.chain: 5}
    for node in network.nodes:
        assert sealed_up_to(node) == expected
        assert node.sealed == list(range(1, node.core.last.height + 1) if node.core.last else [])
        assert node.core.last == one.core.last


def test_a_promise_is_on_disk_before_it_is_said() -> None:
    network = Network(3)
    one, other, _ = network.nodes
    network.office(one, 4)
    network.deliver()
    assert not network.sent(SealPromise)
    assert other.store.image.promise == 0
    network.write(other)
    assert other.store.image.promise == 4
    assert [said[0] for said in network.sent(SealPromise)] == [other.key]


def test_a_value_and_its_entries_are_on_disk_before_they_are_cosigned() -> None:
    network, one, other, _ = in_office()
    network.append(one)
    while not network.sent(SealPropose):
        network.deliver()
        network.write(one)
        network.settle_tick(one)
    network.deliver()
    assert not network.sent(SealCosign)
    network.write(other)
    assert [said[0] for said in network.sent(SealCosign)] == [other.key]
    assert other.store.image.accepted is not None
    assert other.store.image.entries[one.chain].keys() == {1, 2}


def test_the_first_after_a_pause_is_sealed_at_once_the_next_after_the_interval() -> None:
    network, one, *_ = in_office()
    network.settle(1.0)
    network.append(one)
    assert network.sent(SealPropose)
    network.settle()
    assert sealed_up_to(one) == {one.chain: 2}
    network.append(one)
    network.settle()
    assert sealed_up_to(one) == {one.chain: 2}
    network.settle(INTERVAL_S)
    assert sealed_up_to(one) == {one.chain: 3}


def test_without_a_majority_nothing_is_final() -> None:
    network, one, other, third = in_office()
    network.cut(one, other)
    network.cut(one, third)
    network.append(one)
    network.settle(5.0)
    assert sealed_up_to(one) == {one.chain: 1}
    network.link(one, other)
    network.settle(1.0)
    assert sealed_up_to(one) == sealed_up_to(other) == {one.chain: 2}


def test_a_lost_office_ends_the_sealing_at_once() -> None:
    network, one, *_ = in_office()
    network.settle(1.0)
    assert one.local.office is not None
    one.local.office = replace(one.local.office, quorum=False)
    network.tell(one, OfficeChanged(one.local.office))
    network.append(one)
    assert not network.sent(SealPropose)
    network.settle(3.0)
    assert sealed_up_to(one) == {one.chain: 1}


def test_a_candidate_that_dies_before_the_seal_leaves_its_value_to_the_next() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.lost = {SealCosign, Seals}
    network.append(one)
    network.deliver()
    network.cut(one, other)
    network.cut(one, third)
    for node in (other, third):
        network.write(node)
    network.flying.clear()
    value = other.store.image.accepted
    assert value is not None
    network.lost = set()
    network.append(other, 3)  # the new coordinator would seal something else
    network.office(other, 2, at=(other, third))
    network.settle(0.01)
    first = other.store.seal(2)
    assert first is not None
    assert first.record.value == value.value
    assert first.record.term == 2
    network.settle(1.0)
    assert sealed_up_to(other) == sealed_up_to(third) == {one.chain: 2, other.chain: 3}


def test_a_voter_that_promised_a_higher_term_accepts_nothing_lower() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.append(one)
    said = proposal(network, one)
    network.flying.clear()
    network.office(third, 2, at=(other, third))
    network.settle()
    network.office(one, 1, at=(other,))  # as if it had heard late of the old one
    network.tell(other, Received(one.key, said))
    assert refusals(network) == ["term too old"]
    network.tell(other, Received(one.key, SealPrepare(1, 2)))
    (promise,) = network.sent(SealPromise)
    assert isinstance(promise[2], SealPromise)
    assert promise[2].promised == 2


def test_a_voter_accepts_one_value_a_height_and_term() -> None:
    network, one, other, _ = in_office()
    network.settle(1.0)
    network.append(one)
    said = proposal(network, one)
    network.deliver()
    network.write(other)
    network.flying.clear()
    value = SealValue.decode(said.value)
    another = SealPropose(said.term, replace(value, hlc=value.hlc + 1).encode())
    network.tell(other, Received(one.key, another))
    assert refusals(network) == ["another value"]
    network.flying.clear()
    network.tell(other, Received(one.key, said))
    assert len(network.sent(SealCosign)) == 1


def test_only_who_is_in_office_is_listened_to() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.append(one)
    said = proposal(network, one)
    network.flying.clear()
    network.tell(other, Received(third.key, said))
    assert refusals(network) == ["not in office"]
    network.tell(other, Received(third.key, SealPrepare(9, 2)))
    assert not network.sent(SealPromise)
    assert not other.writes


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"cluster": bytes(32)}, "of another cluster"),
        ({"previous": bytes(32)}, "another history"),
        ({"history": bytes(32)}, "another history"),
        ({"frontier": bytes(32)}, "another frontier"),
        ({"root": bytes(32)}, "another root"),
        ({"count": 2}, "another count"),
        ({"advances": (), "count": 0}, "nothing to seal"),
        ({"hlc": 1}, "clock went back"),
        ({"members": 0}, "voters out of turn"),
    ],
)
def test_a_voter_refuses_a_value_that_is_not_right(change: dict[str, object], reason: str) -> None:
    network, one, other, _ = in_office()
    network.settle(1.0)
    network.append(one)
    said = proposal(network, one)
    network.flying.clear()
    for node in network.nodes:
        network.write(node)
    entry = one.store.entry(one.chain, 2)
    assert entry is not None
    network.tell(other, EntriesArrived(one.key, (entry,)))
    value = SealValue.decode(said.value)
    wrong = replace(value, **change)  # type: ignore[arg-type]
    network.tell(other, Received(one.key, SealPropose(said.term, wrong.encode())))
    assert refusals(network) == [reason]
    network.tell(other, Received(one.key, said))
    network.write(other)
    assert len(network.sent(SealCosign)) == 1


def test_a_value_from_the_future_waits_until_it_is_none() -> None:
    network, one, other, _ = in_office()
    network.settle(1.0)
    network.append(one)
    said = proposal(network, one)
    network.settle()
    network.flying.clear()
    value = SealValue.decode(said.value)
    ahead = replace(value, height=value.height, hlc=value.hlc + (400_000 << 16))
    late = SealPropose(said.term, ahead.encode())
    assert other.core._sealing._values.is_ahead(ahead)
    network.tell(other, Received(one.key, late))
    assert not network.sent(SealCosign)
    network.clock.advance(200)
    assert not other.core._sealing._values.is_ahead(ahead)


def test_voters_whose_clocks_were_ahead_hold_up_nobody_once_they_are_set_right() -> None:
    network = Network(3)
    one, other, third = network.nodes
    network.clock.advance(1000)
    for node in network.nodes:
        for peer in node.local.links:
            node.local.heard[peer] = network.clock.milliseconds << 16
    network.office(one, 1)
    network.append(one)
    network.settle(0.5)
    assert one.core.last is not None
    height = one.core.last.height
    assert one.core.last.value.hlc > (network.clock.milliseconds - 1000) << 16
    network.clock.advance(-1000)
    for node in network.nodes:
        links = node.local.links
        node.start()
        node.local.links.update(links)
        node.local.heard.update(dict.fromkeys(links, network.clock.milliseconds << 16))
    network.office(one, 2)
    network.append(third)
    network.settle(0.5)
    for node in (one, other, third):
        assert sealed_up_to(node)[third.chain] == 1
        assert node.core.last is not None
        assert node.core.last.height > height


def test_a_voter_without_the_entries_pulls_them_and_looks_again() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.cut(one, third)
    network.lost = {Entries}
    network.append(one, 3)
    network.deliver()
    network.deliver()
    assert other.store.image.accepted is None or other.store.image.accepted.height == 1
    network.lost = set()
    network.settle(5.0)
    assert sealed_up_to(other) == {one.chain: 4}


def test_a_coordinator_that_is_behind_catches_up_first() -> None:
    network, one, other, third = in_office()
    network.cut(one, third)
    network.cut(other, third)
    for _ in range(100):
        network.append(one)
        network.settle(INTERVAL_S)
    assert one.core.last is not None
    assert one.core.last.height >= 100
    network.link(other, third)
    network.office(third, 2, at=(other, third))
    network.append(third)
    network.settle(3.0)
    assert sealed_up_to(third) == {one.chain: 101, third.chain: 1}
    for height in range(1, one.core.last.height + 1):
        found, known = third.store.seal(height), one.store.seal(height)
        assert found is not None
        assert known is not None
        assert found.hash == known.hash


def test_a_revoked_origin_is_not_proposed() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    held = Revocation(third.key, one.key, "", None)
    one.local.members = one.local.members.with_revocations([held])
    network.append(third)
    network.append(other)
    network.settle(3.0)
    assert sealed_up_to(one) == {one.chain: 1, other.chain: 1}


def test_a_chain_with_two_branches_is_sealed_up_to_where_they_part() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.append(third, 2)
    forged = third.make("forged")
    network.lost = {SealPropose}
    network.append(third, 1, data="real")
    network.settle()
    network.tell(one, EntriesArrived(other.key, (forged,)))
    network.settle()
    network.office(other, 2)
    network.lost = set()
    network.append(one)
    network.settle(6.0)
    assert sealed_up_to(one)[third.chain] in (2, 3)  # 3: the value was accepted before
    assert sealed_up_to(one)[one.chain] == 2


def test_the_sealed_branch_takes_the_place_of_another() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.append(other, 1)
    network.settle(1.0)
    network.cut(one, third)
    network.cut(other, third)
    forged = [other.make("forged")]
    forged.append(other.make("forged too", tip=Tip.of(forged[0])))
    network.tell(third, EntriesArrived(one.key, tuple(forged)))
    network.write(third)
    network.append(other, 3, data="real")
    network.settle(1.0)
    assert sealed_up_to(one)[other.chain] == 4
    network.link(one, third)
    network.link(other, third)
    network.settle(10.0)
    assert third.core.frontier.digest() == one.core.frontier.digest()
    assert third.store.image.entries[other.chain] == one.store.image.entries[other.chain]
    assert third.store.image.quarantines


def test_a_term_of_an_earlier_process_is_not_gone_on_with() -> None:
    network, one, *_ = in_office()
    office = one.local.office
    links = dict(one.local.links)
    one.start()
    one.local.links.update(links)
    one.local.office = office
    network.tell(one, OfficeChanged(office))
    assert "ledger: term used before" in one.notes
    network.append(one)
    network.settle(2.0)
    assert sealed_up_to(one) == {one.chain: 1}


def test_a_voter_that_said_to_have_seals_that_nobody_has_is_asked_again() -> None:
    """It lied, or its disk went back since: where its vote is needed, nothing was sealed again."""
    network, one, other, third = in_office()
    network.cut(one, third)
    network.cut(other, third)
    for voter in (other, third):
        network.tell(one, Received(voter.key, SealPromise(1, 1, 10**9, None)))
    network.append(one)
    network.settle(10.0)
    assert sealed_up_to(one) == {one.chain: 2}
    assert other.core.last == one.core.last


def test_seals_without_a_majority_or_of_others_change_nothing() -> None:
    network, one, other, third = in_office()
    network.settle(1.0)
    network.cut(one, third)
    network.cut(other, third)
    network.append(one)
    network.settle(1.0)
    seal = one.store.seal(2)
    assert seal is not None
    record = seal.record
    few = replace(record, cosignatures=record.cosignatures[:1])
    forged = replace(
        record, cosignatures=tuple(replace(one, signature=bytes(64)) for one in record.cosignatures)
    )
    voters = tuple(sorted((other.key, bytes(32))))
    others = replace(record, value=replace(seal.value, voters=voters).encode())
    before = third.core.last
    for wrong in (few, forged, replace(record, term=7), others):
        network.tell(third, Received(other.key, Seals((wrong,))))
        assert third.core.last == before
    assert "ledger: seal without a majority" in third.notes
    assert "ledger: seal of others than the voters" in third.notes


def test_a_seal_of_members_that_nobody_knows_is_in_nobodys_way() -> None:
    network, one, other, third = in_office()
    last = third.core.last
    assert last is not None
    raw = replace(
        last.value,
        epoch=10**9,
        height=last.height + 1,
        previous=last.hash,
        history=root_of((last.hash,)),
        members=10**9,
        voters=(third.key,),
        hlc=last.value.hlc + 1,
    ).encode()
    said = cosign_statement(last.value.cluster, last.height + 1, hash_of_value(raw), 7)
    lie = SealRecord(raw, 7, (Cosignature(third.key, third.signatures.sign(said)),))
    for node in (one, other):
        network.tell(node, Received(third.key, Seals((lie,))))
        assert "ledger: seal of members not known yet" in node.notes
    network.append(one)
    network.settle(1.0)
    assert sealed_up_to(one) == sealed_up_to(other) == {one.chain: 2}


def test_what_is_on_disk_is_what_was_in_memory() -> None:
    network, _, other, third = in_office()
    network.append(other, 200)
    network.settle(1.0)
    network.lost = {SealPropose}
    network.append(third, 3)
    network.settle()
    for node in network.nodes:
        again = LedgerCore(node.local, node.log, node.store.restored())
        assert again.frontier == node.core.frontier
        assert again.heads == node.core.heads
        assert again.last == node.core.last
        assert again.heads[third.chain] == Head(3, third.tip.hash)


def test_the_newest_voters_are_settled_once_a_seal_names_them() -> None:
    network = Network(3)
    assert not any(node.core.may_change_voters() for node in network.nodes)
    network.office(network.nodes[0], 1)
    network.settle(0.5)  # a seal without entries
    assert all(node.core.may_change_voters() for node in network.nodes)
