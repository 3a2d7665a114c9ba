"""Who drives a build and who stands in: rules one by one, then every order of deaths by chance."""

from __future__ import annotations

import random
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace

import pytest

from buildnet.mesh.testing import CheapSignatures
from buildnet.pool.durable import (
    AGAIN_S,
    ANSWER_S,
    ASK_S,
    INQUIRE_S,
    NEXT_S,
    SILENT_S,
    TAKE_OVER_S,
    AskKeep,
    Driving,
    Durable,
    Forget,
    Inquire,
    NotDurable,
    Phase,
    Release,
    Request,
    StandIn,
    StandInEffect,
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


def kept_by(node: bytes, now: float = 0.0) -> Driving:
    driving = Driving(BUILD)
    (ask,) = driving.look([node], (), now)
    assert ask == AskKeep(node, 1)
    assert driving.answered(node, 1, True, "") == [Durable(node)]
    return driving


def test_all_rank_the_same_nodes_in_the_same_order() -> None:
    assert ranked(BUILD, [A, B, C]) == ranked(BUILD, [C, A, B])
    assert len({ranked(f"build-{number}", [A, B, C])[0] for number in range(64)}) == 3


def test_who_refuses_is_followed_by_the_next_and_in_the_end_it_is_said() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C], (), 0.0) == [AskKeep(B, 1)]
    assert driving.answered(B, 1, False, "no room") == []
    assert driving.look([B, C], (), 0.0) == [AskKeep(C, 2)]
    assert driving.look([B, C], (), 1.0) == []
    assert driving.look([B, C], (), ANSWER_S) == [NotDurable("no room")]  # silence is a refusal
    assert driving.look([B, C], (), ANSWER_S + AGAIN_S) == [AskKeep(B, 3)]
    assert driving.answered(B, 1, True, "") == []  # of the first time
    assert driving.answered(B, 3, True, "") == [Durable(B)]
    assert driving.over(ended=True) == [Release(B, 3, True), Release(C, 2, True)]


def test_who_says_that_it_fetches_the_request_gets_the_time_for_that() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C], (), 0.0) == [AskKeep(B, 1)]
    driving.fetching(C, 1.0)
    driving.fetching(B, 2.0)
    assert driving.look([B, C], (), 1.0 + ASK_S) == []
    assert driving.look([B, C], (), 2.0 + ASK_S) == [AskKeep(C, 2)]


def test_who_says_nothing_is_not_waited_for_alone() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C, D], (), 0.0) == [AskKeep(B, 1)]
    assert driving.look([B, C, D], (), NEXT_S / 2) == []
    assert driving.look([B, C, D], (), NEXT_S) == [AskKeep(C, 2)]
    assert driving.look([B, C, D], (), 2 * NEXT_S) == [AskKeep(D, 3)]
    assert driving.look([B, C, D], (), 3 * NEXT_S) == []
    assert driving.answered(C, 2, True, "") == [
        Durable(C),
        Release(B, 1, False),
        Release(D, 3, False),
    ]
    assert driving.answered(B, 1, True, "") == [Release(B, 1, False)]  # too late
    assert driving.answered(D, 3, False, "no room") == []
    assert driving.look([B, C, D], (), 4 * NEXT_S) == []
    assert (driving.stand_in, driving.given(C), driving.highest) == (C, 2, 3)


def test_who_fetches_is_waited_for_alone_and_who_refuses_is_followed_at_once() -> None:
    driving = Driving(BUILD)
    driving.look([B, C, D], (), 0.0)
    driving.look([B, C, D], (), NEXT_S)
    driving.fetching(C, NEXT_S)
    assert driving.look([B, C, D], (), 2 * NEXT_S) == []
    assert driving.answered(C, 2, False, "no room") == []
    assert driving.look([B, C, D], (), 2 * NEXT_S) == [AskKeep(D, 3)]
    assert driving.look([B, C, D], (), ANSWER_S) == []
    assert driving.silent == {B}
    assert driving.answered(B, 1, False, "") == []
    assert driving.silent == set()


def test_alone_it_is_not_durable_until_somebody_comes() -> None:
    driving = Driving(BUILD)
    (told,) = driving.look([], (), 0.0)
    assert isinstance(told, NotDurable)
    assert driving.look([], (), 1.0) == []
    assert driving.look([B], (), AGAIN_S) == [AskKeep(B, 1)]


