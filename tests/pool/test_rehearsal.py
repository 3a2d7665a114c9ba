"""Where commands would run: by the rules of real builds, on hosts that are there."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from buildnet.pool.leases import Amount
from buildnet.pool.placement import Needs, Preferences
from buildnet.pool.rehearsal import Command, Stage, rehearse
from buildnet.pool.workspace import TaskId
from testbed.plans import generated, hosts_of


def named(name: str) -> TaskId:
    return TaskId(name, "build")


def stage(*sizes: tuple[int, float]) -> Stage:
    here, *others = hosts_of(*sizes)
    return Stage(here, sizes[0][0], tuple(others))


def command(name: str, *needs: str, ms: float | None = 100.0, **more: object) -> Command:
    made = Command(named(name), tuple(map(named, needs)), took_ms=ms, may_move=True)
    return replace(made, **more)  # type: ignore[arg-type]


def test_one_node_runs_one_after_the_other_what_waits_for_each_other() -> None:
    found = rehearse([command("base"), command("app", "base")], stage((2, 1.0)))
    base, app = found[named("base")], found[named("app")]
    assert base.host is not None
    assert base.host.is_here
    assert (base.begins_ms, base.ends_ms, app.begins_ms, app.ends_ms) == (0, 100, 100, 200)


def test_what_has_no_room_here_moves_unless_it_may_not() -> None:
    commands = [command(name) for name in "abc"]
    found = rehearse(commands, stage((1, 1.0), (2, 1.0)))
    assert sorted(place.host.name for place in found.values() if place.host) == ["h0", "h1", "h1"]
    staying = [replace(each, may_move=False) for each in commands]
    found = rehearse(staying, stage((1, 1.0), (2, 1.0)))
    assert {place.host.name for place in found.values() if place.host} == {"h0"}
    assert sorted(place.ends_ms or 0 for place in found.values()) == [100, 200, 300]


def test_a_faster_host_is_sooner_done() -> None:
    away = command("far", may_stay=False)
    place = rehearse([away], stage((1, 1.0), (1, 4.0)))[named("far")]
    assert place.ends_ms == 25


def test_what_begins_at_once_begins_here_unless_others_are_reserved() -> None:
    commands = [command("first"), command("second"), command("later", "first")]
    where = stage((1, 1.0), (2, 4.0))
    where = replace(where, preferences=Preferences(strategy="fastest"))
    found = rehearse(commands, replace(where, is_reserved=True))
    assert {place.host.name for place in found.values() if place.host} == {"h1"}
    found = rehearse([replace(each, took_ms=None) for each in commands], where)
    names = {task.package: place.host.name for task, place in found.items() if place.host}
    assert sorted((names["first"], names["second"])) == ["h0", "h1"]
    assert names["later"] == "h1"


def test_times_are_told_only_where_all_are_known() -> None:
    found = rehearse([command("known"), command("new", ms=None)], stage((2, 1.0)))
    assert {(place.begins_ms, place.ends_ms) for place in found.values()} == {(None, None)}
    assert all(place.host is not None for place in found.values())


def test_what_runs_nowhere_says_why() -> None:
    labelled = Needs(labels=frozenset({"gpu"}))
    alone = command("gpu", may_stay=False, needs=labelled)
    found = rehearse([alone, command("app", "gpu")], stage((1, 1.0), (1, 1.0)))
    assert found[named("gpu")].host is None
    assert found[named("gpu")].why == "not on h1: it has no label gpu"
    assert found[named("app")].host is not None
    here = replace(alone, may_move=False)
    why = rehearse([here], stage((1, 1.0)))[named("gpu")].why
    assert why == "this node can't run it, and it may run on no other"


def test_where_all_hosts_are_busy_that_is_said() -> None:
    given_ = stage((1, 1.0), (2, 1.0))
    busy = replace(given_, others=tuple(replace(host, free=0) for host in given_.others))
    far = command("far", may_stay=False)
    found = rehearse([far, command("app", "far", may_stay=False)], busy)
    assert found[named("far")].why == "every host that may run it is busy"
    assert found[named("app")].why == "what it depends on has no place"


def test_bounds_of_the_configuration_hold() -> None:
    commands = [command(f"p{number}") for number in range(8)]
    wide = stage((1, 1.0), (4, 1.0), (4, 1.0))
    near = replace(wide, preferences=Preferences(max_nodes=2))
    hosts = {place.host.name for place in rehearse(commands, near).values() if place.host}
    assert len(hosts) == 2
    one = replace(wide, most=1)
    away = [place for place in rehearse(commands, one).values() if place.host != wide.here]
    began = sorted(place.begins_ms or 0 for place in away if place.host and not place.host.is_here)
    assert began == sorted(set(began))
    assert began
    none = replace(wide, most=0)
    hosts = {place.host.name for place in rehearse(commands, none).values() if place.host}
    assert hosts == {"h0"}


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(1, 3), st.integers(0, 3))
def test_no_slot_is_used_twice_and_nothing_begins_before_what_it_needs(
    seed: int, tasks: int, slots: int, others: int
) -> None:
    plan = generated(seed, tasks)
    commands = [
        Command(
            task,
            plan.dependencies[task],
            Needs(Amount(slots=1 + number % 2)),
            may_move=number % 3 > 0,
            took_ms=plan.durations_ms[task],
        )
        for number, task in enumerate(plan.durations_ms)
    ]
    where = stage((slots, 1.0), *(((2, 2.0),) * others))
    found = rehearse(commands, where)
    assert found.keys() == plan.durations_ms.keys()
    room = {host.name: host.slots or 0 for host in (where.here, *where.others)}
    sizes = {each.task: min(each.needs.amount.slots, slots) for each in commands}
    for task, place in found.items():
        assert place.host is not None
        assert place.begins_ms is not None
        used = 0
        for other, theirs in found.items():
            if theirs.host is not None and theirs.host.name == place.host.name:
                assert theirs.begins_ms is not None
                assert theirs.ends_ms is not None
                if theirs.begins_ms <= place.begins_ms < theirs.ends_ms:
                    used += sizes[other] if place.host.is_here else 1 + (sizes[other] > 1)
        assert used <= max(room[place.host.name], 1) or not place.host.is_here
        for needed in plan.dependencies[task]:
            assert (found[needed].ends_ms or 0) <= place.begins_ms + 0.2
