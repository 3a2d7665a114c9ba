"""Gossip at one node: records are pushed and kept, lies are dropped, memory stays bounded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.mesh.gossip_records import ANN, BEN, COY, DAN, ME, MEMBERS, gossip_of, record_of

from buildnet.mesh.events import (
    MembersChanged,
    Note,
    Persist,
    Raise,
    Received,
    RecordChanged,
    SendAll,
)
from buildnet.mesh.gossip.core import MAX_EARLY, OWN_BURST, OWN_PER_S, SENT_BURST, TOO_MANY, Gossip
from buildnet.mesh.gossip.records import MAX_BODY_BYTES, Addresses, AddressFact, is_genuine
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Local, Signatures
from buildnet.mesh.messages.gossip import MAX_RECORDS, MAX_TOPICS, Records, Summary
from testbed.core_network import keys_of, local_of, member_list


def topics(gossip: Gossip) -> list[tuple[bytes, str]]:
    return sorted(gossip.records)


def pushed(gossip: Gossip, now: float) -> list[bytes]:
    """Return the bodies of the records that one push tells."""
    (push,) = gossip.tick(now)
    assert isinstance(push, SendAll)
    assert isinstance(push.message, Records)
    return [record.body for record in push.message.records]


def test_a_record_is_bound_to_its_cluster_and_to_every_field() -> None:
    record = record_of(ANN, "load")
    signatures = local_of(ME, MEMBERS).signatures
    assert is_genuine(record, MEMBERS.cluster_id, signatures)
    assert not is_genuine(record, bytes(32), signatures)
    for other in (
        replace(record, owner=BEN),
        replace(record, topic="lead"),
        replace(record, boot=6),
        replace(record, version=2),
        replace(record, body=b"y"),
    ):
        assert not is_genuine(other, MEMBERS.cluster_id, signatures)


def test_advertising_raises_and_pushes_once() -> None:
    _, gossip = gossip_of()
    assert gossip.advertise("load", b"7", 10.0) == [Raise(RecordChanged(ME, "load"))]
    assert gossip.deadline == 10.0
    (push,) = gossip.tick(10.0)
    mine = gossip.records[ME, "load"].record
    assert push == SendAll(tuple(sorted((ANN, BEN))), Records((mine,)))
    assert gossip.deadline == math.inf
    assert gossip.advertise("load", b"7", 11.0) == []
    assert gossip.deadline == math.inf
    gossip.advertise("load", b"8", 12.0)
    assert gossip.records[ME, "load"].record.version == 2


def test_what_is_advertised_in_quick_succession_travels_together() -> None:
    _, gossip = gossip_of()
    gossip.advertise("load", b"1", 10.0)
    gossip.tick(10.0)
    gossip.advertise("load", b"2", 10.01)
    gossip.advertise("load", b"3", 10.02)
    gossip.advertise("profile", b"p", 10.02)
    gossip.advertise("requests", b"r", 10.03)
    assert gossip.deadline == pytest.approx(10.2)
    assert gossip.tick(10.1) == []
    assert pushed(gossip, 10.2) == [b"p", b"r"]
    # One topic travels twice a second at most, however often it changes.
    assert gossip.deadline == pytest.approx(10.5)
    assert pushed(gossip, 10.5) == [b"3"]
    assert gossip.deadline == math.inf
    gossip.advertise("load", b"4", 10.9)
    assert gossip.deadline == pytest.approx(11.0)


def test_too_large_or_too_many_are_refused_at_the_source() -> None:
    _, gossip = gossip_of()
    for place in range(MAX_TOPICS):
        gossip.advertise(f"t{place:02}", b"", 1.0)
    with pytest.raises(ValueError, match="too many"):
        gossip.advertise("u", b"", 1.0)
    with pytest.raises(ValueError, match="bytes"):
        gossip.advertise("t00", bytes(MAX_BODY_BYTES + 1), 1.0)
    with pytest.raises(ValueError, match="characters"):
        gossip.advertise("", b"", 1.0)


def test_a_news_is_kept_raised_and_told_to_others_but_not_back() -> None:
    _, gossip = gossip_of(links=(ANN, BEN, COY))
    record = record_of(ANN, "load")
    effects = gossip.handle(Received(BEN, Records((record,))), 10.0)
    assert effects == [Raise(RecordChanged(ANN, "load"))]
    assert gossip.records[ANN, "load"].received_at == 10.0
    assert gossip.tick(10.0) == [SendAll((COY,), Records((record,)))]
    assert gossip.handle(Received(COY, Records((record,))), 10.5) == []
    assert gossip.deadline == math.inf


def test_older_versions_change_nothing_and_a_newer_boot_wins() -> None:
    _, gossip = gossip_of()
    gossip.handle(Received(BEN, Records((record_of(ANN, "load", 9, b"new"),))), 1.0)
    gossip.handle(Received(BEN, Records((record_of(ANN, "load", 8, b"old"),))), 1.0)
    assert gossip.records[ANN, "load"].record.body == b"new"
    gossip.handle(Received(BEN, Records((record_of(ANN, "load", 1, b"reborn", boot=6),))), 1.0)
    assert gossip.records[ANN, "load"].record.body == b"reborn"


@given(st.permutations([(5, 1, b"a"), (5, 1, b"b"), (5, 2, b"c"), (6, 1, b"d"), (6, 1, b"e")]))
@settings(max_examples=30, deadline=None)
def test_whatever_the_order_of_arrival_the_same_record_stays(
    versions: list[tuple[int, int, bytes]],
) -> None:
    _, gossip = gossip_of()
    records = [record_of(ANN, "load", version, body, boot) for boot, version, body in versions]
    for record in records:
        gossip.handle(Received(BEN, Records((record,))), 1.0)
    assert gossip.records[ANN, "load"].record == max(records, key=lambda one: one.age_order)


def test_a_forged_record_is_noted_and_ends_its_message() -> None:
    _, gossip = gossip_of()
    forged = replace(record_of(ANN, "load"), body=b"forged")
    after = record_of(COY, "load")
    effects = gossip.handle(Received(BEN, Records((forged, after))), 1.0)
    assert effects == [Note("forged record", BEN, "load")]
    assert topics(gossip) == []


@dataclass
class CountedSignatures:
    """Remembers whose signatures were verified."""

    genuine: Signatures
    owners: list[bytes] = field(default_factory=list)

    def sign(self, data: bytes) -> bytes:
        return self.genuine.sign(data)

    def verify(self, key: bytes, data: bytes, signature: bytes) -> bool:
        self.owners.append(key)
        return self.genuine.verify(key, data, signature)


def verified(local: Local) -> list[bytes]:
    """Return a list to which the owner of each verified signature is added."""
    counted = CountedSignatures(local.signatures)
    local.signatures = counted
    return counted.owners


def test_an_owner_makes_few_versions_of_its_records_whoever_brings_them() -> None:
    """The others' are still taken, and its own again later."""
    local, gossip = gossip_of()
    owners = verified(local)
    versions = iter(range(1, 1000))
    notes = 0
    for sender in (ANN, BEN):
        for _ in range(3):
            records = [record_of(DAN, "load", next(versions)) for _ in range(MAX_RECORDS)]
            effects = gossip.handle(
                Received(sender, Records((*records[:-1], record_of(COY, "load", next(versions))))),
                1.0,
            )
            notes += sum(isinstance(effect, Note) for effect in effects)
    assert owners.count(DAN) == OWN_BURST
    assert notes == 6 * (MAX_RECORDS - 1) - OWN_BURST
    assert owners.count(COY) == 6
    newest = record_of(DAN, "load", next(versions))
    gossip.handle(Received(ANN, Records((newest,))), 1.0 + 2 / OWN_PER_S)
    assert gossip.records[DAN, "load"].record == newest