def test_a_stand_in_that_dies_is_followed_by_another_under_a_higher_attempt() -> None:
    driving = kept_by(B)
    assert driving.look([B, C], (), 1.0) == []
    told, ask = driving.look([C], (B,), 2.0)
    assert isinstance(told, NotDurable)
    assert ask == AskKeep(C, 2)
    assert not driving.is_durable
    # Back with the old number, it gives way to the later one as soon as it hears of it.
    stand_in = StandIn({BUILD: Request(A, 1)})
    stand_in.gone(A, 0.0)
    assert stand_in.tick(TAKE_OVER_S) == [Inquire(BUILD)]
    assert stand_in.contested(BUILD, 2, Phase.KEPT) == [Forget(BUILD)]
    assert stand_in.tick(TAKE_OVER_S + INQUIRE_S) == []


def test_a_driver_that_stays_away_is_followed_one_that_comes_back_at_once_is_not() -> None:
    stand_in = StandIn()
    assert stand_in.keep(BUILD, A, 1, 0.0) == []
    assert stand_in.keep(BUILD, A, 0, 0.0) is None
    stand_in.gone(A, 10.0)
    assert stand_in.tick(10.0 + TAKE_OVER_S - 0.1) == []
    stand_in.back(A, 12.0)
    assert stand_in.tick(99.0) == []
    stand_in.gone(A, 100.0)
    assert stand_in.tick(100.0 + TAKE_OVER_S) == [Inquire(BUILD)]
    stand_in.back(A, 104.0)
    assert stand_in.tick(200.0) == []
    stand_in.gone(A, 300.0)
    stand_in.stalled(310.0)
    assert stand_in.tick(310.0) == []
    assert stand_in.tick(310.0 + TAKE_OVER_S) == [Inquire(BUILD)]
    assert stand_in.met(B) == []
    assert stand_in.tick(320.0) == [TakeOver(BUILD, 1), TellAll(BUILD)]
    assert stand_in.met(B) == [Tell(B, BUILD)]
    assert stand_in.ended(BUILD) == [TellAll(BUILD)]
    assert stand_in.met(B) == [Tell(B, BUILD)]


def test_a_driver_that_lives_wins_over_its_stand_in() -> None:
    stand_in = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert stand_in.driven(A, BUILD, 0, 0.0, is_driver=True) == [
        Tell(A, BUILD)
    ]  # it may not know yet
    driving = kept_by(B)
    driving.taken_over(1)
    assert driving.attempt == 2
    assert stand_in.driven(A, BUILD, 2, 0.0, is_driver=True) == [Stop(BUILD)]
    assert driving.look([B], (), 0.0) == [AskKeep(B, 3)]
    assert stand_in.keep(BUILD, A, 3, 0.0) == []
    unaware = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert unaware.keep(BUILD, A, 3, 0.0) == [Stop(BUILD)]
    # But what has ended has ended.
    ended = StandIn({BUILD: Request(A, 1, Phase.ENDED)})
    assert ended.driven(A, BUILD, 2, 0.0, is_driver=True) == [Tell(A, BUILD)]
    assert ended.keep(BUILD, A, 3, 0.0) is None
    assert ended.requests[BUILD].phase is Phase.ENDED


def test_who_never_drove_a_build_can_not_take_it() -> None:
    for phase in (Phase.KEPT, Phase.DRIVING, Phase.ENDED):
        stand_in = StandIn({BUILD: Request(A, 1, phase)})
        stand_in.gone(A, 0.0)
        assert stand_in.driven(C, BUILD, 9, 1.0, is_driver=False) == [Tell(C, BUILD)]
        assert stand_in.requests[BUILD] == Request(A, 1, phase, missing_since=0.0)


def test_a_driver_that_began_anew_is_followed_at_once() -> None:
    stand_in = StandIn({BUILD: Request(A, 1)})
    assert stand_in.lost(C, BUILD) == [Tell(C, BUILD)]
    assert stand_in.lost(A, BUILD) == [TakeOver(BUILD, 1), TellAll(BUILD)]
    assert stand_in.lost(A, BUILD) == [Tell(A, BUILD)]
    assert stand_in.lost(A, "another") == [Tell(A, "another")]


def test_who_asks_for_the_build_that_it_drove_has_lost_it() -> None:
    stand_in = StandIn({BUILD: Request(A, 2)})
    assert stand_in.asked(B, BUILD) == [Tell(B, BUILD)]
    assert stand_in.asked(A, BUILD) == [TakeOver(BUILD, 2), TellAll(BUILD)]
    assert stand_in.asked(A, "another") == []


