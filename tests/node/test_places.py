"""Where commands run, here or on a slot of another host, and which ones had better wait."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from tests.node.leased_hosts import (
    FAR,
    FAST,
    HERE,
    HOSTS,
    LARGE,
    NEAR,
    Leases,
    on_loop,
    prepared_of,
)

from buildnet.node.places import PATIENCE_S, NodePlaces
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.pool.build import Ready
from buildnet.pool.leases import Amount
from buildnet.pool.placement import Preferences
from buildnet.pool.places import Answer, Slots
from buildnet.pool.requirements import Grant, Requirements
from buildnet.pool.workspace import TaskId


def test_what_asks_for_a_label_waits_for_a_host_that_has_it_but_not_for_ever() -> None:
    labelled = prepared_of("g", requirements=Requirements(labels=("gpu",)))
    task = labelled.task.id
    ready = [Ready(1, task)]

    def work(hosts: OtherHosts, leases: Leases) -> None:
        workers: Any = SimpleNamespace(free=(2, None), grant=Grant(2))
        places = NodePlaces(Slots(2), workers, hosts, lambda: hosts.known.here)
        places.prepared[task] = labelled
        places.begin()
        assert places.take(task) is Answer.FULL
        assert places.hopeless(ready, 0.0) == []
        assert places.hopeless(ready, PATIENCE_S - 1) == []
        assert places.patience_left(PATIENCE_S - 1) == 1.0
        ((given_up, error),) = places.hopeless(ready, PATIENCE_S)
        assert given_up == task
        assert "gpu" in error.message
        # Where it can't run elsewhere at all there is nothing to wait for.
        places.hosts = None
        assert len(places.hopeless(ready, 0.0)) == 1
        here = replace(HERE, labels=frozenset({"gpu"}))
        at_home = NodePlaces(Slots(2), workers, None, lambda: here)
        at_home.prepared[task] = labelled
        assert at_home.take(task) is Answer.TAKEN
        assert at_home.hopeless(ready, 0.0) == []

    on_loop(work)


def test_places_are_given_at_home_and_elsewhere_and_given_back() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        names = [f"t{number}" for number in range(4)]
        workers: Any = SimpleNamespace(free=(2, None), grant=Grant(2))
        now = [0.0]
        places = NodePlaces(Slots(1), workers, hosts, clock=lambda: now[0])
        for name in names:
            places.prepared[TaskId(name, "build")] = prepared_of(name)
        places.begin()
        ids = list(places.prepared)
        taken = Answer.TAKEN
        assert [places.take(task) for task in ids] == [taken, taken, taken, Answer.FULL]
        found = [places.elsewhere(task) for task in ids[:3]]
        assert [each and each.lease.owner for each in found] == [FAST.key, FAST.key, None]
        places.give_back(ids[2])
        workers.free = (0, None)  # taken by others: waited for once nobody lends for a moment
        places.begin()
        assert places.take(ids[3]) is Answer.FULL
        assert hosts.borrowing.waits_for_home
        assert places.patience_left(now[0]) == pytest.approx(PATIENCE_S, abs=0.1)
        now[0] += PATIENCE_S
        places.begin()
        assert places.take(ids[3]) is taken
        assert places.elsewhere(ids[3]) is None
        assert not places.is_crowded(places.prepared[ids[3]])

    on_loop(work, most=2, preferences=Preferences(strategy="fastest"))


def test_a_long_command_waits_for_a_fast_slot_and_a_short_one_does_not() -> None:
    names = ["f1", "f2", "long", "short", "new"]
    took = {"f1": 3000.0, "f2": 3000.0, "long": 60_000.0, "short": 600.0}

    def work(hosts: OtherHosts, leases: Leases) -> None:
        now = [0.0]
        workers: Any = SimpleNamespace(free=(0, None), grant=Grant(2))
        durations = {TaskId(name, "build"): took_ms for name, took_ms in took.items()}
        places = NodePlaces(
            Slots(1),
            workers,
            hosts,
            lambda: hosts.known.here,
            durations_ms=durations,
            clock=lambda: now[0],
        )
        for name in names:
            places.prepared[TaskId(name, "build")] = prepared_of(name)
        first, second, long, short, new = places.prepared
        places.begin()
        assert [places.take(task) for task in (first, second)] == [Answer.TAKEN] * 2
        assert places.take(long) is Answer.WAITS
        assert places.take(short) is Answer.TAKEN
        assert places.take(new) is Answer.TAKEN  # of which nobody knows what it takes
        found = [places.elsewhere(task) for task in (first, second, short, new)]
        assert [each and each.lease.owner for each in found] == [FAST.key] * 2 + [NEAR.key] * 2
        # Nothing is waited for that takes longer than it should.
        assert found[3] is not None
        hosts.end(found[3])
        places.give_back(new)
        now[0] = 1000.0
        places.begin()
        assert places.take(long) is Answer.TAKEN

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_without_measured_speeds_nothing_is_waited_for() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        unknown = {key: replace(host, speed=None) for key, host in HOSTS.items()}
        hosts.known.look = lambda: unknown
        workers: Any = SimpleNamespace(free=(0, None), grant=Grant(2))
        known = [prepared_of(f"t{number}") for number in range(4)]
        durations = {each.task.id: 1000.0 for each in known}
        places = NodePlaces(Slots(1), workers, hosts, durations_ms=durations)
        places.prepared.update((each.task.id, each) for each in known)
        places.begin()
        assert [places.take(each.task.id) for each in known] == [Answer.TAKEN] * 4

    on_loop(work)


@pytest.mark.parametrize(("prepared", "code"), [(FAR, "TOOL_MISSING"), (LARGE, "REQUIREMENTS")])
def test_what_can_not_run_here_waits_for_a_host_that_can(prepared: Prepared, code: str) -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        workers: Any = SimpleNamespace(free=(2, None), grant=Grant(2))
        places = NodePlaces(Slots(2), workers, hosts)
        task = prepared.task.id
        ready = [Ready(1, task)]
        places.prepared[task] = prepared
        leases.leases.clear()
        places.begin()
        assert places.take(task) is Answer.FULL
        assert places.hopeless(ready, 0.0) == []
        assert places.hopeless(ready, PATIENCE_S) == []
        leases.leases[b"l"] = Borrowed(b"l", NEAR.key, "b", Amount(4, 100))
        assert places.take(task) is Answer.TAKEN
        found = places.elsewhere(task)
        assert found is not None
        assert found.lease.owner == NEAR.key
        places.give_back(task)
        leases.leases.clear()
        leases.members = (FAST.key,) if prepared is FAR else ()
        assert places.take(task) is Answer.FULL
        assert places.hopeless(ready, 100.0) == []
        ((given_up, error),) = places.hopeless(ready, 100.0 + PATIENCE_S)
        assert (given_up, error.code) == (task, code)

    on_loop(work)