def test_forged_records_use_up_nothing_of_their_owners() -> None:
    _, gossip = gossip_of()
    for version in range(2, 2 * int(OWN_BURST)):
        forged = replace(record_of(DAN, "load", version), signature=bytes(64))
        gossip.handle(Received(ANN, Records((forged,))), 1.0)
    genuine = record_of(DAN, "load")
    gossip.handle(Received(BEN, Records((genuine,))), 1.0)
    assert gossip.records[DAN, "load"].record == genuine


def test_one_peer_brings_so_many_records_and_others_bring_theirs() -> None:
    local, gossip = gossip_of()
    owners = verified(local)
    for version in range(1, int(SENT_BURST) + 50):
        forged = replace(record_of(DAN, "load", 1), version=version, signature=bytes(64))
        effects = gossip.handle(Received(ANN, Records((forged,))), 1.0)
    assert len(owners) == SENT_BURST
    assert effects == [Note(TOO_MANY, ANN, f"load of {node_id_of(DAN)}")]
    gossip.handle(Received(BEN, Records((record_of(DAN, "load"),))), 1.0)
    assert topics(gossip) == [(DAN, "load")]


def test_an_owner_with_too_many_topics_keeps_the_same_ones_everywhere() -> None:
    records = [record_of(ANN, f"t{place:02}") for place in range(MAX_TOPICS + 5)]
    _, upwards = gossip_of()
    _, downwards = gossip_of(links=(ANN, BEN, COY))
    for record in records:
        upwards.handle(Received(BEN, Records((record,))), 1.0)
    for record in reversed(records):
        downwards.handle(Received(BEN, Records((record,))), 1.0)
    assert topics(upwards) == topics(downwards)
    assert len(upwards.records) == MAX_TOPICS
    assert downwards.tick(1.0)  # rumours of what was dropped again do no harm


