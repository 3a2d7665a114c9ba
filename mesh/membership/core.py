"""Membership: who is there, found out by probing each other.

SWIM (Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process Group
Membership Protocol", 2002) over the links that stand, with Lifeguard's corrections
(:mod:`.suspicion`). Each period one linked peer is pinged, in an order drawn anew each
round; who does not answer is pinged through three others; who answers nobody is suspect, and dead
when the suspicion waited long enough. A link that closes is a hint: its peer is probed at once.
Any message of a peer is a sign of life, so a peer that talks anyway is seldom pinged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from buildnet.mesh.events import (
    DialFailed,
    Disconnect,
    Effect,
    Event,
    LinkDown,
    LinkUp,
    MembersChanged,
    Raise,
    Received,
    RoundTrip,
    Send,
    SendAll,
    Stalled,
    Status,
)
from buildnet.mesh.local import Local
from buildnet.mesh.membership.beliefs import PERIOD_S, Beliefs, id_of
from buildnet.mesh.membership.suspicion import Health
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.membership import (
    Ack,
    Ping,
    PingReport,
    PingRequest,
    StatusNews,
    StatusUpdate,
)
from buildnet.mesh.topology.ring import drawn_peers

PROBE_TIMEOUT_S = 0.3
HELPERS = 3
ROSTER_S = 30.0
"""Between two times of telling somebody all that is believed."""
MEASURE_S = 30.0
"""A peer that talks anyway is still pinged that often, for its round trip."""
LATE_S = 0.5
"""A tick that comes so late shows that this node was stopped."""
REDIAL_S = 0.05
"""So long after a link closed others are asked for its peer."""
SILENT_LINK_S = 5.0
"""A link over which nothing came for so long is closed if others reach the peer."""
MAX_ERRANDS = 64


@dataclass(slots=True)
class _Probe:
    target: bytes
    sent_at: float
    helpers_at: float
    until: float
    is_timed: bool = True
    helpers: tuple[bytes, ...] = ()
    nacks: set[bytes] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Errand:
    """A ping for somebody else."""

    asker: bytes
    number: int
    target: bytes
    sent_at: float
    until: float


class Membership:
    """Believes each member alive, suspect or dead; raises StatusChanged and RoundTrip.

    Members that were never heard of are dead; nothing is persisted.
    """

    def __init__(self, local: Local) -> None:
        self._local = local
        self.health = Health()
        self._beliefs = Beliefs(local, self.health)
        self._probes: dict[int, _Probe] = {}
        self._errands: dict[int, _Errand] = {}
        self._round: list[bytes] = []
        self._last_number = 0
        self._probe_at = math.inf
        self._roster_at = math.inf
        self._stretched_at = -math.inf
        self._deadline = math.inf

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""
        return self._deadline

    @property
    def incarnation(self) -> int:
        """This node's own: its boot number and how often it refuted since."""
        return self._beliefs.incarnation

    def last_heard(self, peer: bytes) -> float | None:
        """Return when a message of ``peer`` last arrived here directly; None: never."""
        view = self._beliefs.views.get(peer)
        return None if view is None or view.heard_at == -math.inf else view.heard_at

    def since(self, peer: bytes) -> float | None:
        """Return when the status of ``peer`` last changed; None: never."""
        view = self._beliefs.views.get(peer)
        return None if view is None or view.since == -math.inf else view.since

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take note of an event."""
        effects: list[Effect]
        match event:
            case Received(sender, message):
                if not self._local.members.is_member(sender):
                    return []
                effects = self._beliefs.sensed(sender, now)
                if not effects and not isinstance(message, _OWN_KINDS):
                    return []  # most messages: nothing to plan anew
                effects += self._receive(sender, message, now)
            case LinkUp(peer, outgoing):
                effects = self._greet(peer, outgoing, now)
            case LinkDown(peer):
                effects = self._miss(peer, now)
            case DialFailed(peer, _, _, refused):
                effects = [] if peer is None else self._could_not_dial(peer, refused, now)
            case MembersChanged():
                effects = self._fit_members()
            case Stalled(seconds):
                effects = []
                if self._stretched_at < now:
                    self._stretch(seconds, now)
            case _:
                return []
        effects += self._probe_doubted(now)
        self._plan()
        return effects

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""
        if now < self._deadline:
            return []
        late_s = now - max(self._deadline, self._stretched_at)
        if late_s > LATE_S:
            self._stretch(late_s, now)
        effects: list[Effect] = []
        for number in sorted(self._probes):
            effects += self._pursue(number, now)
        for number, errand in sorted(self._errands.items()):
            if errand.until <= now:
                del self._errands[number]
                effects.append(Send(errand.asker, PingReport(errand.number, False)))
        effects += self._beliefs.expire(now)
        if self._probe_at <= now:
            effects += self._probe_next(now)
        if self._roster_at <= now:
            effects += self._tell_all(now)
        if self._beliefs.push_at <= now:
            effects += self._push(now)
        effects += self._probe_doubted(now)
        self._plan()
        return effects

    def _plan(self) -> None:
        """Find out when something is due next."""
        self._deadline = min(
            self._probe_at,
            self._roster_at,
            self._beliefs.deadline,
            min(
                (min(one.helpers_at, one.until) for one in self._probes.values()), default=math.inf
            ),
            min((one.until for one in self._errands.values()), default=math.inf),
        )

    # --- messages --------------------------------------------------------------------------------

    def _receive(self, sender: bytes, message: Message, now: float) -> list[Effect]:
        beliefs = self._beliefs
        match message:
            case Ping(number, incarnation, updates):
                beliefs.told_incarnation(sender, incarnation, now)
                effects = beliefs.merge(updates, sender, now)
                answer = Ack(number, beliefs.incarnation, beliefs.piggyback(sender))
                return [Send(sender, answer), *effects]
            case Ack(number, incarnation, updates):
                beliefs.told_incarnation(sender, incarnation, now)
                effects = beliefs.merge(updates, sender, now)
                return effects + self._end_ping(sender, number, now)
            case PingRequest(number, target):
                return self._run_errand(sender, number, target, now)
            case PingReport(number, reached):
                return self._hear_report(sender, number, reached, now)
            case StatusNews(updates, whole):
                effects = beliefs.merge(updates, sender, now)
                newer = beliefs.newer_than(updates) if whole else ()
                return [*effects, Send(sender, StatusNews(newer, False))] if newer else effects
            case _:
                return []

    def _end_ping(self, sender: bytes, number: int, now: float) -> list[Effect]:
        """An answer came; only the pinged peer may give it."""
        probe, errand = self._probes.get(number), self._errands.get(number)
        if probe is not None and probe.target == sender:
            del self._probes[number]
            self.health.better()
            if probe.is_timed:
                self._beliefs.view(sender).measured_at = now
                return [Raise(RoundTrip(sender, now - probe.sent_at))]
        elif errand is not None and errand.target == sender:
            del self._errands[number]
            return [
                Send(errand.asker, PingReport(errand.number, True)),
                Raise(RoundTrip(sender, now - errand.sent_at)),
            ]
        return []

    def _run_errand(self, asker: bytes, number: int, node: bytes, now: float) -> list[Effect]:
        target = self._beliefs.key_of(node)
        if target is None or target not in self._local.links or len(self._errands) >= MAX_ERRANDS:
            return [Send(asker, PingReport(number, target == self._local.key))]
        until = now + 0.8 * self._timeout(target)
        own_number = self._number()
        self._errands[own_number] = _Errand(asker, number, target, now, until)
        return [Send(target, self._ping(own_number, target))]

    def _hear_report(self, sender: bytes, number: int, reached: bool, now: float) -> list[Effect]:
        probe = self._probes.get(number)
        if probe is None or sender not in probe.helpers:
            return []
        if not reached:
            probe.nacks.add(sender)
            if len(probe.nacks) == len(probe.helpers) and probe.target not in self._local.links:
                probe.until = now  # there is nobody left to wait for
            return []
        del self._probes[number]
        link = self._local.links.get(probe.target)
        heard_at = self._beliefs.view(probe.target).heard_at
        if link is not None and now - max(heard_at, link.since) >= SILENT_LINK_S:
            # Others reach it: the link leads nowhere any more, and stands in another one's way.
            return [Disconnect(probe.target, "silent link")]
        return []

    # --- links -----------------------------------------------------------------------------------

    def _greet(self, peer: bytes, outgoing: bool, now: float) -> list[Effect]:
        effects = self._beliefs.sensed(peer, now)
        self._end_probes(peer)  # an answer may have been lost with an earlier link
        self._probe_at = min(self._probe_at, now + PERIOD_S * self._local.random.uniform(0.5, 1))
        self._roster_at = min(self._roster_at, now + self._pause())
        if outgoing:  # one side begins; the other learns all that it needs from this
            effects.append(Send(peer, StatusNews(self._beliefs.all_updates(), True)))
            effects += self._probe(peer, now)
        return effects

    def _miss(self, peer: bytes, now: float) -> list[Effect]:
        if not self._local.links:
            self._probe_at = self._roster_at = math.inf
        self._end_probes(peer)
        if peer in self._beliefs.views and self._beliefs.views[peer].status is not Status.DEAD:
            return self._probe(peer, now)
        return []

    def _could_not_dial(self, peer: bytes, refused: bool, now: float) -> list[Effect]:
        """Without a link, a failed dial says as much as a failed ping."""
        view = self._beliefs.views.get(peer)
        if view is None or peer in self._local.links or view.status is Status.DEAD:
            return []
        if refused:
            self._end_probes(peer)
            return self._beliefs.suspect(peer, now, refused=True)
        return self._probe(peer, now)

    def _end_probes(self, peer: bytes) -> None:
        self._probes = {n: one for n, one in self._probes.items() if one.target != peer}

    def _fit_members(self) -> list[Effect]:
        effects = self._beliefs.fit_members()
        is_member = self._local.members.is_member
        self._probes = {n: one for n, one in self._probes.items() if is_member(one.target)}
        self._errands = {n: one for n, one in self._errands.items() if is_member(one.asker)}
        return effects

    # --- probing ---------------------------------------------------------------------------------

    def _number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _timeout(self, peer: bytes) -> float:
        link = self._local.links.get(peer)
        round_trip = 0.0 if link is None or link.round_trip_s is None else link.round_trip_s
        return max(PROBE_TIMEOUT_S, 4 * round_trip) * self.health.factor

    def _ping(self, number: int, peer: bytes) -> Ping:
        return Ping(number, self._beliefs.incarnation, self._beliefs.piggyback(peer))

    def _probe_next(self, now: float) -> list[Effect]:
        """Probe the next peer of this round of which nothing was heard lately."""
        if not self._local.links:
            self._probe_at = math.inf
            return []
        self._probe_at = now + PERIOD_S * self.health.factor
        accused = [
            peer
            for peer in sorted(self._local.links)
            if self._beliefs.view(peer).accusation is not None and self._is_due(peer, now)
        ]
        if accused:
            return self._probe(self._local.random.choice(accused), now)
        for _ in range(2 * len(self._local.links)):
            if not self._round:
                self._round = sorted(self._local.links)
                self._local.random.shuffle(self._round)
            peer = self._round.pop()
            if peer in self._local.links and self._is_due(peer, now):
                return self._probe(peer, now)
        return []

    def _is_due(self, peer: bytes, now: float) -> bool:
        view = self._beliefs.view(peer)
        return now - view.heard_at >= PERIOD_S or now - view.measured_at >= MEASURE_S

    def _probe_doubted(self, now: float) -> list[Effect]:
        """Probe at once whom somebody accused."""
        if not self._beliefs.doubted:
            return []
        doubted, self._beliefs.doubted = sorted(self._beliefs.doubted), set()
        return [effect for peer in doubted for effect in self._probe(peer, now)]

    def _probe(self, peer: bytes, now: float) -> list[Effect]:
        """Ping a peer; without a link to it, through others, soon.

        Not at once: if its host refuses our redial meanwhile, there is nothing to ask.
        """
        if any(one.target == peer for one in self._probes.values()):
            return []
        number, timeout = self._number(), self._timeout(peer)
        until = now + max(PERIOD_S * self.health.factor, 3 * timeout)
        is_linked = peer in self._local.links
        helpers_at = now + (timeout if is_linked else REDIAL_S)
        self._probes[number] = _Probe(peer, now, helpers_at, until)
        return [Send(peer, self._ping(number, peer))] if is_linked else []

    def _ask_helpers(self, number: int, now: float) -> list[Effect]:
        probe = self._probes[number]
        probe.helpers_at = math.inf
        able = [
            peer
            for peer in sorted(self._local.links)
            if peer != probe.target and self._local.alive(peer)
        ]
        helpers = self._local.random.sample(able, min(HELPERS, len(able)))
        probe.helpers = tuple(sorted(helpers))
        if not probe.helpers:
            probe.until = min(probe.until, now + self._timeout(probe.target))
            return []
        return [SendAll(probe.helpers, PingRequest(number, id_of(probe.target)))]

    def _pursue(self, number: int, now: float) -> list[Effect]:
        """Go on with a probe whose time came: ask helpers, or give up."""
        probe = self._probes[number]
        if self._beliefs.view(probe.target).heard_at > probe.sent_at and probe.helpers_at <= now:
            del self._probes[number]  # it said something else meanwhile
            return []
        if probe.until > now:
            return self._ask_helpers(number, now) if probe.helpers_at <= now else []
        del self._probes[number]
        if self._beliefs.view(probe.target).heard_at > probe.sent_at:
            return []
        if probe.helpers:
            self.health.worse(len(probe.helpers) - len(probe.nacks))
        elif probe.target in self._local.links:
            self.health.worse()
        return self._beliefs.suspect(probe.target, now)

    def _stretch(self, seconds: float, now: float) -> None:
        """Nobody could be heard for so long; that is not their fault."""
        self._stretched_at = now
        self._beliefs.stretch(seconds)
        for probe in self._probes.values():
            probe.is_timed = False
            probe.helpers_at += seconds
            probe.until += seconds
        self.health.worse()

    # --- news ------------------------------------------------------------------------------------

    def _pause(self) -> float:
        return ROSTER_S * self._local.random.uniform(0.8, 1.2)

    def _tell_all(self, now: float) -> list[Effect]:
        self._roster_at = now + self._pause() if self._local.links else math.inf
        if not self._local.links:
            return []
        peer = self._local.random.choice(sorted(self._local.links))
        return [Send(peer, StatusNews(self._beliefs.all_updates(), True))]

    def _push(self, now: float) -> list[Effect]:
        updates: tuple[StatusUpdate, ...] = self._beliefs.push(now)
        peers = drawn_peers(self._local.key, self._local.links, self._local.random)
        return [SendAll(tuple(peers), StatusNews(updates, False))] if updates and peers else []


_OWN_KINDS = (Ping, Ack, PingRequest, PingReport, StatusNews)
