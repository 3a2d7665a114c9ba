"""Latency: measured where a link stands, estimated elsewhere, and quiet when nothing moves."""

from __future__ import annotations

import math
import random

import pytest

from buildnet.mesh.events import LinkDown, LinkState, Received, RecordChanged, RoundTrip
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import POSITION_TOPIC, sign_record
from buildnet.mesh.local import Local
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.messages.gossip import Records
from buildnet.mesh.topology.latency import PUBLISH_PAUSE_S, Latency
from buildnet.mesh.topology.vivaldi import Coordinate
from testbed.core_network import CoreNetwork, keys_of, local_of, member_list

KEYS = keys_of(4)
ME, ANN, BEN, COY = KEYS
MEMBERS = member_list(KEYS)


def one_node(*linked: bytes) -> tuple[Local, Gossip, Latency]:
    local = local_of(ME, MEMBERS)
    local.links = {peer: LinkState(True, 0.0) for peer in linked}
    gossip = Gossip(local)
    return local, gossip, Latency(local, gossip=gossip)


def advertise(gossip: Gossip, latency: Latency, key: bytes, body: bytes, version: int = 1) -> None:
    record = sign_record(local_of(key, MEMBERS), POSITION_TOPIC, version, body)
    gossip.handle(Received(key, Records((record,))), 1.0)
    latency.handle(RecordChanged(key, POSITION_TOPIC), 1.0)


def estimated(latency: Latency, one: bytes, other: bytes) -> float:
    """Return what is estimated, which must not pass for measured."""
    estimate = latency.estimate(one, other)
    assert estimate is not None
    seconds, is_measured = estimate
    assert not is_measured
    return seconds


def test_round_trips_are_smoothed_as_tcp_does() -> None:
    local, _, latency = one_node(ANN)
    latency.handle(RoundTrip(ANN, 0.080), 1.0)
    assert local.links[ANN].round_trip_s == 0.080
    latency.handle(RoundTrip(ANN, 0.160), 2.0)
    assert local.links[ANN].round_trip_s == pytest.approx(0.090)
    for nonsense in (-1.0, math.nan, math.inf, 1e9):
        latency.handle(RoundTrip(ANN, nonsense), 3.0)
    assert local.links[ANN].round_trip_s == pytest.approx(0.090)
    latency.handle(RoundTrip(BEN, 0.1), 3.0)  # its link went down meanwhile
    assert BEN not in local.links


def test_estimates_say_whether_they_were_measured() -> None:
    _, gossip, latency = one_node(ANN)
    assert latency.estimate(ME, ME) == (0.0, True)
    assert latency.estimate(ME, ANN) is None
    latency.handle(RoundTrip(ANN, 0.08), 1.0)
    assert latency.estimate(ME, ANN) == (0.08, True)
    assert latency.estimate(ANN, ME) == (0.08, True)
    assert latency.estimate(ME, BEN) is None
    for key, place in ((BEN, 0.03), (COY, 0.07)):
        coordinate = Coordinate((place, 0.0, 0.0, 0.0), 0.001, 0.1)
        advertise(gossip, latency, key, coordinate.as_position().encode())
    estimate = estimated(latency, BEN, COY)
    assert estimate == pytest.approx(0.042)
    assert estimated(latency, ME, BEN) > 0.02
    advertise(gossip, latency, BEN, b"\xff nonsense", 2)
    assert latency.estimate(BEN, COY) is None


def test_the_place_is_advertised_when_it_moved_and_not_too_often() -> None:
    _, gossip, latency = one_node(ANN)
    assert latency.deadline == math.inf
    there = Coordinate((0.05, 0.0, 0.0, 0.0), 0.001, 0.1)
    advertise(gossip, latency, ANN, there.as_position().encode())
    latency.handle(RoundTrip(ANN, 0.08), 1.0)
    first = latency.deadline
    assert 1.0 < first <= 4.0
    assert latency.tick(first - 0.01) == []
    latency.tick(first)
    assert gossip.records[ME, POSITION_TOPIC].record.version == 1
    for second in range(2, 60):
        latency.handle(RoundTrip(ANN, 0.08), float(second))
        if latency.deadline <= second:
            latency.tick(float(second))
    published = gossip.records[ME, POSITION_TOPIC].record.version
    assert 1 < published <= 1 + 58 / PUBLISH_PAUSE_S
    for second in range(60, 600):
        latency.handle(RoundTrip(ANN, 0.08), float(second))
        if latency.deadline <= second:
            latency.tick(float(second))
    settled = gossip.records[ME, POSITION_TOPIC].record.version
    lots = random.Random(3)
    for second in range(600, 1200):
        latency.handle(RoundTrip(ANN, 0.08 + lots.uniform(-0.001, 0.001)), float(second))
        if latency.deadline <= second:
            latency.tick(float(second))
    assert gossip.records[ME, POSITION_TOPIC].record.version <= settled + 1


def test_a_link_that_ended_leaves_nothing() -> None:
    _, _, latency = one_node(ANN)
    latency.handle(RoundTrip(ANN, 0.08), 1.0)
    latency.handle(LinkDown(ANN), 2.0)
    assert not latency._samples


def test_a_cluster_on_one_network_goes_quiet() -> None:
    def build(local: Local) -> list[Membership | Gossip | Latency]:
        gossip = Gossip(local)
        return [Latency(local, gossip=gossip), Membership(local), gossip]

    network = CoreNetwork(15, build, delay_s=0.0004)
    network.link_all()
    network.run(200.0)
    network.sent.clear()
    network.run(100.0)
    assert network.sent["Records"] == 0
    latency = network.nodes[network.keys[0]].cores[0]
    assert isinstance(latency, Latency)
    assert latency.estimate(network.keys[0], network.keys[1]) is not None
    link = network.nodes[network.keys[0]].local.links[network.keys[1]]
    assert link.round_trip_s == pytest.approx(0.0008, rel=0.01)
    assert estimated(latency, network.keys[1], network.keys[2]) < 0.003