def test_what_its_driver_speaks_of_no_more_is_forgotten() -> None:
    stand_in = StandIn()
    stand_in.keep(BUILD, A, 1, 0.0)
    stand_in.driven(A, BUILD, 0, 100.0, is_driver=True)
    assert stand_in.tick(100.0 + SILENT_S) == []
    assert stand_in.tick(101.0 + SILENT_S) == [Forget(BUILD)]
    assert not stand_in.requests


def test_only_who_drives_releases() -> None:
    stand_in = StandIn({BUILD: Request(A, 3, Phase.DRIVING)})

    def released(attempt: int, *, ended: bool, is_driver: bool = True) -> list[StandInEffect]:
        return stand_in.released(BUILD, attempt, ended=ended, is_driver=is_driver)

    assert released(4, ended=True, is_driver=False) == []
    assert released(2, ended=True) == []  # of an earlier time
    assert released(3, ended=False) == []  # it only gave way itself
    assert released(3, ended=True) == [Stop(BUILD), Forget(BUILD)]
    assert released(3, ended=True) == []
    stand_in = StandIn({BUILD: Request(A, 3)})
    assert released(3, ended=False) == [Forget(BUILD)]


def test_who_drives_does_not_give_way_to_its_own_stand_in() -> None:
    stand_in = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert stand_in.contested(BUILD, 2, Phase.KEPT) == []
    assert stand_in.contested(BUILD, 2, Phase.ASKING) == []
    assert stand_in.contested(BUILD, 2, Phase.DRIVING) == [Stop(BUILD), Forget(BUILD)]


def test_who_gave_a_request_is_asked_how_far_it_is_when_he_is_there_again() -> None:
    stand_in = StandIn({BUILD: Request(A, 3)})
    assert stand_in.met(B) == []
    assert stand_in.met(A) == [Inquire(BUILD, of=A)]


def test_a_stand_in_that_has_forgotten_is_followed_by_another() -> None:
    assert StandIn().driven(A, BUILD, 0, 0.0, is_driver=True) == [Tell(A, BUILD)]
    driving = kept_by(B)
    assert driving.forgotten(C) == []
    (told,) = driving.forgotten(B)
    assert isinstance(told, NotDurable)
    assert driving.look([B, C], (), 0.0) == [AskKeep(C, 2)]


# --- by chance -------------------------------------------------------------------------------


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


@pytest.mark.parametrize("seed", range(100))
def test_a_durable_build_ends_whoever_dies_as_long_as_one_that_keeps_it_comes_back(
    seed: int,
) -> None:
    world = World(seed)
    chance = world.random
    while not world.was_durable:
        world.step()
    for _ in range(60):
        match chance.randrange(8):
            case 0:
                living = [host.key for host in world.hosts.values() if host.alive]
                if len(living) > 1:
                    world.kill(chance.choice(living))
            case 1 | 2:
                dead = [host.key for host in world.hosts.values() if not host.alive]
                if dead:
                    world.revive(chance.choice(dead))
            case 3:
                world.cut.add(frozenset(chance.sample(sorted(world.hosts), 2)))
            case 4:
                world.cut.clear()
        for _ in range(chance.randrange(1, 12)):
            world.step()
            if seed % 2 and chance.random() < 0.3:
                world.meddle()
    world.cut.clear()
    for host in world.hosts.values():
        if not host.alive:
            world.revive(host.key)
    for _ in range(400):
        world.step()
        if not world.drivers() and world.ends:
            break
    assert world.ends, "\n".join(world.log)
    attempts = [attempt for _, attempt in world.ends]
    assert len(attempts) == len(set(attempts)), (world.ends, world.log)
    for _ in range(60):  # peace: nobody drives it again
        world.step()
    assert world.drivers() == []
    assert [attempt for _, attempt in world.ends] == attempts, "\n".join(world.log)


@pytest.mark.parametrize("seed", range(30))
def test_two_that_hear_each_other_do_not_go_on_both(seed: int) -> None:
    world = World(seed)
    world.hosts[A].left = 10_000
    world.WORK = 10_000
    chance = world.random
    for _ in range(40):
        if chance.random() < 0.3:
            world.cut.add(frozenset((A, chance.choice([B, C, D]))))
        elif chance.random() < 0.3:
            world.cut.clear()
        for _ in range(chance.randrange(1, 20)):
            world.step()
    world.cut.clear()
    for _ in range(20):
        world.step()
    assert world.drivers() == [A], "\n".join(world.log[-40:])
