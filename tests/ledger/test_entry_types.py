"""Every type that is written is told in words, and what is unknown is shown as it is."""

from __future__ import annotations

import re
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import ANN, entry
from tests.ledger.random_entries import BODIES

from buildnet.ledger.chain import Tip
from buildnet.ledger.entry import Body, Entry, as_data
from buildnet.ledger.entry_types import TYPES, EntryType, describe
from buildnet.ledger.facts import REVOKED
from buildnet.ledger.opening import OPENED
from buildnet.mesh.testing import CheapSignatures

TIP = Tip(1, b"h" * 32, 4)
OF_THE_SOURCE = [
    *("node.joined", "node.left", "build.started", "build.completed", "build.failed"),
    *("resources.allocated", "resources.released", "config.created", "config.modified"),
    "benchmark.completed",
]
KINDS = [
    *("chain", "cluster", "member", "key", "rights", "template", "profile", "queue", "session"),
    *("cache", "security", "system"),
]
MEMBERS = [
    *("admitted", "left", "removed", "revoked", "rotated", "priority", "rights", "voters"),
    *("renamed", "recovered", "invitation"),
]


@pytest.mark.parametrize(
    "name", [*OF_THE_SOURCE, OPENED, REVOKED, *(f"member.{one}" for one in MEMBERS)]
)
def test_what_is_asked_for_is_there(name: str) -> None:
    assert TYPES[name].name == name


def test_every_subject_has_types() -> None:
    assert {name.partition(".")[0] for name in TYPES} >= set(KINDS)


@pytest.mark.parametrize("known", TYPES.values(), ids=lambda one: one.name)
def test_a_sentence_names_fields_that_are_there(known: EntryType) -> None:
    named = {name for _, name, _, _ in string.Formatter().parse(known.sentence) if name}
    assert named <= {*known.fields, "actor", "entity"}
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", known.name)
    assert known.sentence[0].isupper() or known.sentence.startswith("{")
    assert all(known.fields.values())
    told = describe(entry(ANN, after=TIP, type=known.name, data={}))
    assert "{" not in told


def test_facts_are_told_from_others() -> None:
    assert TYPES["config.created"].is_fact
    assert TYPES[REVOKED].is_fact
    assert not TYPES["member.rights"].is_fact


def said(type_name: str, data: dict[str, Any], entity: str = "build:7") -> str:
    return describe(entry(ANN, after=TIP, type=type_name, data=data, entity=entity))


def test_people_read_what_happened() -> None:
    assert said("build.completed", {"duration_ms": 12}) == "build:7 completed in 12 ms"
    assert said("build.failed", {}) == "build:7 failed: unknown"
    assert said("config.modified", {}, "config:x") == "Ann modified the configuration config:x"
    assert said("build.failed", {"error": None}) == "build:7 failed: none"
    assert said("queue.build_paused", {"reason": ""}) == "Ann paused build:7"
    assert (
        said("session.closed", {"reason": "logged out"}) == "The session of Ann ended: logged out"
    )
    made = said("key.created", {"value": {"name": "ci"}}, "key:1f")
    assert made == "Ann made the key ci (key:1f)"
    assert said("key.revoked", {"value": None}, "key:1f") == "Ann revoked the key key:1f"
    revoked = said("key.revoked", {"value": {"name": "ci"}}, "key:1f")
    assert revoked == "Ann revoked the key ci (key:1f)"
    assert said("key.used", {"name": "ci", "count": 1}) == "ci used its key; requests: 1"
    assert said("future.thing", {"a": 1}) == 'future.thing build:7 {"a":1}'


def test_a_setting_is_told_with_the_node_and_what_it_is_now() -> None:
    def changed(name: str, new: Any, **more: Any) -> str:
        return said("system.setting", {"name": name, "old": None, "new": new, **more}, "node:7f")

    assert changed("draining", True, node="cara") == "Ann drained cara"
    assert changed("draining", False, node="cara") == "Ann resumed cara"
    assert changed("max_cores", 4, node="cara") == "Ann set max_cores of cara to 4"
    assert changed("tags", ["a", "b"], node="cara") == "Ann set tags of cara to a, b"
    assert changed("draining", True) == "Ann drained node:7f"  # of an earlier version


def test_what_data_holds_is_text_only() -> None:
    assert said("build.failed", {"error": "{actor}"}) == "build:7 failed: {actor}"
    assert said("build.failed", {"error": "\x1b[2Jgone"}) == "build:7 failed: �[2Jgone"
    long = said("build.failed", {"error": "x" * 999})
    assert long.endswith("…")
    assert len(long) < 120


@given(BODIES, st.sampled_from([*TYPES]), st.dictionaries(st.text(max_size=9), st.integers(0, 9)))
def test_any_entry_is_told_in_one_line(body: Body, name: str, data: dict[str, int]) -> None:
    for type_name, text in ((body.type, body.data), (name, body.data), (name, as_data(data))):
        changed = replace(body, type=type_name, data=text)
        told = describe(Entry.sign(changed, CheapSignatures(body.origin).sign))
        assert told.isprintable()
        assert 0 < len(told) <= 320
