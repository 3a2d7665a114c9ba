"""Which slots of other hosts one build's commands get, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.places import PATIENCE_S, NodePlaces
from buildnet.node.pool_results import PoolResults
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed, Borrowing
from buildnet.node.sharing.errands import LostHostError, WrongHostError
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.needs import needs_of
from buildnet.node.sharing.other_hosts import MAX_ELSEWHERE, OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import UnfitHostError
from buildnet.pool.build import Ready
from buildnet.pool.demand import Want
from buildnet.pool.far_tools import FarTools
from buildnet.pool.leases import Amount
from buildnet.pool.placement import ONE_SLOT, Host, Needs, Preferences
from buildnet.pool.places import Answer, Slots
from buildnet.pool.requirements import Grant, Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Task, TaskId

HERE = Host(b"me", "me", slots=2, free=2, speed=100.0, is_here=True)
FAST = Host(b"fast", "fast", slots=4, free=4, speed=300.0, latency_ms=1.0)
NEAR = Host(b"near", "near", slots=4, free=4, speed=100.0, latency_ms=0.1)
HOSTS = {host.key: host for host in (HERE, FAST, NEAR)}
BLOB = Digest.of(b"input")


class Leases:
    """What a build has borrowed: two leases of each of two owners."""

    def __init__(self) -> None:
        owners = (FAST.key, FAST.key, NEAR.key, NEAR.key)
        self.leases = {
            str(number).encode(): Borrowed(str(number).encode(), owner, "b")
            for number, owner in enumerate(owners)
        }
        self.unfit: set[bytes] = set()
        self.members: tuple[bytes, ...] = (NEAR.key, FAST.key)
        self.waiting: tuple[Want, ...] = ()
        self.wanted: list[tuple[int, tuple[Want, ...]]] = []
        self.borrower = SimpleNamespace(
            name_of=bytes.decode,
            give_back=lambda borrowing, lease: self.leases.pop(lease.id),
            end_of=lambda borrowing, lease: setattr(lease, "busy", False),
        )

    def want(self, waiting: tuple[Want, ...], wants: tuple[Want, ...]) -> None:
        self.waiting = waiting
        self.wanted.append((sum(want.count for want in waiting), wants))

    def is_wanted(self, lease: Borrowed, *, exactly: bool) -> bool:
        return Borrowing.is_wanted(cast(Borrowing, self), lease, exactly=exactly)


def prepared_of(name: str, **said: Any) -> Prepared:
    spec = SimpleNamespace(
        inputs=DirectoryTree({"in": FileEntry(BLOB)}), platform={"isolation": "strict"}
    )
    action: Any = SimpleNamespace(spec=spec)
    return Prepared(Task(name, "build", "run", "", **said), action, {})


PREPARED = prepared_of("a")
TASK = PREPARED.task.id


def on_loop(work: Callable[[OtherHosts, Leases], None], **said: Any) -> None:
    async def run() -> None:
        leases = Leases()
        known = KnownHosts(HOSTS.copy)
        hosts = OtherHosts(cast(PoolResults, None), cast(Any, None), known, **said)
        hosts.borrowing = cast(Borrowing, leases)
        work(hosts, leases)

    asyncio.run(run())


def taken(hosts: OtherHosts, *, here: bool = False, prepared: Prepared = PREPARED) -> str | None:
    """Choose and take a slot; return its owner's name."""
    needs = needs_of(prepared)
    chosen = hosts.choose(prepared, needs, here_is_free=here)
    hosts.placed(chosen, needs)
    return None if chosen is None else chosen.lease.owner.decode()


