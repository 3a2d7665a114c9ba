"""What acknowledged heartbeats allow a coordinator to say."""

from __future__ import annotations

import math

from buildnet.mesh.election.heartbeat import REACHED_S, Heartbeats
from buildnet.mesh.messages.election import HeartbeatAck

ME, ONE, TWO = b"m", b"1", b"2"
VOTERS = (ONE, TWO, ME)


def test_an_acknowledgement_counts_from_when_its_heartbeat_was_sent() -> None:
    beats = Heartbeats()
    beat = beats.next(10.0)
    assert beats.acknowledge(ONE, HeartbeatAck(4, beat, 4), 4, 10.5) == 0.5
    assert beats.supported_since(VOTERS, ME) == 10.0
    assert beats.supported_since((*VOTERS, b"3"), ME) == -math.inf


def test_a_voter_that_promised_a_higher_term_supports_none() -> None:
    beats = Heartbeats()
    beat = beats.next(10.0)
    beats.acknowledge(ONE, HeartbeatAck(4, beat, 5), 4, 10.1)
    assert beats.supported_since(VOTERS, ME) == -math.inf
    assert beats.contesting(VOTERS, 4) == {ONE: 5}
    assert beats.contesting((TWO, ME), 4) == {}
    beats.forget(ONE)
    assert beats.contesting(VOTERS, 4) == {}


def test_a_sole_voter_needs_nobody() -> None:
    assert Heartbeats().supported_since((ME,), ME) == math.inf


def test_who_was_heard_lately_is_reached() -> None:
    beats = Heartbeats()
    beats.acknowledge(ONE, HeartbeatAck(4, 99, 4), 4, 10.0)  # of a beat that nobody remembers
    assert beats.heard_lately(ONE, 10.0 + REACHED_S)
    assert not beats.heard_lately(ONE, 10.1 + REACHED_S)
    assert beats.supported_since(VOTERS, ME) == -math.inf
