"""Gossip compares: summaries, digests and questions bring what was missed, and no more."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import pytest
from tests.mesh.gossip_records import ANN, BEN, COY, DAN, EVERYBODY, ME, gossip_of, record_of

from buildnet.mesh.events import LinkDown, LinkUp, Received, Send
from buildnet.mesh.gossip.core import ROUND_S, Gossip
from buildnet.mesh.gossip.questions import AGAIN_S, MAX_OPEN, Questions
from buildnet.mesh.gossip.records import MAX_BODY_BYTES, Record
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
from buildnet.mesh.wire import WireError
from testbed.core_network import keys_of, local_of, member_list


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
