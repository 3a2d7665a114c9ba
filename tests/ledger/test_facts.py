"""Shared facts: the first that is sealed holds, and everybody sees the same."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import ACTOR, ANN, BOB, CLUSTER, chain_of

from buildnet.ledger.accounts import Books
from buildnet.ledger.chain import Tip
from buildnet.ledger.draft import next_body
from buildnet.ledger.entry import Entry
from buildnet.ledger.facts import CONFLICT, Fact, FactDraft, Facts, Void, judge
from buildnet.mesh.wire import WireError

TIP = Tip(1, b"h" * 32, 4)
FAST = "config:fast"


def change(
    expects: int,
    value: str | None,
    *,
    entity: str = FAST,
    type: str = "config.modified",
    also: dict[str, Any] | None = None,
) -> Entry:
    draft = FactDraft(type, ACTOR, "", "", value).entry(entity, expects=expects, request=b"")
    if also:
        draft = replace(draft, data={**draft.data, **also})
    return Entry.sign(next_body(CLUSTER, chain_of(ANN), TIP, draft, clock=9), ANN.sign)


def test_a_fact_is_made_changed_deleted_and_made_again() -> None:
    facts = Facts()
    values = ['{"cores":4}', '{"cores":8}', None, '{"cores":2}']
    for version, value in enumerate(values):
        entry = change(version, value)
        assert facts.apply(entry) == Fact(FAST, version + 1, value, entry.hash)
        assert facts.names() == (() if value is None else (FAST,))
    fact = facts.fact(FAST)
    assert fact is not None
    assert fact.data == {"cores": 2}
    assert facts.version(FAST) == 4
    assert facts.version("config:other") == 0


def test_of_two_the_first_sealed_holds_and_a_conflict_shows_both() -> None:
    facts = Facts()
    first, second = change(0, '{"cores":4}'), change(0, '{"cores":8}')
    facts.apply(first)
    found = facts.apply(second)
    assert isinstance(found, Void)
    assert found.why == CONFLICT
    assert found.current == facts.fact(FAST) == Fact(FAST, 1, '{"cores":4}', first.hash)
    assert found.proposed == Fact(FAST, 1, '{"cores":8}', second.hash)


def test_who_saw_a_fact_before_its_deletion_does_not_change_it_after() -> None:
    facts = Facts()
    facts.apply(change(0, "{}"))
    facts.apply(change(1, None))
    assert isinstance(facts.apply(change(1, "{}")), Void)
    assert isinstance(facts.apply(change(0, "{}")), Void)
    assert facts.names() == ()


def test_revocations_always_win_and_for_ever() -> None:
    facts = Facts()
    for version in range(3):
        facts.apply(change(version, "{}", entity="key:1", type="key.created"))
    revoked = facts.apply(change(0, None, entity="key:1", type="key.revoked"))
    assert isinstance(revoked, Fact)
    assert (revoked.version, revoked.is_revoked, revoked.value) == (4, True, None)
    for expects in range(6):
        after = facts.apply(change(expects, "{}", entity="key:1", type="key.created"))
        assert isinstance(after, Void)
        assert after.why == "revoked"
    assert isinstance(facts.apply(change(4, None, entity="key:1", type="key.revoked")), Void)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (change(0, "{}", entity="key:1"), "about something else"),
        (change(0, "{}", entity="config"), "about something else"),
        (change(0, "{}", also={"version": 2}), "no version"),
        (change(0, "{}", also={"expects": "0"}), "no version"),
        (change(0, "{}", also={"expects": True}), "no version"),
        (change(0, "{}", also={"expects": -1, "version": 0}), "no version"),
        (change(0, "{}", also={"value": [1]}), "no value"),
        (change(0, "{}", also={"value": ""}), "no value"),
        (change(3, "{}"), CONFLICT),
    ],
)
def test_what_does_not_hold_says_why(entry: Entry, why: str) -> None:
    found = judge(None, entry)
    assert isinstance(found, Void)
    assert found.why == why


@pytest.mark.parametrize("type_name", ["build.started", "member.admitted", "configs.modified"])
def test_other_entries_are_about_no_fact(type_name: str) -> None:
    assert judge(None, change(0, "{}", type=type_name)) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["config:a", "config:b"]),
            st.integers(0, 4),
            st.sampled_from(["{}", '{"x":1}', None]),
        ),
        max_size=30,
    )
)
def test_versions_grow_by_one_and_accounts_say_the_same(
    changes: list[tuple[str, int, str | None]],
) -> None:
    facts, books = Facts(), Books()
    seen: dict[str, list[int]] = {"config:a": [0], "config:b": [0]}
    for entity, expects, value in changes:
        entry = change(expects, value, entity=entity)
        found = facts.apply(entry)
        assert books.apply(entry).is_void is isinstance(found, Void)
        assert isinstance(found, Fact) is (expects == seen[entity][-1])
        if isinstance(found, Fact):
            seen[entity].append(found.version)
        assert books.state(entity) == (str(facts.version(entity)) if facts.fact(entity) else None)
    for versions in seen.values():
        assert all(other == one + 1 for one, other in itertools.pairwise(versions))


def test_a_draft_travels() -> None:
    draft = FactDraft("config.created", ACTOR, "why", "c", '{"a":1}')
    assert FactDraft.decode(draft.encode()) == draft
    with pytest.raises(WireError):
        FactDraft.decode(replace(draft, value="").encode())
    made = draft.entry(FAST, expects=0, request=b"r" * 16)
    assert made.data == {"expects": 0, "value": {"a": 1}, "version": 1}
    assert (made.entity, made.request, made.reason) == (FAST, b"r" * 16, "why")
    with pytest.raises(ValueError, match="Expecting"):
        replace(draft, value="{a").entry(FAST, expects=0, request=b"")


def test_the_actor_of_another_node_may_change_what_all_share() -> None:
    facts, books = Facts(), Books()
    for expects, who in enumerate((ANN, BOB, ANN)):
        draft = FactDraft("config.modified", ACTOR, "", "", "{}")
        body = next_body(
            CLUSTER,
            chain_of(who),
            TIP,
            draft.entry(FAST, expects=expects, request=b""),
            clock=9,
        )
        entry = Entry.sign(body, who.sign)
        assert isinstance(facts.apply(entry), Fact)
        assert not books.apply(entry).is_void
