"""Configurations: what is read, what is refused and with which words, what is kept."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.configuration import (
    BuildConfiguration,
    parse_configuration,
    read_configuration,
)
from buildnet.pool.strict_model import InvalidDocumentError
from buildnet.pool.version import VersionError, VersionRequirement

LOCAL_DEV: dict[str, Any] = {
    "id": "local-dev",
    "name": "Local Development",
    "resources": {
        "cpu": {
            "cores": 4,
            "node_allocations": [{"node_id": "local", "cores": 4}],
            "priority": "normal",
        },
        "memory": {"gb": 8.0, "priority": "normal"},
        "storage": {
            "volumes": [
                {"node_id": "local", "path": "/home/dev/c", "purpose": "cache", "size_gb": 50}
            ],
            "min_class": "ssd",
        },
        "tools": [],
        "runtimes": [{"name": "node", "version": ">=20"}],
    },
}
"""Example 1 of appendix B of the source document 002."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 99) | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["resources", "cpu", "cores", "node_id", "execution", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


def refused(text: str) -> tuple[str, str | None]:
    with pytest.raises(InvalidDocumentError) as raised:
        parse_configuration(text, "dev.yaml")
    return raised.value.message, raised.value.hint


def test_the_example_of_the_source_document_is_read() -> None:
    found = read_configuration(LOCAL_DEV, "local-dev")
    assert (found.id, found.name) == ("local-dev", "Local Development")
    assert found.resources.cpu.cores == 4
    assert found.resources.storage.volumes[0].size_gb == 50
    assert found.resources.runtimes[0].requirement.accepts("v20.11.1")
    assert found.nodes == {"local"}
    again = read_configuration({**found.document(), "id": "local-dev"}, "x")
    assert again == found
    assert parse_configuration(json.dumps(LOCAL_DEV, indent="\t"), "x") == found


def test_only_what_is_said_is_kept() -> None:
    assert BuildConfiguration(id="a").document() == {}
    found = parse_configuration("resources: {cpu: {cores: 0}, memory: {gb: 512 MB}}", "x")
    assert found.document() == {"resources": {"memory": {"gb": 0.5}}}


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "resources:\n  cpu: {core: 3}",
            "dev.yaml:2: unknown key 'core' in resources.cpu",
            "did you mean 'cores'?",
        ),
        (
            "resources: {cpu: {cores: -1}}",
            "dev.yaml:1: wrong value -1 for resources.cpu.cores: expected 0 or more",
            None,
        ),
        (
            "resources: {memory: {gb: 5 XB}}",
            'dev.yaml:1: wrong value "5 XB" for resources.memory.gb: '
            "expected a size: a number of GiB, or text such as 512 MB",
            None,
        ),
        (
            "execution: {strategy: fastes}",
            'dev.yaml:1: wrong value "fastes" for execution.strategy: expected '
            "'smart', 'round_robin', 'least_loaded', 'fastest' or 'locality'",
            "did you mean 'fastest'?",
        ),
        (
            "execution: {distribution: smart}",
            "dev.yaml:1: unknown key 'distribution' in execution",
            "it is called 'strategy' here",
        ),
        (
            "resources: {runtimes: [node foo]}",
            'dev.yaml:1: wrong value "foo" for resources.runtimes[0].version: expected a version '
            "requirement (write >=20, >=1.0 <2, ^20.1 or 20)",
            None,
        ),
        (
            "resources: {storage: {volumes: [{path: c, purpose: cache}]}}",
            'dev.yaml:1: wrong value "c" for resources.storage.volumes[0].path: '
            "expected an absolute path",
            None,
        ),
        ("- a", "dev.yaml:1: expected keys and values", None),
    ],
)
def test_what_is_wrong_is_told_with_its_path(text: str, message: str, hint: str | None) -> None:
    told, said = refused(text)
    assert told == message
    assert said == hint or (hint is None and said is not None)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (
            "resources: {cpu: {cores: 4, node_allocations: [{node_id: a, cores: 3}, "
            "{node_id: b, cores: 2}]}}",
            "node_allocations has 5 cores, more than cores: 4",
        ),
        (
            "resources: {memory: {gb: 1, node_allocations: [{node_id: a, gb: 2}]}}",
            "node_allocations has 2 GiB, more than gb: 1",
        ),
        (
            "resources: {cpu: {node_allocations: [{node_id: a}, {node_id: a}]}}",
            "node_allocations names a twice",
        ),
        (
            "resources: {cpu: {node_allocations: [{node_id: a, cores: 1, specific_cores: [0, 1]}]}"
            "}",
            "cores is 1, but specific_cores has 2",
        ),
        ("execution: {local_only: true, redundancy: 2}", "redundancy is 2, but only 1 node"),
        (
            "resources: {cpu: {node_allocations: [{node_id: oak}]}}\nexecution: {local_only: true}",
            "execution.local_only is true, but resources names oak",
        ),
    ],
)
def test_keys_that_contradict_each_other_are_refused(text: str, part: str) -> None:
    assert part in refused(text)[0]


