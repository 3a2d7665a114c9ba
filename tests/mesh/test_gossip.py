"""Gossip: rumours reach everybody, anti-entropy mends, lies are dropped, memory stays bounded."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.mesh.events import (
    LinkDown,
    LinkState,
    LinkUp,
    MembersChanged,
    Note,
    Persist,
    Raise,
    Received,
    RecordChanged,
    Send,
    SendAll,
)
from buildnet.mesh.gossip.core import (
    MAX_EARLY,
    OWN_BURST,
    OWN_PER_S,
    ROUND_S,
    SENT_BURST,
    TOO_MANY,
    Gossip,
)
from buildnet.mesh.gossip.questions import AGAIN_S, MAX_OPEN, Questions
from buildnet.mesh.gossip.records import (
    MAX_BODY_BYTES,
    Addresses,
    AddressFact,
    Record,
    is_genuine,
    sign_record,
)
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Local, Signatures
from buildnet.mesh.messages.gossip import (
    MAX_OWNERS,
    MAX_RECORDS,
    MAX_TOPICS,
    MAX_WANTED,
    Ask,
    Digest,
    Mark,
    OwnerMarks,
    Records,
    Summary,
    Wanted,
)
from buildnet.mesh.topology.ring import fingers, next_on_ring
from buildnet.mesh.wire import WireError
from testbed.core_network import CoreNetwork, keys_of, local_of, member_list

KEYS = keys_of(5)
ME, ANN, BEN, COY, DAN = KEYS
MEMBERS = member_list(KEYS)
EVERYBODY = (bytes(32), b"\xff" * 32)


def gossip_of(key: bytes = ME, links: tuple[bytes, ...] = (ANN, BEN)) -> tuple[Local, Gossip]:
    local = local_of(key, MEMBERS)
    local.links = {peer: LinkState(True, 0.0) for peer in links}
    return local, Gossip(local)


def record_of(
    key: bytes, topic: str, version: int = 1, body: bytes = b"x", boot: int = 5
) -> Record:
    return sign_record(local_of(key, MEMBERS, boot=boot), topic, version, body)


def topics(gossip: Gossip) -> list[tuple[bytes, str]]:
    return sorted(gossip.records)


def pushed(gossip: Gossip, now: float) -> list[bytes]:
    """Return the bodies of the records that one push tells."""
    (push,) = gossip.tick(now)
    assert isinstance(push, SendAll)
    assert isinstance(push.message, Records)
    return [record.body for record in push.message.records]


# --- one node ------------------------------------------------------------------------------------


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


# --- two nodes compare ---------------------------------------------------------------------------


def test_who_dialled_sends_a_summary_and_equal_ones_end_it() -> None:
    local, gossip = gossip_of()
    (sent,) = gossip.handle(LinkUp(ANN, True), 1.0)
    assert isinstance(sent, Send)
    assert gossip.handle(LinkUp(BEN, False), 1.0) == []
    _, other = gossip_of(ANN)
    assert other.handle(Received(ME, sent.message), 1.0) == []
    assert 0.9 * ROUND_S <= gossip.deadline - 1.0 <= 1.1 * ROUND_S
    local.links.clear()
    gossip.handle(LinkDown(BEN), 2.0)
    assert gossip.deadline == math.inf


def test_a_digest_is_answered_with_questions_and_offers() -> None:
    _, gossip = gossip_of()
    newer, mine = record_of(COY, "load", 3), record_of(COY, "profile", 4)
    for record in (record_of(COY, "load", 2), mine, record_of(DAN, "load", 7)):
        gossip.handle(Received(BEN, Records((record,))), 1.0)
    theirs = OwnerMarks(
        COY,
        (
            Mark("load", 5, 3, newer.signature[:8]),
            Mark("profile", 5, 1, bytes(8)),
        ),
    )
    effects = gossip.handle(Received(ANN, Digest(True, *EVERYBODY, (theirs,))), 1.0)
    assert effects[0] == Send(ANN, Ask((Wanted(COY, "load"),)))
    offer = effects[1]
    assert isinstance(offer, Send)
    assert isinstance(offer.message, Digest)
    assert not offer.message.complete
    assert {(one.owner, mark.topic) for one in offer.message.owners for mark in one.marks} == {
        (COY, "profile"),
        (DAN, "load"),
    }
    # An offer is not answered with offers, and nobody else is asked meanwhile.
    assert gossip.handle(Received(BEN, Digest(False, *EVERYBODY, (theirs,))), 1.5) == []
    again = gossip.handle(Received(BEN, Digest(False, *EVERYBODY, (theirs,))), 1.1 + AGAIN_S)
    assert again == [Send(BEN, Ask((Wanted(COY, "load"),)))]
    # Who was asked in vain does not hold the place for ever.
    assert gossip.handle(Received(BEN, Digest(False, *EVERYBODY, (theirs,))), 6.0) == []
    other = gossip.handle(Received(DAN, Digest(False, *EVERYBODY, (theirs,))), 6.0)
    assert other == [Send(DAN, Ask((Wanted(COY, "load"),)))]


def test_what_was_asked_in_vain_brings_the_next_comparison_forward() -> None:
    _, gossip = gossip_of()
    theirs = OwnerMarks(COY, (Mark("load", 5, 3, bytes(8)),))
    digest = Digest(False, *EVERYBODY, (theirs,))
    gossip.handle(Received(ANN, digest), 1.0)
    assert gossip.deadline == 1.0 + AGAIN_S
    (sent,) = gossip.tick(gossip.deadline)
    assert isinstance(sent, Send)
    assert isinstance(sent.message, Summary)
    while gossip.deadline < math.inf:  # it is given up one day
        assert gossip.deadline < 20.0
        gossip.tick(gossip.deadline)
    # A new link to who was asked: its answer may have been lost with the old one.
    gossip.handle(Received(ANN, digest), 30.0)
    gossip.handle(LinkUp(ANN, False), 30.1)
    assert gossip.handle(Received(ANN, digest), 30.2) == [Send(ANN, Ask((Wanted(COY, "load"),)))]


def test_open_questions_are_bounded() -> None:
    questions = Questions()
    asked = [questions.may_ask(ANN, (BEN, "load", (1, n, b"")), 1.0) for n in range(2 * MAX_OPEN)]
    assert sum(asked) == MAX_OPEN
    questions.expire(20.0)
    assert questions.may_ask(ANN, (BEN, "load", (2, 1, b"")), 20.0)


def test_an_answer_brings_no_further_comparison() -> None:
    _, gossip = gossip_of(links=())
    record = record_of(COY, "load")
    marks = OwnerMarks(COY, (Mark("load", 5, 1, record.signature[:8]),))
    gossip.handle(Received(ANN, Digest(False, *EVERYBODY, (marks,))), 1.0)
    gossip.handle(Received(ANN, Records((record,))), 1.1)
    gossip.tick(1.1)
    assert gossip.tick(gossip.deadline) == []
    assert gossip.deadline == math.inf


def test_what_a_digest_does_not_cover_is_not_offered() -> None:
    _, gossip = gossip_of()
    for key in (COY, DAN):
        gossip.handle(Received(BEN, Records((record_of(key, "load"),))), 1.0)
    first, last = sorted((COY, DAN))
    (effect,) = gossip.handle(Received(ANN, Digest(True, bytes(32), first, ())), 1.0)
    assert isinstance(effect, Send)
    assert isinstance(effect.message, Digest)
    assert [one.owner for one in effect.message.owners] == [first]
    assert last > first


def test_an_answer_is_bounded_whatever_is_asked() -> None:
    _, gossip = gossip_of()
    for key in (ANN, BEN, COY, DAN):
        for place in range(MAX_TOPICS):
            record = record_of(key, f"t{place:02}", body=bytes(MAX_BODY_BYTES))
            gossip.handle(Received(BEN, Records((record,))), 1.0)
    wanted = tuple(Wanted(*key) for key in gossip.records) * 3
    effects = gossip.handle(Received(ANN, Ask(wanted)), 2.0)
    sizes = [len(effect.message.encode()) for effect in effects if isinstance(effect, Send)]
    assert max(sizes) < 60 * 1024
    assert 900_000 < sum(sizes) <= 1024 * 1024
    assert gossip.handle(Received(ANN, Ask((Wanted(ANN, "unknown"),))), 2.0) == []


def test_a_large_digest_is_cut_into_ranges_that_cover_everybody() -> None:
    keys = keys_of(300)
    local = local_of(ME, member_list(keys))
    gossip = Gossip(local)
    for key in keys[1:]:
        for topic in ("address", "load", "position", "profile", "requests"):
            record = Record(key, topic, 1 << 40, 1 << 40, b"", bytes(64))
            gossip._book.put(record, 1.0)
    effects = gossip.handle(Received(ANN, Summary(bytes(8))), 1.0)
    digests = [effect.message for effect in effects if isinstance(effect, Send)]
    assert len(digests) > 1
    assert all(len(digest.encode()) < 60 * 1024 for digest in digests)
    whole = [digest for digest in digests if isinstance(digest, Digest) and digest.complete]
    assert (whole[0].first, whole[-1].last) == EVERYBODY
    for one, following in itertools.pairwise(whole):
        assert int.from_bytes(following.first) == int.from_bytes(one.last) + 1
    assert gossip.handle(Received(ANN, Summary(bytes(8))), 1.1) == []  # not again so soon


def test_messages_beyond_their_bounds_are_no_messages() -> None:
    record = record_of(ANN, "load")
    mark = Mark("load", 1, 1, bytes(8))
    for message in (
        Records((record,) * (MAX_RECORDS + 1)),
        Records(()),
        Records((replace(record, body=bytes(MAX_BODY_BYTES + 1)),)),
        Records((replace(record, topic="t" * 33),)),
        Digest(True, *EVERYBODY, (OwnerMarks(ANN, ()),) * (MAX_OWNERS + 1)),
        Digest(True, *EVERYBODY, (OwnerMarks(ANN, (mark,) * (MAX_TOPICS + 1)),)),
        Ask((Wanted(ANN, "load"),) * (MAX_WANTED + 1)),
        Summary(bytes(9)),
    ):
        with pytest.raises(WireError):
            type(message).decode(message.encode())


# --- many nodes ----------------------------------------------------------------------------------


def cores(network: CoreNetwork) -> list[Gossip]:
    found = []
    for node in network.nodes.values():
        (core,) = node.cores
        assert isinstance(core, Gossip)
        found.append(core)
    return found


def advertise(network: CoreNetwork, key: bytes, topic: str, body: bytes) -> None:
    (core,) = network.nodes[key].cores
    assert isinstance(core, Gossip)
    network.do(key, core.advertise(topic, body, network.now))


def know(network: CoreNetwork, owner: bytes, topic: str, body: bytes) -> int:
    return sum(
        (owner, topic) in core.records and core.records[owner, topic].record.body == body
        for core in cores(network)
    )


@pytest.mark.parametrize("seed", range(5))
def test_a_rumour_reaches_thirty_nodes_in_a_few_hops(seed: int) -> None:
    network = CoreNetwork(30, lambda local: [Gossip(local)], seed=seed, delay_s=0.01)
    network.link_all()
    network.run(1.0)
    network.sent.clear()
    advertise(network, network.keys[3], "load", b"1")
    took = network.run_until(
        lambda: know(network, network.keys[3], "load", b"1") == 30, at_most=0.2
    )
    assert took <= 0.15
    network.run(0.5)
    assert network.sent["Records"] <= 3 * 30


def test_a_large_record_is_fetched_once_by_each() -> None:
    network = CoreNetwork(20, lambda local: [Gossip(local)], delay_s=0.005)
    network.link_all()
    network.run(1.0)
    network.bytes_in.clear()
    advertise(network, network.keys[0], "profile", bytes(20_000))
    network.run_until(
        lambda: know(network, network.keys[0], "profile", bytes(20_000)) == 20, at_most=2.0
    )
    network.run(2.0)
    assert sum(network.bytes_in.values()) < 19 * 22_500


@pytest.mark.parametrize("seed", range(3))
def test_a_rumour_gets_round_on_partial_links(seed: int) -> None:
    network = CoreNetwork(60, lambda local: [Gossip(local)], seed=seed)
    for key in network.keys:
        for peer in fingers(key, sorted(network.keys)):
            if peer > key:
                network.link(key, peer)
    network.run(1.0)
    advertise(network, network.keys[0], "load", b"1")
    network.run_until(lambda: know(network, network.keys[0], "load", b"1") == 60, at_most=1.0)


def test_two_halves_heal() -> None:
    network = CoreNetwork(16, lambda local: [Gossip(local)])
    network.link_all()
    network.run(1.0)
    left, right = network.keys[:8], network.keys[8:]
    network.part(left, right)
    for key in network.keys:
        advertise(network, key, "load", b"apart")
        advertise(network, key, "profile", bytes(5_000))
    network.run(30.0)
    assert know(network, left[0], "load", b"apart") == 8
    network.bytes_in.clear()
    network.link(left[0], right[0])  # one link is enough
    took = network.run_until(
        lambda: all(len(core.records) == 32 for core in cores(network)), at_most=5.0
    )
    assert took < 1.0
    network.run(1.0)
    assert sum(network.bytes_in.values()) < 16 * 16 * 7_000
    assert len({core._book.summary for core in cores(network)}) == 1


def test_a_quiet_cluster_sends_only_summaries() -> None:
    network = CoreNetwork(15, lambda local: [Gossip(local)])
    network.link_all()
    for key in network.keys:
        advertise(network, key, "load", b"1")
        advertise(network, key, "profile", bytes(5_000))
    network.run(40.0)
    network.sent.clear()
    network.bytes_in.clear()
    network.run(100.0)
    assert set(network.sent) == {"Summary"}
    assert 15 * 9 <= network.sent["Summary"] <= 15 * 12
    assert max(network.bytes_in.values()) / 100 < 60  # bytes a second


def test_a_newcomer_gets_everything_once() -> None:
    network = CoreNetwork(15, lambda local: [Gossip(local)])
    newcomer, *old = network.keys
    network.link_all(old)
    for key in old:
        advertise(network, key, "load", b"1")
        advertise(network, key, "profile", bytes(10_000))
    network.run(20.0)
    network.bytes_in.clear()
    for key in old:
        network.link(newcomer, key)
    advertise(network, newcomer, "profile", b"new")
    network.run_until(lambda: know(network, newcomer, "profile", b"new") == 15, at_most=0.5)
    (core,) = network.nodes[newcomer].cores
    assert isinstance(core, Gossip)
    network.run_until(lambda: len(core.records) == 29, at_most=0.5)
    network.run(2.0)
    assert network.bytes_in[newcomer] < 14 * (10_000 + 4_000)


def test_ring_neighbours() -> None:
    ring = sorted(KEYS)
    assert next_on_ring(ring[0], ring[1:]) == ring[1]
    assert next_on_ring(ring[4], ring[:4]) == ring[0]
