"""Which slots of other hosts one build's commands get, and how many."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.node.leased_hosts import (
    BLOB,
    FAR,
    FAST,
    HOSTS,
    LARGE,
    NEAR,
    PREPARED,
    TASK,
    Leases,
    on_loop,
    prepared_of,
)

from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed
from buildnet.node.sharing.errands import LostHostError, WrongHostError
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.needs import needs_of
from buildnet.node.sharing.other_hosts import MAX_ELSEWHERE, OtherHost, OtherHosts
from buildnet.node.sharing.remote_executor import UnfitHostError
from buildnet.pool.build import Ready
from buildnet.pool.demand import Want
from buildnet.pool.leases import Amount
from buildnet.pool.placement import ONE_SLOT, Host, Needs, Preferences
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry


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
