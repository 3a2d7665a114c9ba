"""Commands that are begun a second time: which, and whose result counts."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.node.execute.cancel import CancelToken
from buildnet.node.places import NodePlaces, Second
from buildnet.node.racing import FIRST, SECOND, Contests, LostRaceError, Race, Racing
from buildnet.node.second_runs import SecondRuns
from buildnet.node.sharing.other_hosts import OtherHost
from buildnet.pool.placement import Preferences
from buildnet.pool.places import Answer, Slots
from buildnet.pool.requirements import Grant, Requirements
from buildnet.pool.straggling import AT_ONCE, is_straggler
from buildnet.pool.tree import EMPTY_TREE
from buildnet.pool.workspace import TaskId

TASK = TaskId("p", "build")


def test_only_what_is_long_overdue_and_sooner_done_elsewhere_is_a_straggler() -> None:
    assert not is_straggler(3900.0, 1000.0, 1000.0)
    assert is_straggler(4000.0, 1000.0, 1000.0)
    assert not is_straggler(4000.0, 1000.0, 2100.0)
    assert not is_straggler(119_000.0, 60_000.0, 1000.0)


def run(race: Race, which: str, outputs: object = EMPTY_TREE) -> list[bytes]:
    """Run a command that prints a word; return what was shown."""
    shown: list[bytes] = []

    def execute(request: object, hold: object, on_output: Any, cancel: object) -> Any:
        on_output(which.encode())
        return SimpleNamespace(outputs=outputs)

    executor: Any = SimpleNamespace(isolation="strict", execute=execute)
    nothing: Any = None
    Racing(executor, race, which).execute(nothing, nothing, shown.append, CancelToken())
    return shown


def test_the_first_result_counts_and_what_a_second_run_prints_is_shown_once_it_does() -> None:
    race = Race()
    assert run(race, SECOND) == [b"second"]
    with pytest.raises(LostRaceError):
        run(race, FIRST)
    race = Race()
    assert run(race, FIRST) == [b"first"]
    with pytest.raises(LostRaceError):
        run(race, SECOND)


def test_a_failure_of_the_second_run_counts_only_where_it_is_alone() -> None:
    race = Race()
    with pytest.raises(LostRaceError):
        run(race, SECOND, None)
    assert run(race, FIRST, None) == [b"first"]
    race = Race(is_alone=True)
    assert run(race, SECOND, None) == [b"second"]


class Host:
    """A slot that a command runs on."""

    def __init__(self) -> None:
        self.given_up = 0
        self.hosts = self

    def give_up(self, host: object) -> None:
        self.given_up += 1


def contest_of(contests: Contests) -> tuple[Any, Host]:
    host: Any = Host()
    return contests.begin(TASK, host), host


def test_reports_are_settled_once_no_run_goes_on() -> None:
    first: Any = "first's report"
    second: Any = "second's report"

    async def work() -> None:
        contests, token = Contests(), CancelToken()
        contest_of(contests)
        assert await contests.settle(TASK, first, token) == first  # nobody ran it again
        assert contests.second(TASK, alone=False) is None
        # The first one is first: the second is ended, and waited for.
        contest, _ = contest_of(contests)
        assert contests.second(TASK, alone=False) == contest
        assert contests.second(TASK, alone=False) is None
        settling = asyncio.ensure_future(contests.settle(TASK, first, token))
        await asyncio.sleep(0)
        assert contest.token.is_set()
        assert not settling.done()
        contest.over.set()
        assert await settling == first
        # The second one is first.
        contest, host = contest_of(contests)
        contests.second(TASK, alone=False)
        assert contest.race.wins(SECOND)
        contest.report = second
        contest.give_up_first()
        contest.over.set()
        assert await contests.settle(TASK, first, token) == second
        assert host.given_up == 1
        # The first one's host is lost: the second one's result counts, whatever it is.
        contest, _ = contest_of(contests)
        contests.second(TASK, alone=False)
        settling = asyncio.ensure_future(contests.settle(TASK, None, token))
        await asyncio.sleep(0)
        assert contest.race.is_alone
        token.set()  # and the build is cancelled
        assert contest.token.is_set()
        contest.over.set()
        assert await settling is None

    asyncio.run(work())


class Elsewhere:
    """What a build has of another host."""

    def __init__(self) -> None:
        self.begun = False
        self.losses = SimpleNamespace(is_careful=False)
        self.preferences = Preferences(strategy="round_robin")
        self.slots: list[str] = ["first", "third"]
        self.ended: list[OtherHost] = []

    def may_take(self, prepared: object) -> bool:
        return True

    def choose(self, *_: object, used: tuple[str, ...] = (), **said: bool) -> Any:
        owner = next((each for each in self.slots if each not in used), None)
        return owner and SimpleNamespace(lease=SimpleNamespace(owner=owner), is_over=False)

    def placed(self, host: Any, needs: object) -> None:
        if host is not None:
            self.slots.remove(host.lease.owner)

    def speed(self, host: object) -> float:
        return 1.0

    def waits(self, host: object) -> bool:
        return not self.begun

    def end(self, host: OtherHost) -> None:
        self.ended.append(host)


class World:
    """A build whose one command runs on another host."""

    def __init__(self, *, network: bool = False) -> None:
        self.now = 0.0
        self.hosts = cast(Any, Elsewhere())
        self.workers = cast(Any, SimpleNamespace(free=(0, None), grant=Grant(4)))
        self.places = NodePlaces(
            Slots(1),
            self.workers,
            self.hosts,
            durations_ms={TASK: 1000.0},
            clock=lambda: self.now,
        )
        needed = Requirements()
        task = SimpleNamespace(id=TASK, requirements=needed, tools=(), network=network)
        prepared: Any = SimpleNamespace(task=task, far=None)
        self.places.prepared[TASK] = prepared
        self.places.begin()
        assert self.places.take(TASK) is Answer.TAKEN
        self.workers.free = (1, None)
        self.again: list[tuple[object, bool]] = []
        self.waits = False
        dispatcher: Any = SimpleNamespace(run_again=self.run_again, times=1)
        self.second_runs = SecondRuns(self.places, dispatcher, lambda: self.waits)

    async def run_again(self, prepared: object, host: object, *, alone: bool) -> None:
        self.again.append((host, alone))

    def due(self) -> list[tuple[TaskId, bool]]:
        return list(self.second_runs._due())


def test_what_has_not_begun_elsewhere_is_taken_home_when_a_slot_is_idle() -> None:
    world = World()
    assert world.due() == []
    world.now = 1.5
    assert world.due() == [(TASK, True)]
    world.hosts.begun = True
    assert world.due() == []
    world.hosts.begun = False
    world.workers.free = (0, None)
    assert world.due() == []


def test_what_takes_far_too_long_runs_a_second_time() -> None:
    world = World()
    world.hosts.begun = True
    world.now = 3.9
    assert world.due() == []
    world.now = 4.0
    assert world.due() == [(TASK, False)]
    world.waits = True  # something else needs the slots
    assert world.due() == []
    world.waits = False
    first: Any = world.places.elsewhere(TASK)
    first.is_over = True  # its result is told, and being taken in
    assert world.due() == []
    assert world.places.second(TASK, only_here=False) is None
    first.is_over = False
    world.hosts.losses.is_careful = True
    assert world.due() == []
    world.hosts.losses.is_careful = False
    world.second_runs._running = AT_ONCE
    assert world.due() == []
    world.second_runs._running = 0
    world.second_runs.dispatcher.times = 2  # results are compared
    assert world.due() == []
    network = World(network=True)
    network.now = 100.0
    assert network.due() == []


def test_a_second_run_has_a_slot_of_its_own_here_or_on_a_third_host() -> None:
    async def work(world: World) -> None:
        await world.second_runs._run(TASK, False)

    world = World()
    asyncio.run(work(world))
    assert world.again == [(None, False)]
    assert world.places.home.free == 1
    world.workers.free = (0, None)
    asyncio.run(work(world))
    (_, (host, _)) = world.again
    assert host is not None
    assert host.lease.owner == "third"  # type: ignore[attr-defined]
    assert world.hosts.ended == [host]
    asyncio.run(work(world))  # no slot is left
    assert len(world.again) == 2
    assert world.places.second(TASK, only_here=True) is None
    assert Second(None) == Second(None)


def test_what_failed_here_and_is_to_run_again_waits_a_moment_for_another_host() -> None:
    world = World()
    places, hosts = world.places, cast(Any, world.hosts)
    hosts.slots = []
    hosts.known = SimpleNamespace(others=[SimpleNamespace(lends_nothing=None)])
    places.give_back(TASK)
    places.tried = {TASK: {None}}
    wait_s = places.ask_others(TASK)
    places.begin()
    assert places.take(TASK) is Answer.WAITS
    hosts.slots = [b"far"]
    assert places.take(TASK) is Answer.TAKEN
    assert places.elsewhere(TASK) is not None
    # Nobody gives any: it runs here again, when it is looked at as late as that.
    places.give_back(TASK)
    hosts.slots = []
    places.ask_others(TASK)
    assert places.take(TASK) is Answer.WAITS
    world.now = wait_s
    assert places.take(TASK) is Answer.TAKEN
    assert places.elsewhere(TASK) is None
    # Nobody else lends: it does so at once.
    places.give_back(TASK)
    hosts.known.others = []
    places.ask_others(TASK)
    assert places.take(TASK) is Answer.TAKEN