@pytest.mark.parametrize(
    ("preferences", "order"),
    [
        (Preferences(strategy="fastest"), ["fast", "fast", "near", "near", None]),
        (Preferences(strategy="round_robin"), ["fast", "near", "fast", "near", None]),
        (Preferences(strategy="fastest", cores={"fast": 1}), ["fast", "near", "near", None]),
        (Preferences(cores={"near": 1}, only_named=True), ["near", None]),
        (Preferences(preferred_node="near"), ["near", "near", "fast", "fast"]),
        (Preferences(max_latency_ms=0.5), ["near", "near", None]),
        (Preferences(labels=frozenset({"gpu"})), [None]),
    ],
)
def test_slots_are_taken_as_the_strategy_and_bounds_say(
    preferences: Preferences, order: list[str | None]
) -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert [taken(hosts) for _ in order] == order

    on_loop(work, preferences=preferences)


def test_this_node_is_one_of_the_places() -> None:
    def fastest(hosts: OtherHosts, leases: Leases) -> None:
        assert [taken(hosts, here=True) for _ in range(3)] == ["fast", "fast", None]

    def turns(hosts: OtherHosts, leases: Leases) -> None:
        order = [None, "fast", "near", None, "fast", "near"]
        assert [taken(hosts, here=True) for _ in order] == order

    on_loop(fastest, preferences=Preferences(strategy="fastest"))
    on_loop(turns, preferences=Preferences(strategy="round_robin"))


def test_a_command_goes_where_its_inputs_are() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        tree = DirectoryTree({"x": FileEntry(BLOB)})
        assert taken(hosts) == "fast"
        hosts.holds(NEAR.key, tree, DirectoryTree({}))
        assert taken(hosts) == "near"

    on_loop(work, preferences=Preferences(strategy="locality"))


def test_no_more_run_elsewhere_at_once_than_may() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert [taken(hosts) for _ in range(3)] == ["fast", "fast", None]

    on_loop(work, most=2, preferences=Preferences(strategy="fastest"))


def test_what_waits_and_may_run_elsewhere_is_wanted() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        staged = prepared_of("s")
        cast(Any, staged.action).spec.platform = {"isolation": "staged"}
        known = {TASK: PREPARED, staged.task.id: staged}
        owners = (FAST.key, NEAR.key)
        hosts.want([Ready(3, TASK), Ready(5, staged.task.id)], known)
        assert leases.wanted.pop() == (3, (Want(ONE_SLOT, 3, owners),))
        hosts.want([Ready(1000, TASK)], known)
        assert leases.wanted.pop() == (MAX_ELSEWHERE, (Want(ONE_SLOT, MAX_ELSEWHERE, owners),))
        taken(hosts)
        hosts.want([], known)  # what runs needs its place
        assert leases.wanted.pop() == (0, (Want(ONE_SLOT, 1, owners),))

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_what_asks_for_a_label_is_wanted_of_those_that_have_it_and_keeps_their_slots() -> None:
    labelled = prepared_of("g", requirements=Requirements(labels=("gpu",)))

    def work(hosts: OtherHosts, leases: Leases) -> None:
        gpu = {**HOSTS, FAST.key: replace(FAST, labels=frozenset({"gpu"}))}
        hosts.known.look = lambda: gpu
        known = {TASK: PREPARED, labelled.task.id: labelled}
        hosts.want([Ready(3, TASK), Ready(2, labelled.task.id)], known)
        assert leases.wanted == [
            (5, (Want(ONE_SLOT, 2, (FAST.key,)), Want(ONE_SLOT, 3, (FAST.key, NEAR.key))))
        ]
        assert [taken(hosts) for _ in range(3)] == ["near", "near", None]
        assert [taken(hosts, prepared=labelled) for _ in range(3)] == ["fast", "fast", None]

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_a_demand_of_many_classes_names_no_more_owners_than_are_read() -> None:
    known = {
        each.task.id: each
        for each in (
            prepared_of(f"m{number}", requirements=Requirements(memory_bytes=number))
            for number in range(30)
        )
    }

    def work(hosts: OtherHosts, leases: Leases) -> None:
        leases.members = tuple(number.to_bytes(2, "big") for number in range(400))
        hosts.want([Ready(1, task) for task in known], known)
        ((_, wants),) = leases.wanted
        assert len(wants) == 16
        assert sum(len(want.owners) for want in wants) <= 512

    on_loop(work)


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


