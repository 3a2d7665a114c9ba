"""What a configuration and a profile make of a build on one node."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.choice import AS_THE_NODE_HAS_IT, choose
from buildnet.pool.configuration import parse_configuration, read_configuration
from buildnet.pool.profile import PROFILES, parse_profile

HERE = frozenset({"a1b2", "anna"})


@pytest.mark.parametrize(
    ("text", "slots"),
    [
        ("{}", None),
        ("resources: {cpu: {cores: 3}}", 3),
        ("execution: {parallel: 2}", 2),
        ("resources: {cpu: {cores: 3}}\nexecution: {parallel: 2}", 2),
        ("resources: {cpu: {cores: 9, node_allocations: [{node_id: local, cores: 1}]}}", 1),
        ("resources: {cpu: {node_allocations: [{node_id: anna, cores: 4}]}}", 4),
        ("resources: {cpu: {node_allocations: [{node_id: a1b2, specific_cores: [0, 3]}]}}", 2),
        ("resources: {cpu: {node_allocations: [{node_id: bert, cores: 1}]}}", None),
        ("resources: {cpu: {node_allocations: [{node_id: local, cores: 0}]}}", None),
    ],
)
def test_cores_bound_how_many_commands_run_at_once(text: str, slots: int | None) -> None:
    found = choose(parse_configuration(text, "x"), None, here=HERE)
    assert found.slots_of(99) == (slots or 99)


def test_what_this_node_does_not_run_may_run_elsewhere() -> None:
    def elsewhere(text: str, has: int) -> int | None:
        return choose(parse_configuration(text, "x"), None, here=HERE).elsewhere(has)

    assert elsewhere("{}", 4) is None
    assert elsewhere("resources: {cpu: {cores: 10}}", 4) == 6
    assert elsewhere("resources: {cpu: {cores: 3}}", 4) == 0
    shared = "{cores: 10, node_allocations: [{node_id: local, cores: 1}, {node_id: bert}]}"
    assert elsewhere(f"resources: {{cpu: {shared}}}", 4) == 9
    assert elsewhere("resources: {cpu: {cores: 10}}\nexecution: {local_only: true}", 4) == 0
    mine, memory = "cpu: {cores: 4, node_allocations: [{node_id: local, cores: 4}]}", "b, gb: 1"
    assert elsewhere(f"resources: {{{mine}}}", 4) == 0
    there = f"resources: {{{mine}, memory: {{node_allocations: [{{node_id: {memory}}}]}}}}"
    assert elsewhere(there, 4) == 1, "what needs the memory runs there besides"
    assert choose(parse_configuration(there, "x"), None, here=HERE).preferences.only_named


@given(cores=st.integers(0, 99), parallel=st.none() | st.integers(1, 99), has=st.integers(1, 64))
def test_a_node_never_gives_more_than_it_has(cores: int, parallel: int | None, has: int) -> None:
    said = {"resources": {"cpu": {"cores": cores}}, "execution": {"parallel": parallel}}
    slots = choose(read_configuration(said, "x"), None, here=HERE).slots_of(has)
    assert 1 <= slots <= has
    assert slots <= (cores or has)
    assert slots <= (parallel or has)


def test_the_configuration_goes_before_the_profile_and_that_before_the_cores() -> None:
    cores = parse_configuration("resources: {cpu: {priority: low}}", "x")
    both = parse_configuration("execution: {strategy: smart, priority: critical}", "x")
    profile = parse_profile("id: p\nstrategy: fastest\npriority: high", "p")
    assert choose(cores, None, here=HERE).priority == "low"
    found = choose(cores, profile, here=HERE)
    assert (found.priority, found.strategy, found.profile) == ("high", "fastest", "p")
    found = choose(both, profile, here=HERE)
    assert (found.priority, found.strategy) == ("critical", "smart")


def test_a_profile_can_keep_a_build_on_its_node() -> None:
    assert choose(None, PROFILES["bandwidth_saver"], here=HERE).local_only
    assert not choose(None, PROFILES["speed"], here=HERE).local_only
    assert choose(parse_configuration("execution: {local_only: true}", "x"), None, here=HERE)


def test_cpus_are_those_of_this_node() -> None:
    shares = "{node_id: local, specific_cores: [3, 1]}, {node_id: bert, specific_cores: [0]}"
    found = choose(
        parse_configuration(f"id: x\nresources: {{cpu: {{node_allocations: [{shares}]}}}}", "x"),
        None,
        here=HERE,
    )
    assert (found.cpus, found.slots) == ((1, 3), 2)


def test_a_volume_elsewhere_bounds_what_is_kept_there() -> None:
    def bound(node: str) -> tuple[str | None, int]:
        volume = f"{{node_id: {node}, purpose: output, size_gb: 512 MB}}"
        text = f"resources: {{storage: {{volumes: [{volume}]}}}}"
        found = choose(parse_configuration(text, "x"), None, here=HERE)
        return found.artifacts_on, found.artifacts_bytes

    assert bound("bert") == ("bert", 512 << 20)
    assert bound("anna") == (None, 0)


def test_what_has_no_effect_is_told_with_its_key() -> None:
    text = "id: dev\nresources: {memory: {priority: high}}"
    found = choose(parse_configuration(text, "x"), PROFILES["cost_optimized"], here=HERE)
    assert found.warnings[0] == (
        "the configuration dev: resources.memory.priority has no effect in this version"
    )
    assert [one.partition(": ")[0] for one in found.warnings[1:]] == (
        ["the profile cost_optimized"] * 4
    )
    assert "warnings" not in (found.view() or {})


def test_who_names_nothing_gets_what_the_node_has() -> None:
    assert choose(None, None, here=HERE) == AS_THE_NODE_HAS_IT
    assert AS_THE_NODE_HAS_IT.view() is None
    assert AS_THE_NODE_HAS_IT.slots_of(7) == 7
    named = choose(parse_configuration("id: dev", "x"), None, here=HERE, version=3)
    assert (named.view() or {})["configuration"] == "dev"
    assert (named.view() or {})["version"] == 3
