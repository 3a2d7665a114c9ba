"""Which slots of other hosts one build's commands get, and how many."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.places import NodePlaces, needs_of
from buildnet.node.pool_results import PoolResults
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed, Borrowing
from buildnet.node.sharing.errands import LostHostError
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.other_hosts import MAX_ELSEWHERE, OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import UnfitHostError
from buildnet.pool.build import Ready
from buildnet.pool.placement import Host, Needs, Preferences
from buildnet.pool.places import Slots
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
        self.wanted: list[int] = []
        self.borrower = SimpleNamespace(
            give_back=lambda borrowing, lease: self.leases.pop(lease.id),
            end_of=lambda borrowing, lease: setattr(lease, "busy", False),
        )

    def want(self, waiting: int) -> None:
        self.wanted.append(waiting)


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
    chosen = hosts.choose(prepared, needs_of(prepared), here_is_free=here)
    hosts.placed(chosen)
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
        hosts.want({1: Ready(3, TASK, 1.0), 2: Ready(5, staged.task.id, 1.0)}, known)
        hosts.want({1: Ready(1000, TASK, 1.0)}, known)
        assert leases.wanted == [3, MAX_ELSEWHERE]

    on_loop(work)


def test_owners_come_best_first_and_no_more_than_nodes_may_be_used() -> None:
    members = [NEAR.key, FAST.key]

    def work(hosts: OtherHosts, leases: Leases) -> None:
        assert hosts.order(members) == [FAST.key, NEAR.key]
        hosts.preferences = replace(hosts.preferences, max_nodes=2)
        leases.leases.clear()
        assert hosts.order(members) == [FAST.key]
        leases.leases[b"x"] = Borrowed(b"x", NEAR.key, "b")
        assert hosts.order(members) == [NEAR.key]
        hosts.preferences = replace(hosts.preferences, max_nodes=1)
        assert hosts.order(members) == []

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


def test_places_are_given_at_home_and_elsewhere_and_given_back() -> None:
    def work(hosts: OtherHosts, leases: Leases) -> None:
        names = [f"t{number}" for number in range(4)]
        workers: Any = SimpleNamespace(free=(2, None))
        places = NodePlaces(Slots(1), workers, hosts)
        for name in names:
            places.prepared[TaskId(name, "build")] = prepared_of(name)
        places.begin()
        ids = list(places.prepared)
        assert [places.take(task) for task in ids] == [True, True, True, False]
        found = [places.elsewhere(task) for task in ids[:3]]
        assert [each and each.lease.owner for each in found] == [FAST.key, FAST.key, None]
        places.give_back(ids[2])
        workers.free = (0, None)  # taken by others: waited for, where there is nothing else
        places.begin()
        assert places.take(ids[3])
        assert places.elsewhere(ids[3]) is None

    on_loop(work, most=2, preferences=Preferences(strategy="fastest"))