def test_owners_come_best_first_and_no_more_than_nodes_may_be_used() -> None:
    members = [NEAR.key, FAST.key]

    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert hosts.order(Needs(), members) == (FAST.key, NEAR.key)
        hosts.preferences = replace(hosts.preferences, max_nodes=2)
        leases.leases.clear()
        assert hosts.order(Needs(), members) == (FAST.key,)
        leases.leases[b"x"] = Borrowed(b"x", NEAR.key, "b")
        assert hosts.order(Needs(), members) == (NEAR.key,)
        hosts.preferences = replace(hosts.preferences, max_nodes=1)
        assert hosts.order(Needs(), members) == ()

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_the_order_of_many_hosts_is_not_worked_out_for_each_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = 0

    def owners(self: OtherHosts, needs: Needs, members: object) -> list[Host]:
        nonlocal asked
        asked += 1
        return [FAST, NEAR]

    monkeypatch.setattr(OtherHosts, "owners", owners)

    def work(hosts: OtherHosts, leases: Leases) -> None:
        now = 5.0
        hosts.loop = cast(Any, SimpleNamespace(time=lambda: now))
        members = (FAST.key, NEAR.key)
        for _ in range(9):
            assert hosts.order(Needs(), members) == members
        assert asked == 1
        hosts.order(Needs(), members[:1])
        assert asked == 2
        hosts.order(Needs(), members[:1])
        now += 1
        hosts.order(Needs(), members[:1])
        assert asked == 3

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_a_member_of_which_nothing_is_known_may_be_asked_but_for_what_not_all_have() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert [host.key for host in hosts.owners(Needs(), [b"new"])] == [b"new"]
        assert hosts.owners(Needs(labels=frozenset({"gpu"})), [b"new"]) == []

    on_loop(work)


def test_an_unfit_host_gets_nothing_more_and_a_lost_one_is_remembered() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        lease = next(iter(leases.leases.values()))
        lease.busy = True
        hosts.failed(OtherHost(hosts, lease), TASK, UnfitHostError("another tool"))
        assert {each.owner for each in leases.leases.values()} == {FAST.key, NEAR.key}
        assert [taken(hosts) for _ in range(3)] == ["near", "near", None]
        hosts.failed(OtherHost(hosts, lease), TASK, LostHostError("gone"))
        assert hosts.known.experience.reliability(FAST.key) < 1.0
        assert hosts.may_take(PREPARED)
        hosts.failed(OtherHost(hosts, lease), TASK, LostHostError("gone"))
        assert not hosts.may_take(PREPARED)

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_who_took_no_command_is_told_with_the_reason() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        drained = replace(NEAR, lends_nothing="it is drained")
        hosts.known = KnownHosts(lambda: HOSTS | {NEAR.key: drained})
        assert hosts.unhelpful() == []  # nothing was wanted
        hosts.want([Ready(1, TASK)], {TASK: PREPARED})
        assert hosts.unhelpful() == ["near ran no commands: it is drained"]

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


LARGE = prepared_of("large", requirements=Requirements(cores=4, memory_bytes=100))
FAR = replace(prepared_of("far"), far=FarTools((NEAR.key,), ("near",), {}, {}))


def test_units_of_each_class_are_wanted_of_who_can_give_them() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        known = {each.task.id: each for each in (PREPARED, LARGE, FAR)}
        hosts.want([Ready(2, task) for task in known], known)
        assert leases.waiting == (
            Want(Amount(1), 2, (NEAR.key,)),
            Want(Amount(4, 100), 2, (FAST.key, NEAR.key)),
            Want(Amount(1), 2, (FAST.key, NEAR.key)),
        )

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


