"""Latency: how far it is from node to node, measured over links and estimated for all others.

Round trips over a link are smoothed as TCP does (RFC 6298). From them the node finds its place
(:mod:`.vivaldi`), which it advertises under the topic "position" when it moved.
"""

from __future__ import annotations

import math
from collections import deque
from statistics import median

from buildnet.mesh.events import Effect, Event, LinkDown, RecordChanged, RoundTrip
from buildnet.mesh.gossip.core import Gossip
from buildnet.mesh.gossip.records import POSITION_TOPIC
from buildnet.mesh.local import Local
from buildnet.mesh.topology.vivaldi import Coordinate, Position
from buildnet.mesh.wire import WireError

SMOOTHING = 1 / 8
PUBLISH_PAUSE_S = 10.0
MOVED_SHARE = 0.05
MOVED_LEAST_S = 0.001
"""Less than this is noise of the hosts, on any network."""
SURE_ENOUGH = 0.3
"""A place with a smaller error is not advertised again only because the error shrank."""
MOVE_PAUSE_S = 1.0
"""The place moves at most that often because of one peer."""
FILTER = 3
MAX_ROUND_TRIP_S = 60.0


class Latency:
    """Smooths round trips into ``local.links[peer].round_trip_s``; estimates the rest.

    Args:
        local: the node.
        gossip: where places are advertised and found.
    """

    def __init__(self, local: Local, *, gossip: Gossip) -> None:
        self._local = local
        self._gossip = gossip
        self.coordinate = Coordinate()
        self._others: dict[bytes, Coordinate] = {}
        self._samples: dict[bytes, deque[float]] = {}
        self._moved_at: dict[bytes, float] = {}
        self._typical_s: float | None = None
        self._published: Coordinate | None = None
        self._published_at = -math.inf
        self._publish_at = math.inf

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return self._publish_at

    def estimate(self, one: bytes, other: bytes) -> tuple[float, bool] | None:
        """Return the round trip between two nodes (seconds), and whether this node measured it.

        None: nothing is known of one of them.
        """
        if one == other:
            return (0.0, True)
        me = self._local.key
        if me in (one, other):
            link = self._local.links.get(other if one == me else one)
            if link is not None and link.round_trip_s is not None:
                return (link.round_trip_s, True)
        here, there = self._place(one), self._place(other)
        return None if here is None or there is None else (here.distance_s(there), False)

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        match event:
            case RoundTrip(peer, seconds):
                if 0 <= seconds <= MAX_ROUND_TRIP_S:
                    self._measured(peer, seconds, now)
            case RecordChanged(owner, topic) if topic == POSITION_TOPIC:
                self._learn_place(owner)
            case LinkDown(peer):
                self._samples.pop(peer, None)
                self._moved_at.pop(peer, None)
            case _:
                pass
        return []

    def tick(self, now: float) -> list[Effect]:
        """Advertise the place if it is time to."""
        if now < self._publish_at:
            return []
        self._publish_at = math.inf
        self._published, self._published_at = self.coordinate, now
        return self._gossip.advertise(POSITION_TOPIC, self.coordinate.as_position().encode(), now)

    def _place(self, node: bytes) -> Coordinate | None:
        if node == self._local.key:
            return self.coordinate if self._typical_s is not None else None
        return self._others.get(node)

    def _learn_place(self, owner: bytes) -> None:
        held = self._gossip.records.get((owner, POSITION_TOPIC))
        if owner == self._local.key:
            return
        self._others.pop(owner, None)
        if held is None:
            return
        try:
            self._others[owner] = Coordinate.of(Position.decode(held.record.body))
        except WireError:
            return  # it is its owner's loss: nobody can estimate the way to it

    def _measured(self, peer: bytes, seconds: float, now: float) -> None:
        link = self._local.links.get(peer)
        if link is None:
            return
        before = link.round_trip_s
        link.round_trip_s = seconds if before is None else before + SMOOTHING * (seconds - before)
        typical = self._typical_s
        self._typical_s = (
            seconds if typical is None else typical + SMOOTHING / 4 * (seconds - typical)
        )
        samples = self._samples.setdefault(peer, deque(maxlen=FILTER))
        samples.append(seconds)
        place = self._others.get(peer)
        if place is not None and now - self._moved_at.get(peer, -math.inf) >= MOVE_PAUSE_S:
            self._moved_at[peer] = now
            self.coordinate = self.coordinate.pulled(place, median(samples), self._local.random)
        if self._publish_at == math.inf and self._is_news():
            wait = self._local.random.uniform(0.5, 3.0) if self._published is None else 0.0
            self._publish_at = max(now + wait, self._published_at + PUBLISH_PAUSE_S)

    def _is_news(self) -> bool:
        """Tell whether the place differs from what was advertised by more than noise."""
        if self._published is None:
            return True
        least = max(MOVED_LEAST_S, MOVED_SHARE * (self._typical_s or 0.0))
        unsure = self._published.error
        is_much_surer = unsure > SURE_ENOUGH and self.coordinate.error < unsure / 2
        return is_much_surer or self.coordinate.moved_s(self._published) > least
