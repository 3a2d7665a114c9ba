"""What people are told of settings that have no effect."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildnet.pool.configuration import parse_configuration
from buildnet.pool.profile import PROFILES, parse_profile
from buildnet.pool.strict_model import InvalidDocumentError
from buildnet.pool.without_effect import warnings_of_configuration, warnings_of_profile

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "configurations.md"


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("{}", []),
        ("resources: {memory: {priority: normal}}", []),
        ("resources: {memory: {priority: low}}", ["resources.memory.priority"]),
        (
            "resources: {cpu: {node_allocations: [{node_id: bert, specific_cores: [1]}]}}",
            ["resources.cpu.node_allocations[0].specific_cores"],
        ),
        ("resources: {cpu: {node_allocations: [{node_id: local, specific_cores: [1]}]}}", []),
        ("resources: {cpu: {node_allocations: [{node_id: anna, specific_cores: [1]}]}}", []),
        ("resources: {storage: {volumes: [{node_id: bert, purpose: cache, size_gb: 1}]}}", []),
        (
            "resources: {storage: {volumes: [{node_id: bert, purpose: cache, path: /c}]}}",
            ["resources.storage.volumes[0].path"],
        ),
        (
            "resources: {storage: {volumes: [{node_id: bert, purpose: build}, "
            "{purpose: output, path: /c}, {node_id: bert, purpose: output}, "
            "{node_id: carl, purpose: cache}]}}",
            [f"resources.storage.volumes[{number}]" for number in (0, 1, 3)],
        ),
        (
            "resources: {storage: {volumes: [{node_id: anna, purpose: cache}]}}",
            ["resources.storage.volumes[0]"],
        ),
    ],
)
def test_each_key_of_a_configuration_that_has_no_effect_is_named(
    text: str, keys: list[str]
) -> None:
    found = warnings_of_configuration(parse_configuration(text, "x"), frozenset({"anna", "a1"}))
    assert [one.partition(" ")[0] for one in found] == keys
    assert all("has no effect in this version" in one for one in found)


def test_each_key_of_a_profile_that_has_no_effect_is_named() -> None:
    assert warnings_of_profile(parse_profile("id: p\ncpu_strategy: local_only", "p")) == ()
    assert warnings_of_profile(PROFILES["speed"]) == ()
    found = warnings_of_profile(PROFILES["cost_optimized"])
    assert [one.partition(" has")[0] for one in found] == [
        "cpu_strategy: efficiency_cores",
        "storage_preference: cheapest",
        "network_preference: batch_transfers",
        "cache_policy: minimal",
    ]


@pytest.mark.parametrize("place", ["resources", "storage"])
def test_who_asks_for_free_storage_by_another_name_is_told_ours(place: str) -> None:
    said = "{min_storage_gb: 5}" if place == "resources" else "{storage: {min_storage_gb: 5}}"
    with pytest.raises(InvalidDocumentError) as raised:
        parse_configuration(f"resources: {said}", "x")
    assert "min_free_gb" in (raised.value.hint or "")


def test_the_reference_lists_exactly_these() -> None:
    section = REFERENCE.read_text().partition("## What has no effect\n")[2].partition("\n## ")[0]
    listed = set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))
    configuration = parse_configuration(
        "resources: {cpu: {node_allocations: [{node_id: bert, specific_cores: [1]}]}, "
        "memory: {priority: high}, storage: {volumes: [{node_id: bert, purpose: output, "
        "path: /o}, {purpose: build}]}}",
        "x",
    )
    told = [
        *warnings_of_configuration(configuration),
        *warnings_of_profile(PROFILES["cost_optimized"]),
    ]
    keys = {re.sub(r"\[\d+\]", "", re.split(r"[ :]", one)[0]) for one in told}
    assert listed == keys