def test_all_that_is_wrong_is_told_at_once() -> None:
    told, _ = refused("resources:\n  cpu: {cores: x}\n  tools: [{nam: git}]\nexecuton: {}\n")
    assert [line.split(": ")[0] for line in told.splitlines()] == [
        *("dev.yaml:2", "dev.yaml:3", "dev.yaml:3", "dev.yaml:4")
    ]


@given(JSON)
def test_any_data_is_read_or_refused_in_words(data: object) -> None:
    with suppress(InvalidDocumentError):
        found = read_configuration(data, "x")
        assert read_configuration(json.loads(json.dumps(found.document())), "x") == found


@pytest.mark.parametrize(
    ("requirement", "good", "bad"),
    [
        (">=20", ["20.0.1", "v20.11.1", "21"], ["19.9.9", None]),
        (">=1.0 <2", ["1.0.0", "1.99"], ["2.0.0", "0.9"]),
        (">=1.0, !=1.4", ["1.3"], ["1.4.2"]),
        ("20", ["20.0", "20.9.9"], ["21.0", "2.0"]),
        ("20.x", ["20.0"], ["21.0"]),
        ("<=20", ["20.5", "3"], ["21"]),
        (">20", ["21.0"], ["20.5"]),
        ("^20.1", ["20.1.0", "20.9"], ["20.0.9", "21.1"]),
        ("^0.2", ["0.2.5"], ["0.3.0"]),
        ("~1.2", ["1.2.9"], ["1.3.0"]),
        ("", ["1", None], []),
        ("*", [None, "7"], []),
    ],
)
def test_versions(requirement: str, good: list[str | None], bad: list[str | None]) -> None:
    read = VersionRequirement.parse(requirement)
    assert [one for one in good if not read.accepts(one)] == []
    assert [one for one in bad if read.accepts(one)] == []


@pytest.mark.parametrize("text", ["foo", ">=", "1..2", ">= 1 or 2", "=>1"])
def test_what_is_no_version_requirement(text: str) -> None:
    with pytest.raises(VersionError):
        VersionRequirement.parse(text)


NUMBERS = st.lists(st.integers(0, 99), min_size=1, max_size=3)


@given(NUMBERS, NUMBERS)
def test_of_two_versions_one_requirement_holds(one: list[int], other: list[int]) -> None:
    wanted, version = ".".join(map(str, one)), ".".join(map(str, other))
    holds = {
        operator
        for operator in ("<", "=", ">", "<=", ">=", "!=")
        if VersionRequirement.parse(operator + wanted).accepts(version)
    }
    assert holds in ({"<", "<=", "!="}, {"=", "<=", ">="}, {">", ">=", "!="})


def test_memory_may_come_from_a_node_without_cores() -> None:
    resources: dict[str, Any] = {
        "cpu": {"node_allocations": [{"node_id": "a", "cores": 2}]},
        "memory": {"node_allocations": [{"node_id": "b", "gb": 1}, {"node_id": "local", "gb": 1}]},
    }
    read = read_configuration({"resources": resources}, "it")
    assert read.nodes == {"a", "b", "local"}
    assert read.nodes_of_memory_alone == {"b"}
    resources["cpu"]["cores"] = 4  # of which two may be b's
    assert read_configuration({"resources": resources}, "it").nodes_of_memory_alone == frozenset()