def test_records_that_run_ahead_of_their_owner_wait_in_a_bounded_place() -> None:
    local, gossip = gossip_of()
    newcomer = keys_of(6)[5]
    early = record_of(newcomer, "profile", body=b"hello")
    assert gossip.handle(Received(ANN, Records((early,))), 1.0) == []
    assert topics(gossip) == []
    local.members = member_list(keys_of(6))
    # The cluster id is the same, so the signature still holds.
    assert gossip.handle(MembersChanged(), 2.0) == [Raise(RecordChanged(newcomer, "profile"))]

    for _ in range(2 * MAX_EARLY):
        gossip.handle(Received(ANN, Records((replace(early, owner=bytes(32)),))), 2.5)
    assert len(gossip._early) == 1
    strangers = [replace(early, owner=bytes([n]) * 32) for n in range(200)]
    gossip.handle(Received(ANN, Records(tuple(strangers))), 3.0)
    assert len(gossip._early) == MAX_EARLY
    for version in range(20):
        big = replace(early, owner=bytes(32), version=version, body=bytes(MAX_BODY_BYTES))
        gossip.handle(Received(ANN, Records((big,))), 3.0)
    assert sum(record.size_bytes for _, record in gossip._early) <= 256 * 1024


def test_records_of_who_is_no_member_any_more_go_from_memory_and_disk() -> None:
    local, gossip = gossip_of()
    body = Addresses(("http://ann:80",)).encode()
    gossip.handle(Received(ANN, Records((record_of(ANN, "address", body=body),))), 1.0)
    assert gossip.addresses(ANN) == ("http://ann:80",)
    local.members = member_list([ME, BEN])
    effects = gossip.handle(MembersChanged(), 2.0)
    assert effects == [
        Raise(RecordChanged(ANN, "address")),
        Persist(0, (), (f"address/{ANN.hex()}",)),
    ]
    assert not any(isinstance(effect, Persist) for effect in gossip.tick(2.0))
    assert topics(gossip) == []
    assert gossip.addresses(ANN) == ()


def test_others_addresses_are_persisted_when_they_change_and_known_after_a_restart() -> None:
    local, gossip = gossip_of(links=())
    body = Addresses(("http://ann:80",)).encode()
    record = record_of(ANN, "address", 1, body)
    other = record_of(BEN, "address", 1, body)
    gossip.handle(Received(ANN, Records((record,))), 1.0)
    gossip.handle(Received(BEN, Records((other,))), 1.5)
    facts = tuple(AddressFact(one) for one in sorted((record, other), key=lambda one: one.owner))
    assert gossip.tick(1.9) == []
    assert gossip.tick(2.0) == [Persist(0, facts)]
    gossip.handle(Received(ANN, Records((record_of(ANN, "address", 2, body),))), 3.0)
    gossip.tick(3.0)
    assert gossip.tick(4.0) == []
    gone = AddressFact(record_of(keys_of(9)[8], "address", 1, body))
    reborn = Gossip(local, facts=[AddressFact.decode(AddressFact(record).encode()), gone])
    assert topics(reborn) == [(ANN, "address")]
    assert reborn.addresses(ANN) == ("http://ann:80",)
    garbage = record_of(BEN, "address", 1, b"\xff\xff")
    reborn.handle(Received(BEN, Records((garbage,))), 1.0)
    assert reborn.addresses(BEN) == ()


def test_an_own_record_of_an_earlier_boot_comes_back_until_it_is_replaced() -> None:
    local, gossip = gossip_of()
    gossip.handle(Received(ANN, Records((record_of(ME, "requests", 44, b"old"),))), 1.0)
    assert gossip.records[ME, "requests"].record.body == b"old"
    gossip.advertise("requests", b"old", 2.0)
    mine = gossip.records[ME, "requests"].record
    assert (mine.boot, mine.version) == (local.boot, 1)
    later = record_of(ME, "requests", 1, b"copied key", boot=local.boot + 9)
    assert gossip.handle(Received(ANN, Records((later,))), 3.0) == [
        Note("own record from elsewhere", ANN, "requests")
    ]
    assert gossip.records[ME, "requests"].record == mine


def test_who_is_no_member_is_not_listened_to() -> None:
    _, gossip = gossip_of()
    stranger = keys_of(6)[5]
    record = record_of(ANN, "load")
    assert gossip.handle(Received(stranger, Records((record,))), 1.0) == []
    assert gossip.handle(Received(stranger, Summary(bytes(8))), 1.0) == []
    assert topics(gossip) == []
