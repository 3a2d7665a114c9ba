"""Templates and profiles: variables, placeholders, the built-in ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.errors import UsageError
from buildnet.pool.builtin_templates import TEMPLATES
from buildnet.pool.keyed_values import assignments, merged, patch_of
from buildnet.pool.profile import PROFILES, parse_profile, read_profile
from buildnet.pool.strict_model import InvalidDocumentError
from buildnet.pool.template import parse_template, read_template

TYPED = """\
name: Typed
config:
  description: "for {who}, with {{ cores }} cores"
  resources:
    cpu: {cores: "{cores}"}
    tools: ["{tool} >=1"]
  execution: {local_only: "{alone}", strategy: "{strategy}"}
variables:
  - {name: cores, type: integer, default: 2, minimum: 1, maximum: 8}
  - {name: who, type: text}
  - {name: tool, type: text, default: git}
  - {name: alone, type: boolean, default: no}
  - {name: strategy, type: choice, choices: [smart, locality], default: smart}
"""


def test_the_built_in_templates_are_those_of_the_design() -> None:
    assert set(TEMPLATES) == {"local-only", "quick", "distributed-full", "ci", "monorepo-large"}


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_built_in_template_is_a_good_one(name: str) -> None:
    template = TEMPLATES[name]
    assert read_template({"id": name, **template.document()}, name) == template
    assert template.fill({}, name).document()
    assert all(one.default is not None and one.description for one in template.variables)
    assert template.name
    assert template.use_cases


def test_local_only_takes_its_cores_here() -> None:
    found = TEMPLATES["local-only"].fill({"cores": "4"}, "x")
    assert found.execution.local_only
    (here,) = found.resources.cpu.node_allocations
    assert (here.node_id, here.cores, found.resources.cpu.cores) == ("local", 4, 4)


def test_values_take_the_type_that_is_asked_for() -> None:
    template = parse_template(TYPED, "t.yaml")
    values = {"who": "ann", "cores": "3", "alone": "yes"}
    found = template.fill(values, "template typed")
    assert found.description == "for ann, with 3 cores"
    assert found.resources.cpu.cores == 3
    assert str(found.resources.tools[0]) == "git >=1"
    assert found.execution.local_only is True


@pytest.mark.parametrize(
    ("given_values", "part"),
    [
        ({}, "the variable 'who' needs a value: text"),
        ({"who": "a", "cores": "9"}, "wrong value '9' for the variable 'cores': expected a whole"),
        ({"who": "a", "cores": 1.5}, "expected a whole number from 1 to 8"),
        ({"who": "a", "cores": True}, "expected a whole number from 1 to 8"),
        ({"who": "a", "strategy": "fast"}, "expected one of smart, locality"),
        ({"who": "a", "core": 1}, "there is no variable 'core'"),
        ({"who": "a\n"}, "expected text"),
    ],
)
def test_values_that_do_not_fit_are_refused(given_values: dict[str, Any], part: str) -> None:
    with pytest.raises(InvalidDocumentError, match="template typed") as raised:
        parse_template(TYPED, "t.yaml").fill(given_values, "template typed")
    assert part in raised.value.message


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('config: {name: "{a}"}', "config.name names the variable 'a', which is not declared"),
        ("config: {}\nvariables: [{name: a, type: text}]", "'a' stands nowhere in config"),
        ("config: {id: a}", "config has an id"),
        ("config: {execution: {strategi: smart}}", "config: unknown key 'strategi' in execution"),
        ("name: x", "the key 'config' is missing"),
        ("config: {}\nsystem: true", "unknown key 'system'"),
        (
            'config: {name: "{a}"}\nvariables: [{name: a, type: integer, default: x}]',
            "the default 'x' does not fit: expected a whole number",
        ),
        (
            'config: {name: "{a}"}\nvariables: [{name: a, type: text, minimum: 1}]',
            "minimum and maximum are for integer and number",
        ),
        (
            'config: {name: "{a}"}\nvariables: [{name: a, type: choice}]',
            "choices are for the type choice, which needs them",
        ),
        (
            'config: {resources: {cpu: {cores: "{a}"}}}\n'
            "variables: [{name: a, type: text, default: many}]",
            'config: wrong value "many" for resources.cpu.cores: expected a whole number',
        ),
    ],
)
def test_templates_that_can_never_do_are_refused(text: str, part: str) -> None:
    with pytest.raises(InvalidDocumentError) as raised:
        parse_template(text, "t.yaml")
    assert part in raised.value.message


def test_what_a_value_does_that_nobody_has_given_yet_is_told_when_it_is_given() -> None:
    template = parse_template(
        'config: {resources: {cpu: {cores: "{n}"}}}\nvariables: [{name: n, type: text}]', "t"
    )
    with pytest.raises(InvalidDocumentError, match=r"resources\.cpu\.cores"):
        template.fill({"n": "many"}, "template t")


def test_braces_that_are_no_placeholder_stay() -> None:
    template = parse_template('config: {description: "{a,b} and { c }"}', "t")
    assert template.fill({}, "t").description == "{a,b} and { c }"


@given(st.dictionaries(st.sampled_from(["cores", "who", "tool", "x"]), st.text(max_size=9)))
def test_any_values_are_filled_in_or_refused(values: dict[str, str]) -> None:
    template = parse_template(TYPED, "t.yaml")
    with suppress(InvalidDocumentError):
        found = template.fill(values, "t")
        assert found.description == f"for {values['who']}, with {found.resources.cpu.cores} cores"


@pytest.mark.parametrize("name", PROFILES)
def test_a_built_in_profile_is_a_good_one(name: str) -> None:
    assert read_profile({"id": name, **PROFILES[name].document()}, name) == PROFILES[name]


def test_profiles_are_strict() -> None:
    assert parse_profile("weights: {locality: 0.9}", "p").weights.performance == 0.4
    for text, part in (
        ("distribution: smart", "unknown key 'distribution'"),
        ("weights: {performance: -1}", "expected 0.0 or more"),
        (
            "weights: {performance: 0, locality: 0, latency: 0, availability: 0}",
            "one of the weights must be more than 0",
        ),
    ):
        with pytest.raises(InvalidDocumentError) as raised:
            parse_profile(text, "p")
        assert part in raised.value.message


# --- changes by path ---------------------------------------------------------------------------

DOCUMENTS = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)
MAPPINGS = st.dictionaries(st.sampled_from("abc"), DOCUMENTS, max_size=3)


def test_paths_set_values_and_take_them_away() -> None:
    values = assignments(["resources.cpu.cores=8", "resources.tools=[node, git]", "name="])
    patch = patch_of(values)
    assert patch == {
        "resources": {"cpu": {"cores": 8}, "tools": ["node", "git"]},
        "name": None,
    }
    before = {"name": "x", "resources": {"memory": {"gb": 1}, "tools": ["cc"]}}
    assert merged(before, patch) == {
        "resources": {"memory": {"gb": 1}, "cpu": {"cores": 8}, "tools": ["node", "git"]}
    }


@pytest.mark.parametrize(
    "texts", [["a"], ["=1"], ["a=1", "a.b=2"], ["a.b=2", "a=1"], ["a..b=1"], ["a=["]]
)
def test_what_sets_nothing_is_refused(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        patch_of(assignments(texts))


@given(MAPPINGS, MAPPINGS)
def test_a_merge_patch_says_the_last_word_and_can_be_repeated(
    document: dict[str, Any], patch: dict[str, Any]
) -> None:
    once = merged(document, patch)
    assert merged(once, patch) == once
    assert merged(once, dict.fromkeys("abc")) == {}
    assert merged({}, document) == document
    assert {key: once[key] for key in document.keys() - patch.keys()} == {
        key: document[key] for key in document.keys() - patch.keys()
    }
