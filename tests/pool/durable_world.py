"""Hosts that die, come back and lose sight of each other while one durable build goes on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

from buildnet.mesh.testing import CheapSignatures
from buildnet.pool.durable import (
    AskKeep,
    Driving,
    Inquire,
    Phase,
    Release,
    Request,
    StandIn,
    Stop,
    TakeOver,
    Tell,
    TellAll,
    ranked,
)
from buildnet.pool.warrant import MAX_ATTEMPT, Grant, Warrant

A, B, C, D, ROGUE = (name.encode() * 32 for name in "abcdr")
ASKED = Warrant(A, bytes(16))
BUILD = ASKED.build


@dataclass
class Host:
    """One node: what it drives, what it keeps, and what is on its disk. ``held``: the warrant by
    which it keeps the build; ``own``: by which it drives it; ``given``: of the last that it gave.
    """

    key: bytes
    driving: Driving | None = None
    is_asker: bool = False
    stand_in: StandIn = field(default_factory=StandIn)
    disk: dict[str, Request] = field(default_factory=dict)
    held: Warrant | None = None
    on_disk: Warrant | None = None
    own: Warrant = ASKED
    given: Warrant = ASKED
    alive: bool = True
    seen: set[bytes] = field(default_factory=set)
    left: int = 0


def is_same(one: bytes, other: bytes) -> bool:
    return one == other


def is_proven(warrant: Warrant, claimant: bytes, attempt: int) -> bool:
    return warrant.proves(BUILD, claimant, attempt, CheapSignatures(A).verify, is_same)


def granted(warrant: Warrant, granter: bytes, holder: bytes, attempt: int) -> Warrant:
    return warrant.granted(granter, holder, attempt, CheapSignatures(granter).sign)


def unsigned(warrant: Warrant, holder: bytes, attempt: int) -> Warrant:
    """Return a warrant with a grant more that is signed by nobody."""
    granter = warrant.grants[-1].holder if warrant.grants else warrant.origin
    grant = Grant(granter, holder, attempt, bytes(64))
    return replace(warrant, grants=(*warrant.grants, grant))


class World:
    """Hosts that die, come back and lose sight of each other while one build goes on.

    Who sees a dead host learns it a little later; messages arrive at once or never. A build takes
    ``WORK`` ticks wherever it is driven: what was done before counts for nothing here.
    """

    WORK = 30
    STEP_S = 0.5

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 0.0
        self.hosts = {key: Host(key) for key in (A, B, C, D)}
        self.cut: set[frozenset[bytes]] = set()
        self.ends: list[tuple[bytes, int]] = []
        self.was_durable = False
        self.log: list[str] = []
        asker = self.hosts[A]
        asker.is_asker, asker.driving, asker.left = True, Driving(BUILD), self.WORK

    def hears(self, one: bytes, other: bytes) -> bool:
        hosts = self.hosts
        is_cut = frozenset((one, other)) in self.cut
        return hosts[one].alive and hosts[other].alive and not is_cut

    def step(self) -> None:
        self.now += self.STEP_S
        for host in list(self.hosts.values()):
            if host.alive:
                self.look(host)
                self.act(host)

    def look(self, host: Host) -> None:
        for other in self.hosts:
            if other == host.key:
                continue
            if self.hears(host.key, other):
                if other not in host.seen:
                    host.seen.add(other)
                    host.stand_in.back(other, self.now)
                    self.perform(host, host.stand_in.met(other))
            elif other in host.seen:
                host.seen.discard(other)
                host.stand_in.gone(other, self.now)

    def act(self, host: Host) -> None:
        driving = host.driving
        if driving is not None:
            candidates = ranked(BUILD, host.seen)
            gone = set(self.hosts) - host.seen
            self.perform(host, driving.look(candidates, gone, self.now))
            for other in driving.asked:
                if self.hears(host.key, other):
                    self.say_driven(host.key, driving.attempt, self.hosts[other])
            host.left -= 1
            if host.left <= 0 and host.driving is driving:
                self.end(host, driving)
        elif host.is_asker:  # it has lost the build, and asks until it knows how it ended
            for there in self.hosts.values():
                if self.hears(host.key, there.key) and there is not host:
                    self.perform(there, there.stand_in.lost(host.key, BUILD))
        self.perform(host, host.stand_in.tick(self.now))
        host.disk = {
            build: Request(each.driver, each.attempt, each.phase)
            for build, each in host.stand_in.requests.items()
        }
        host.on_disk = host.held

    def say_driven(self, driver: bytes, attempt: int, there: Host) -> None:
        known = there.stand_in.requests.get(BUILD)
        is_driver = driver == A or (known is not None and known.driver == driver)
        effects = there.stand_in.driven(driver, BUILD, attempt, self.now, is_driver=is_driver)
        self.perform(there, effects)

    def end(self, host: Host, driving: Driving) -> None:
        self.ends.append((host.key, driving.attempt))
        host.driving = None
        host.is_asker = False
        self.perform(host, host.stand_in.ended(BUILD))
        self.perform(host, driving.over(ended=True))

    def perform(self, host: Host, effects: Sequence[object]) -> None:
        for effect in effects:
            self.log.append(f"{self.now} {host.key[:1].decode()} {effect}")
            match effect:
                case AskKeep(to, attempt) if self.hears(host.key, to):
                    host.given = granted(host.own, host.key, to, attempt)
                    kept = self.keep(host.key, self.hosts[to], attempt, host.given)
                    assert host.driving is not None
                    told = host.driving.answered(to, attempt, kept, "later")
                    self.was_durable |= bool(told)
                    self.perform(host, told)
                case Release(to, attempt, ended) if self.hears(host.key, to):
                    self.release(host.key, self.hosts[to], attempt, ended=ended)
                case Inquire(_, of):
                    for other in self.hosts.values():
                        is_meant = of in (None, other.key) and other is not host
                        if is_meant and self.hears(host.key, other.key):
                            self.perform(other, other.stand_in.asked(host.key, BUILD))
                            if other.key in {ended for ended, _ in self.ends}:
                                self.release(other.key, host, MAX_ATTEMPT, ended=True)
                case TakeOver(_, attempt):
                    host.driving, host.left = Driving(BUILD, attempt), self.WORK
                    assert host.held is not None
                    host.own = host.given = host.held
                case Stop():
                    assert host.driving is not None
                    over = host.driving.over(ended=False)
                    host.driving = None
                    self.perform(host, over)
                case Tell(to, _) if to != ROGUE and self.hears(host.key, to):
                    self.tell(host, self.hosts[to])
                case TellAll():
                    for other in self.hosts.values():
                        if other is not host and self.hears(host.key, other.key):
                            self.tell(host, other)

    def keep(self, sender: bytes, there: Host, attempt: int, warrant: Warrant) -> bool:
        """Ask a node to keep the build; tell whether it does."""
        is_granted = warrant.is_to(there.key, sender, is_same)
        if not is_granted or not is_proven(warrant, there.key, attempt):
            return False
        if there.key in {ended for ended, _ in self.ends}:
            return False  # one that brought it to its end does not begin again
        kept = there.stand_in.keep(BUILD, sender, attempt, self.now)
        if kept is None:
            return False
        there.held = warrant
        self.perform(there, kept)
        return True

    def release(self, sender: bytes, there: Host, attempt: int, *, ended: bool) -> None:
        """Tell a node that another one drives the build no more."""
        known = there.stand_in.requests.get(BUILD)
        is_driver = known is not None and sender in (A, known.driver)
        released = there.stand_in.released(BUILD, attempt, ended=ended, is_driver=is_driver)
        self.perform(there, released)

    def tell(self, host: Host, there: Host) -> None:
        known = host.stand_in.requests.get(BUILD)
        if known is None:
            if there.driving is not None and host.driving is None:
                self.perform(there, there.driving.forgotten(host.key))
            return
        if host.driving:
            self.claim(host, there, known.phase, host.driving.highest, host.given)
        elif host.held is not None:
            self.claim(host, there, known.phase, known.attempt, host.held)

    def claim(
        self, host: Host, there: Host, phase: Phase, attempt: int, warrant: Warrant | None
    ) -> None:
        """Say to a node how far the build is at another one."""
        if there.key in {ended for ended, _ in self.ends} and phase is Phase.DRIVING:
            self.release(there.key, host, MAX_ATTEMPT, ended=True)  # as its record says
            return
        if warrant is None or not is_proven(warrant, host.key, attempt):
            return
        if there.driving is not None and there.is_asker and phase is Phase.DRIVING:
            if attempt >= there.driving.attempt:
                there.driving.taken_over(attempt)
                self.say_driven(there.key, there.driving.attempt, host)
            return
        if there.driving is None and phase is Phase.ENDED:
            there.is_asker = False
        self.perform(there, there.stand_in.contested(BUILD, attempt, phase))

    def meddle(self) -> None:
        """Let a member that was never asked say what it likes, to whom it likes; by what it
        overheard and by what it can sign itself."""
        there = self.random.choice([host for host in self.hosts.values() if host.alive])
        heard = [ASKED, *(host.given for host in self.hosts.values())]
        heard += [host.held for host in self.hosts.values() if host.held is not None]
        warrant, attempt = self.random.choice(heard), self.random.choice((1, 2, 3, 5, 1 << 20))
        last = warrant.grants[-1:]
        forged: tuple[Warrant | None, ...] = (
            None,
            warrant,
            granted(warrant, ROGUE, ROGUE, attempt),
            granted(warrant, ROGUE, there.key, attempt),
            granted(Warrant(ROGUE, ASKED.salt), ROGUE, there.key, attempt),
            unsigned(warrant, ROGUE, attempt),
            unsigned(unsigned(warrant, ROGUE, attempt), there.key, attempt + 1),
            replace(warrant, grants=tuple(replace(one, attempt=attempt) for one in last)),
            replace(warrant, grants=tuple(replace(one, holder=there.key) for one in last)),
        )
        before = deepcopy((there.stand_in.requests, there.is_asker, there.left, there.held))
        driven = there.driving, there.driving and there.driving.attempt
        rogue = Host(ROGUE)
        for warrant_shown in forged:
            for number in (attempt, attempt + 1):
                for phase in (Phase.KEPT, Phase.DRIVING, Phase.ENDED):
                    self.claim(rogue, there, phase, number, warrant_shown)
                if warrant_shown is not None:
                    assert not self.keep(ROGUE, there, number, warrant_shown)
        self.say_driven(ROGUE, attempt, there)
        self.release(ROGUE, there, attempt, ended=True)
        self.perform(there, there.stand_in.lost(ROGUE, BUILD))
        after = (there.stand_in.requests, there.is_asker, there.left, there.held)
        assert after == before, "\n".join(self.log)
        assert (there.driving, there.driving and there.driving.attempt) == driven

    def kill(self, key: bytes) -> None:
        host = self.hosts[key]
        host.alive, host.driving, host.seen = False, None, set()

    def revive(self, key: bytes) -> None:
        host = self.hosts[key]
        host.alive = True
        host.stand_in, host.held = StandIn(), host.on_disk
        for build, request in host.disk.items():
            if request.phase is Phase.ENDED:
                host.stand_in.requests[build] = request
            else:  # it waits as for a driver that is gone
                away = self.now + 5
                again = Request(request.driver, request.attempt, missing_since=away)
                host.stand_in.requests[build] = again

    def drivers(self) -> list[bytes]:
        return [host.key for host in self.hosts.values() if host.driving is not None]
