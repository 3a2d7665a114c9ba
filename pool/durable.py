"""Requests that outlive the node that was asked: who drives a build, and who stands in for it.

Pure: events go in, effects come out. The node that was asked, the *driver*, gives its request to
another worker, the *stand-in*; from then on the request is *durable*. Where the driver dies, or
says that its process began anew, the stand-in drives the build on.

A build is driven under a number, its *attempt*, which only grows: the driver begins with 0 and
gives each stand-in a higher one. Two who can hear each other never go on both: a driver that lives
takes a number above the stand-in's as soon as it hears of it, and who hears of a higher number than
its own stops. The ledger counts what the highest one says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from blake3 import blake3

ASK_S = 120.0
"""So long a stand-in may take to fetch what it lacks."""
ANSWER_S = 10.0
"""So long who was asked may say nothing at all: an earlier version may not know the question."""
NEXT_S = 1.0
"""So long he is waited for alone; then the next one is asked, too."""
AGAIN_S = 5.0
"""So long after nobody would, all are asked once more."""
TAKE_OVER_S = 3.0
"""So long a driver has to be gone before its stand-in goes on."""
INQUIRE_S = 0.5
"""So long the stand-in waits for a later one to speak up."""
SILENT_S = 600.0
"""A request is forgotten whose driver is there and has not said for so long that it drives it."""

Key = bytes


def ranked(build: str, nodes: Iterable[Key]) -> list[Key]:
    """Return who is to stand in for a build, best first: rendezvous hashing spreads the builds, and
    all who rank the same nodes agree. The coordinator is a node like any other here."""
    return sorted(nodes, key=lambda node: blake3(build.encode() + node).digest(), reverse=True)


@dataclass(frozen=True, slots=True)
class AskKeep:
    """Ask a node to stand in under ``attempt``."""

    to: Key
    attempt: int


@dataclass(frozen=True, slots=True)
class Release:
    """Tell a node that it need not stand in any more; ``ended``: because the build is over."""

    to: Key
    attempt: int
    ended: bool


@dataclass(frozen=True, slots=True)
class Durable:
    """The request is on two nodes."""

    stand_in: Key


@dataclass(frozen=True, slots=True)
class NotDurable:
    """The request is on this node alone, as yet or again."""

    why: str


DrivingEffect = AskKeep | Release | Durable | NotDurable


class Driving:
    """One build at the node that drives it.

    Args:
        attempt: under which it is driven; above 0 where this node stood in for another.
    """

    def __init__(self, build: str, attempt: int = 0) -> None:
        self.build = build
        self.attempt = attempt
        self.stand_in: Key | None = None
        """Who keeps the request."""
        self.silent: set[Key] = set()
        """Who was asked and has said nothing at all in time."""
        self._given = attempt
        self._asked: dict[Key, int] = {}
        self._refused: dict[Key, str] = {}
        self._waiting: dict[Key, float] = {}
        """Who was asked and has not answered, and until when that is waited for."""
        self._fetching: set[Key] = set()
        self._next_at = 0.0
        self._again_at: float | None = None

    @property
    def is_durable(self) -> bool:
        """Whether another node keeps the request."""
        return self.stand_in is not None

    def look(
        self, candidates: Sequence[Key], gone: Collection[Key], now: float
    ) -> list[DrivingEffect]:
        """See that there is a stand-in. ``candidates``: who may be one, best first; ``gone``: nodes
        that are believed dead. Who says nothing for a moment is waited for, but not alone."""
        effects: list[DrivingEffect] = []
        if self.stand_in is not None:
            if self.stand_in not in gone:
                return []
            effects += self._without(self.stand_in, "the node that stood in for it is lost")
        for node, until in list(self._waiting.items()):
            if node in gone or now >= until:
                if node not in gone and node not in self._fetching:
                    self.silent.add(node)
                self._refuse(node, "it did not answer in time")
        if self._fetching or (self._waiting and now < self._next_at):
            return effects
        if self._again_at is not None:
            if now < self._again_at:
                return effects
            self._again_at = None
            self._refused.clear()
        for node in candidates:
            if node not in self._refused and node not in self._waiting and node not in gone:
                return [*effects, self._ask(node, now)]
        if self._waiting:
            return effects
        self._again_at = now + AGAIN_S
        why = next(iter(self._refused.values()), "there is no other worker that could stand in")
        return [*effects, NotDurable(why)]

    def fetching(self, sender: Key, now: float) -> None:
        """Take in that a node has begun to fetch the request: that takes its time."""
        self.silent.discard(sender)
        if sender in self._waiting:
            self._waiting[sender] = now + ASK_S
            self._fetching.add(sender)

    def answered(self, sender: Key, attempt: int, kept: bool, why: str) -> list[DrivingEffect]:
        """Take in whether a node keeps the request; it may change its mind. Of several the first
        one stands in."""
        self.silent.discard(sender)
        if attempt != self._asked.get(sender):
            return []
        if not kept:
            if sender == self.stand_in:
                return self._without(sender, why)
            self._refuse(sender, why)
            self._next_at = 0.0
            return []
        if sender == self.stand_in:
            return []
        if self.stand_in is not None or sender not in self._waiting:
            return [Release(sender, attempt, ended=False)]
        self.stand_in = sender
        others = [node for node in self._waiting if node != sender]
        self._waiting.clear()
        self._fetching.clear()
        return [Durable(sender), *(Release(one, self._asked[one], ended=False) for one in others)]

    def given(self, node: Key) -> int:
        """Return the attempt that a node was given last."""
        return self._asked[node]

    @property
    def highest(self) -> int:
        """The highest attempt that this node knows of: its own, or one that it gave."""
        return self._given

    @property
    def asked(self) -> tuple[Key, ...]:
        """All that were ever asked to stand in."""
        return tuple(self._asked)

    def taken_over(self, attempt: int) -> None:
        """Take in that a stand-in believed this node dead and drives, or gave, ``attempt``: this
        node goes on above it, and needs somebody to stand in anew. Two that could not hear each
        other may have come to the same one."""
        if attempt >= self.attempt:
            self._given = self.attempt = max(self._given, attempt) + 1
            self.stand_in = self._again_at = None
            self._waiting.clear()
            self._fetching.clear()

    def forgotten(self, sender: Key) -> list[DrivingEffect]:
        """Take in that a node knows nothing of the build."""
        if sender != self.stand_in:
            return []
        return self._without(sender, "the node that stood in for it keeps its request no more")

    def over(self, *, ended: bool) -> list[DrivingEffect]:
        """Return whom to tell that this node drives the build no more, all who may keep its
        request; ``ended``: the build is over, else another one drives it."""
        return [Release(node, attempt, ended) for node, attempt in self._asked.items()]

    def _ask(self, node: Key, now: float) -> AskKeep:
        self._given += 1
        self._asked[node] = self._given
        self._waiting[node], self._next_at = now + ANSWER_S, now + NEXT_S
        return AskKeep(node, self._given)

    def _refuse(self, node: Key, why: str) -> None:
        self._waiting.pop(node, None)
        self._fetching.discard(node)
        self._refused[node] = why

    def _without(self, node: Key, why: str) -> list[DrivingEffect]:
        self.stand_in = None
        self._refused[node] = why
        return [NotDurable(why)]


class Phase(StrEnum):
    """What a stand-in does for a build."""

    KEPT = "kept"
    """It keeps the request; another node drives."""
    ASKING = "asking"
    """The driver is gone; it asks whether a later stand-in is there."""
    DRIVING = "driving"
    """It drives the build itself."""
    ENDED = "ended"
    """It has driven the build to its end."""


@dataclass(slots=True)
class Request:
    """A request that this node keeps for ``driver``. ``missing_since``: since when that is gone;
    ``heard_at``: when it last said that it drives the build."""

    driver: Key
    attempt: int
    phase: Phase = Phase.KEPT
    missing_since: float | None = None
    ask_until: float = 0.0
    heard_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Inquire:
    """Ask members whether they stand in for a build under a higher attempt, drive it, or know its
    end: ``of`` one, or all of them."""

    build: str
    of: Key | None = None


@dataclass(frozen=True, slots=True)
class TakeOver:
    """Drive a build on."""

    build: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Drive a build no more: another one does. Nothing is told of its end."""

    build: str


