"""Which hosts may take a command, and in what order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from buildnet.pool.configuration import ProgramRequirement
from buildnet.pool.experience import Experience
from buildnet.pool.leases import Amount
from buildnet.pool.placement import Case, Host, Needs, Preferences, objection, ranked
from buildnet.pool.profile import Weights
from buildnet.pool.quantity import GIB

HERE = Host(b"h", "here", slots=4, free=4, speed=100.0, is_here=True, platform=("linux", "x86_64"))
A = Host(b"a", "a", slots=4, free=4, speed=100.0, latency_ms=1.0)
B = replace(A, key=b"b", name="b", node_id="bb")
SCANNED: Any = {"programs": {"node": frozenset({"20.1"})}, "platform": ("linux", "x86_64")}


def names(hosts: list[Host]) -> str:
    return "".join(host.key.decode() for host in hosts)


@pytest.mark.parametrize(
    ("host", "needs", "preferences", "why"),
    [
        (A, Needs(), Preferences(), None),
        (replace(A, lends_nothing="it is drained"), Needs(), Preferences(), "it is drained"),
        (A, Needs(labels=frozenset({"gpu"})), Preferences(), "no label gpu"),
        (replace(A, labels=frozenset({"gpu"})), Needs(labels=frozenset({"gpu"})), None, None),
        (A, Needs(), Preferences(labels=frozenset({"ssd"})), "no label ssd"),
        (A, Needs(Amount(5)), Preferences(), "runs 4 at once"),
        (replace(A, memory_bytes=10), Needs(Amount(1, 11)), Preferences(), "less memory"),
        (A, Needs(Amount(1, 11)), Preferences(), None),
        (A, Needs(), Preferences(cores={"b": 2}, only_named=True), "names others"),
        (B, Needs(), Preferences(cores={"bb": 2}, only_named=True), None),
        (A, Needs(), Preferences(max_latency_ms=0.5), "farther than 0.5 ms"),
        (replace(A, latency_ms=None), Needs(), Preferences(max_latency_ms=9), "farther"),
        (
            replace(A, storage_classes=frozenset({"hdd"})),
            Needs(),
            Preferences(min_class="ssd"),
            "ssd",
        ),
        (
            replace(A, storage_classes=frozenset({"nvme"})),
            Needs(),
            Preferences(min_class="ssd"),
            None,
        ),
        (A, Needs(), Preferences(min_class="ssd"), None),
        (
            replace(A, free_storage_bytes=GIB),
            Needs(),
            Preferences(min_free_bytes=2 * GIB),
            "less than 2 GiB of free storage",
        ),
        (replace(A, free_storage_bytes=GIB), Needs(), Preferences(min_free_bytes=GIB), None),
        (A, Needs(), Preferences(min_free_bytes=GIB), None),
        (
            replace(HERE, free_storage_bytes=1),
            Needs(),
            Preferences(min_free_bytes=GIB),
            "less than 1 GiB of free storage",
        ),
    ],
)
def test_hosts_that_lack_something_are_left_out(
    host: Host, needs: Needs, preferences: Preferences | None, why: str | None
) -> None:
    said = objection(host, needs, preferences or Preferences())
    assert said is None if why is None else said is not None and why in said


def test_tools_and_platform_have_to_be_those_of_the_driver() -> None:
    here, needs = replace(HERE, **SCANNED), Needs(tools=frozenset({"node", "unscanned"}))
    assert objection(A, needs, here=here) is None  # which was not scanned
    assert objection(replace(A, **SCANNED), needs, here=here) is None
    other = {**SCANNED, "programs": {"node": frozenset({"18.0"})}}
    assert objection(replace(A, **other), needs, here=here) == "its node is another one"
    unknown = {**SCANNED, "programs": {"node": frozenset({None})}}
    assert objection(replace(A, **unknown), needs, here=here) is None
    assert (
        objection(replace(A, **{**SCANNED, "programs": {}}), needs, here=here) == "it has no node"
    )
    elsewhere = {**SCANNED, "platform": ("linux", "aarch64")}
    said = objection(replace(A, **elsewhere), Needs(), here=here)
    assert said == "its platform is another one"
    asked = Preferences(programs=(ProgramRequirement(name="node", version=">=21"),))
    assert objection(replace(A, **SCANNED), Needs(), asked, here) == "it has no node >=21"


def test_the_driver_may_always_take_what_it_has_room_and_labels_for() -> None:
    far = Preferences(max_latency_ms=1.0, cores={"a": 1}, only_named=True, min_class="nvme")
    assert objection(HERE, Needs(), far) is None
    assert objection(HERE, Needs(labels=frozenset({"gpu"})), far) is not None


def test_smart_weighs_speed_inputs_distance_and_room() -> None:
    case = Case(input_bytes=100)
    assert names(ranked([B, A, HERE], case)) == "hab"
    assert names(ranked([A, replace(B, speed=200.0)], case)) == "ba"
    assert names(ranked([A, B], replace(case, local_bytes={b"b": 50}))) == "ba"
    assert names(ranked([A, replace(B, latency_ms=0.1)], case)) == "ba"
    assert names(ranked([A, replace(B, weight=2.0)], case)) == "ba"
    assert names(ranked([replace(A, free=1), B], case)) == "ba"
    # Half the speed outweighs half of the inputs, unless the profile says otherwise.
    fast, near = replace(A, speed=200.0), replace(case, local_bytes={b"b": 50})
    assert names(ranked([fast, B], near)) == "ab"
    stay = Preferences(weights=Weights(performance=0.2, locality=0.6, latency=0.1))
    assert names(ranked([fast, B], near, stay)) == "ba"


def test_a_host_that_was_not_measured_counts_as_an_average_one() -> None:
    fast, slow = replace(A, speed=300.0), replace(B, speed=100.0)
    unknown = Host(b"c", slots=4, free=4, latency_ms=1.0)
    fastest = Preferences(strategy="fastest")
    assert names(ranked([unknown, slow, fast], Case(), fastest)) == "acb"
    assert names(ranked([unknown, replace(A, speed=None)], Case(), fastest)) == "ac"


@pytest.mark.parametrize(
    ("strategy", "order"),
    [("round_robin", "bha"), ("least_loaded", "ahb"), ("fastest", "bha"), ("locality", "hab")],
)
def test_strategies(strategy: Any, order: str) -> None:
    hosts = [replace(HERE, free=2), A, replace(B, speed=200.0, free=1)]
    case = Case(input_bytes=10, local_bytes={b"a": 10, b"b": 5}, placed={b"a": 3, b"h": 2})
    assert names(ranked(hosts, case, Preferences(strategy=strategy))) == order


def test_a_preferred_node_and_the_driver_come_first_if_asked() -> None:
    hosts = [HERE, replace(A, speed=900.0), B]
    for name in ("b", "bb"):
        assert names(ranked(hosts, Case(), Preferences(preferred_node=name)))[0] == "b"
    fastest = Preferences(strategy="fastest")
    assert names(ranked(hosts, Case(), fastest)) == "ahb"
    assert names(ranked(hosts, Case(), replace(fastest, prefer_local=True))) == "hab"


def test_a_host_that_is_good_at_a_kind_of_command_gets_it() -> None:
    experience, fastest = Experience(), Preferences(strategy="fastest")
    experience.ran(b"a", "bundle", 1000.0, 100.0)
    experience.ran(b"b", "bundle", 500.0, 100.0)
    assert names(ranked([A, B], Case("bundle"), fastest, experience)) == "ba"
    assert names(ranked([A, B], Case("test"), fastest, experience)) == "ab"
    # What it took is explained by the speed: neither is better at it.
    experience.ran(b"a", "lint", 1000.0, 100.0)
    experience.ran(b"b", "lint", 500.0, 200.0)
    assert experience.aptitude(b"a", "lint") == experience.aptitude(b"b", "lint") == 1.0


def test_a_host_that_failed_lately_comes_later_and_recovers() -> None:
    experience = Experience()
    assert names(ranked([A, B], Case(), experience=experience)) == "ab"
    experience.failed(b"a")
    assert names(ranked([A, B], Case(), experience=experience)) == "ba"
    before = experience.reliability(b"a")
    for _ in range(100):
        experience.ran(b"a", "any", 10.0, None)
    assert before < 0.8 < 0.99 < experience.reliability(b"a") < 1.0


def test_experience_is_bounded() -> None:
    experience = Experience()
    for number in range(5000):
        experience.ran(b"a", f"k{number}", 10.0, None)
        experience.ran(number.to_bytes(2, "big"), "one", 10.0, None)
    assert len(experience._work) <= 4096
    assert len(experience._work["one"]) <= 512
    assert len(experience._records) <= 512


def test_cores_on_named_nodes_bound_what_runs_there() -> None:
    some = Preferences(cores={"a": 2, "b": 0})
    assert [some.most_on(host) for host in (A, B, HERE)] == [2, None, None]
    only = replace(some, only_named=True)
    assert only.most_on(replace(A, name="c")) == 0
    assert only.most_on(HERE) is None


def test_where_memory_alone_is_named_only_what_asks_for_some_runs() -> None:
    said = Preferences(cores={"a": 2}, memory={"b": 800}, only_named=True)
    assert [said.most_on(host) for host in (A, B)] == [2, None]
    needs = Needs(Amount(1, 500))
    assert objection(B, needs, said) is None
    assert said.amount_on(B, needs.amount) == needs.amount, "no more: it is not shared by cores"
    assert "which the command does not ask for" in str(objection(B, Needs(), said))
    assert "less memory" in str(objection(B, Needs(Amount(1, 900)), said))
    assert objection(B, Needs(), replace(said, only_named=False)) is None