def test_a_lease_of_more_is_not_used_while_something_waits_for_just_that() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        leases.leases = {b"l": Borrowed(b"l", FAST.key, "b", Amount(4, 100))}
        hosts.want([Ready(1, LARGE.task.id)], {LARGE.task.id: LARGE})
        assert taken(hosts) is None
        assert taken(hosts, prepared=LARGE) == "fast"
        leases.leases[b"m"] = Borrowed(b"m", FAST.key, "b", Amount(4, 100))
        hosts.want([], {})
        assert taken(hosts) == "fast"

    on_loop(work)


def test_a_slot_whose_result_is_told_takes_the_next_command_at_once() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        changes: list[None] = []
        hosts.on_change = lambda: changes.append(None)
        first = hosts.choose(PREPARED, needs_of(PREPARED), here_is_free=False)
        assert first is not None
        hosts.placed(first, needs_of(PREPARED))
        hosts.answered(first)
        assert changes == [None]
        second = hosts.choose(PREPARED, needs_of(PREPARED), here_is_free=False)
        assert second is not None
        assert second.lease is first.lease
        hosts.placed(second, needs_of(PREPARED))
        hosts.end(first)  # once what it made is taken in
        hosts.give_up(first)
        assert second.lease.busy
        assert second.lease.id in leases.leases
        hosts.end(second)
        assert not second.lease.busy

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_a_host_that_told_a_wrong_result_is_left_after_the_command_that_runs_there_now() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        first = hosts.choose(PREPARED, needs_of(PREPARED), here_is_free=False)
        assert first is not None
        hosts.placed(first, needs_of(PREPARED))
        hosts.answered(first)
        second = hosts.choose(PREPARED, needs_of(PREPARED), here_is_free=False)
        assert second is not None
        hosts.placed(second, needs_of(PREPARED))
        assert hosts.failed(first, TASK, WrongHostError("it has another digest"))
        assert not second.lease.wanted_back
        # People are told of it once, whatever comes of the other one.
        assert not hosts.failed(second, TASK, WrongHostError("it has another digest"))
        hosts.end(second)
        assert second.lease.wanted_back

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_a_lease_of_less_is_not_used() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert taken(hosts, prepared=LARGE) is None

    on_loop(work)


def test_only_hosts_with_the_tools_of_the_key_are_used() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert [taken(hosts, prepared=FAR) for _ in range(3)] == ["near", "near", None]

    on_loop(work, preferences=Preferences(strategy="fastest"))


def test_what_a_host_can_not_run_others_of_another_sort_may() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        tool = prepared_of("tool", tools=("ffmpeg",))
        host = hosts.choose(tool, needs_of(tool), here_is_free=False)
        assert host is not None
        assert host.lease.owner == FAST.key
        hosts.placed(host, needs_of(tool))
        hosts.failed(host, tool.task.id, UnfitHostError("another"))
        hosts.end(host)
        assert host.lease.wanted_back
        leases.leases = Leases().leases  # what had nothing to do went back
        assert taken(hosts, prepared=tool) == "near"
        assert taken(hosts) == "fast"

    on_loop(work, preferences=Preferences(strategy="fastest"))


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


def test_commands_share_the_memory_that_the_build_has_on_a_host() -> None:
    large = prepared_of("large", requirements=Requirements(memory_bytes=700))

    def work(hosts: OtherHosts, leases: Leases) -> None:
        known = {TASK: PREPARED, large.task.id: large}
        hosts.want([Ready(5, TASK)], known)
        share = Amount(1, 400)
        assert leases.waiting == (Want(share, 5, (FAST.key,)), Want(ONE_SLOT, 5, (NEAR.key,)))
        leases.leases = {
            bytes([number]): Borrowed(bytes([number]), FAST.key, "b", amount)
            for number, amount in enumerate((share, Amount(1, 700), ONE_SLOT))
        }
        hosts.want([], known)
        assert taken(hosts) == "fast"
        assert leases.leases[b"\0"].busy
        assert taken(hosts, prepared=large) is None  # together they would have more
        assert taken(hosts) is None  # one lease has less than its share, one too much

    on_loop(work, preferences=Preferences(cores={"fast": 2}, memory={"fast": 800}))