@dataclass(frozen=True, slots=True)
class Forget:
    """Keep a request no more."""

    build: str


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell a node what this one knows of a build."""

    to: Key
    build: str


@dataclass(frozen=True, slots=True)
class TellAll:
    """Tell all the same: the node that was asked for it first may be another one than the driver
    that is known here."""

    build: str


StandInEffect = Inquire | TakeOver | Stop | Forget | Tell | TellAll


@dataclass(slots=True)
class StandIn:
    """All requests that one node keeps for others. ``requests`` may be filled at the start with
    what it kept before."""

    requests: dict[str, Request] = field(default_factory=dict)

    def keep(self, build: str, driver: Key, attempt: int, now: float) -> list[StandInEffect] | None:
        """Begin to stand in for a node that drives; None: a later attempt is known here, or the
        end."""
        known = self.requests.get(build)
        if known is not None and (known.attempt > attempt or known.phase is Phase.ENDED):
            return None
        self.requests[build] = Request(driver, attempt, heard_at=now)
        return [Stop(build)] if known is not None and known.phase is Phase.DRIVING else []

    def gone(self, node: Key, now: float) -> None:
        """Take note that a node is believed dead."""
        for request in self.requests.values():
            if request.driver == node and request.missing_since is None:
                request.missing_since = now

    def back(self, node: Key, now: float) -> None:
        """Take note that a node is there; a build that was taken over goes on here until the node
        says that it drives it, too."""
        for request in self.requests.values():
            if request.driver == node:
                request.missing_since, request.heard_at = None, now
                if request.phase is Phase.ASKING:
                    request.phase = Phase.KEPT

    def stalled(self, now: float) -> None:
        """Take note that this node itself stood still: who seems gone gets his time anew."""
        for request in self.requests.values():
            if request.missing_since is not None:
                request.missing_since = now

    def driven(
        self, sender: Key, build: str, attempt: int, now: float, *, is_driver: bool
    ) -> list[StandInEffect]:
        """Take in that a node drives a build. ``is_driver``: it gave the request, or was asked for
        the build first; what anybody else says changes nothing."""
        known = self.requests.get(build)
        if known is None or not is_driver:
            return [Tell(sender, build)]  # it may believe that this node stands in
        if attempt > known.attempt:
            stops = known.phase is Phase.DRIVING
            tells = known.phase is Phase.ENDED
            if not tells:
                self.requests[build] = Request(sender, known.attempt, heard_at=now)
            return [Stop(build)] if stops else [Tell(sender, build)] if tells else []
        if known.phase in (Phase.DRIVING, Phase.ENDED):
            return [Tell(sender, build)]
        known.missing_since, known.phase, known.heard_at = None, Phase.KEPT, now
        return []

    def lost(self, sender: Key, build: str) -> list[StandInEffect]:
        """Take in that a node began anew and knows no more of a build than that it drove it."""
        known = self.requests.get(build)
        waits = known is not None and known.phase in (Phase.KEPT, Phase.ASKING)
        if known is not None and waits and known.driver == sender:
            known.phase = Phase.DRIVING
            return [TakeOver(build, known.attempt), TellAll(build)]
        return [Tell(sender, build)]

    def asked(self, sender: Key, build: str) -> list[StandInEffect]:
        """Take in that a node asks who stands in for a build; one that drove it does not any more,
        or it would know."""
        known = self.requests.get(build)
        if known is None:
            return []
        return self.lost(sender, build) if known.driver == sender else [Tell(sender, build)]

    def contested(self, build: str, attempt: int, phase: str) -> list[StandInEffect]:
        """Take in that a build is in a :class:`Phase` at another node under ``attempt``. Who drives
        does not give way to who only stands in, maybe for himself."""
        known = self.requests.get(build)
        if known is None or attempt <= known.attempt or known.phase is Phase.ENDED:
            return []
        if known.phase is Phase.DRIVING and phase not in (Phase.DRIVING, Phase.ENDED):
            return []
        del self.requests[build]
        stop: list[StandInEffect] = [Stop(build)] if known.phase is Phase.DRIVING else []
        return [*stop, Forget(build)]

    def released(
        self, build: str, attempt: int, *, ended: bool, is_driver: bool
    ) -> list[StandInEffect]:
        """Take in that a node drives a build no more for which ``attempt`` was given here. Where
        this one went on with it, only the end stops it. ``is_driver``: as of :meth:`driven`."""
        known = self.requests.get(build)
        if known is None or not is_driver or attempt < known.attempt:
            return []
        if known.phase in (Phase.DRIVING, Phase.ENDED) and not ended:
            return []
        del self.requests[build]
        stop: list[StandInEffect] = [Stop(build)] if known.phase is Phase.DRIVING else []
        return [*stop, Forget(build)]

    def ended(self, build: str) -> list[StandInEffect]:
        """Take note that this node has driven a build to its end; who asked for it is told."""
        known = self.requests.get(build)
        if known is None or known.phase is not Phase.DRIVING:
            return []
        known.phase = Phase.ENDED
        return [TellAll(build)]

    def tick(self, now: float) -> list[StandInEffect]:
        """Go on with the builds whose drivers have been gone for long enough; forget what nobody
        drives though he could."""
        effects: list[StandInEffect] = []
        for build, request in list(self.requests.items()):
            since = request.missing_since
            if request.phase is Phase.KEPT and since is None and now - request.heard_at > SILENT_S:
                del self.requests[build]
                effects.append(Forget(build))
            elif request.phase is Phase.KEPT and since is not None and now - since >= TAKE_OVER_S:
                request.phase, request.ask_until = Phase.ASKING, now + INQUIRE_S
                effects.append(Inquire(build))
            elif request.phase is Phase.ASKING and now >= request.ask_until:
                request.phase = Phase.DRIVING
                effects += [TakeOver(build, request.attempt), TellAll(build)]
        return effects

    def met(self, node: Key) -> list[StandInEffect]:
        """Return what a node is told that is linked anew: who drives a build may not know who else
        does; and asked: that a build was over before may not have been heard here."""
        effects: list[StandInEffect] = []
        for build, request in self.requests.items():
            if request.phase in (Phase.DRIVING, Phase.ENDED):
                effects.append(Tell(node, build))
            elif request.driver == node:
                effects.append(Inquire(build, of=node))
        return effects
