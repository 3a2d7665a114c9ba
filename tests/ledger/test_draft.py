"""Drafts become the next entries of their chain, or are refused before anything is appended."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import ACTOR, ANN, BOB, CLUSTER, START, VERIFY, chain_of

from buildnet.ledger.chain import BEGINNING, UNKNOWN, Tip, check_entries
from buildnet.ledger.draft import DraftError, EntryDraft, next_body, node_actor, opening_body
from buildnet.ledger.entry import Entry, Posting
from buildnet.ledger.frontier import Head
from buildnet.ledger.opening import Opening, Why, due_opening

CHAIN = chain_of(ANN)
DRAFT = EntryDraft("build.started", ACTOR, "asked", "c1", "build:1", b"r" * 16, {"b": 1, "a": 2})
HEAD = (chain_of(ANN, 2), Head(4, b"h" * 32))
OLD_KEY = (chain_of(BOB), HEAD[1])


@given(st.lists(st.integers(0, START * 2), max_size=8))
def test_a_chain_of_drafts_is_good_whatever_the_clock_says(clocks: list[int]) -> None:
    first = opening_body(CLUSTER, CHAIN, Opening(Why.FIRST), clock=START)
    entries = [Entry.sign(first, ANN.sign)]
    for clock in clocks:
        tip = Tip.of(entries[-1])
        body = next_body(CLUSTER, CHAIN, tip, DRAFT, clock=clock)
        assert body.hlc == max(clock, tip.hlc + 1)
        entries.append(Entry.sign(body, ANN.sign))
    found = check_entries(CLUSTER, CHAIN, BEGINNING, [one.signed for one in entries], VERIFY)
    assert not found.faults
    assert [one.body.sequence for one in found.entries] == list(range(1, len(clocks) + 2))


def test_a_draft_is_recorded_as_it_is() -> None:
    body = next_body(CLUSTER, CHAIN, Tip(3, b"p" * 32, 7), DRAFT, clock=9)
    assert (body.type, body.actor, body.reason, body.correlation) == (
        *("build.started", ACTOR, "asked", "c1"),
    )
    assert (body.entity, body.request, body.data) == ("build:1", b"r" * 16, '{"a":2,"b":1}')
    assert (body.sequence, body.previous, body.hlc) == (4, b"p" * 32, 9)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "Build"},
        {"reason": "r" * 2000},
        {"entity": "a\nb"},
        {"correlation": "\ud800"},
        {"request": b"short"},
        {"data": {"x": float("nan")}},
        {"data": {"x": object()}},
        {"data": {"x": 2**64}},
        {"data": {"x": "y" * 50_000}},
        {"postings": (Posting("a", "debit", "", 0, ""),) * 65},
    ],
)
def test_a_draft_that_nobody_could_read_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(DraftError) as error:
        next_body(CLUSTER, CHAIN, Tip(3, b"p" * 32, 7), replace(DRAFT, **change), clock=9)
    assert error.value.cause
    assert error.value.hint


def test_a_clock_beyond_all_clocks_is_refused() -> None:
    with pytest.raises(DraftError):
        next_body(CLUSTER, CHAIN, Tip(3, b"p" * 32, 2**63 - 1), DRAFT, clock=9)


@pytest.mark.parametrize(
    ("tip", "type_name"),
    [
        (BEGINNING, "build.started"),
        (Tip(3, b"p" * 32, 7), "chain.opened"),
        (Tip(3, UNKNOWN, 7), "build.started"),
    ],
)
def test_chains_are_opened_once_and_go_on_from_what_is_known(tip: Tip, type_name: str) -> None:
    with pytest.raises(ValueError, match=r"opened|known"):
        next_body(CLUSTER, CHAIN, tip, replace(DRAFT, type=type_name), clock=9)


def test_a_chain_says_why_it_begins() -> None:
    body = opening_body(CLUSTER, CHAIN, Opening(Why.RESTORE, HEAD), clock=START)
    assert body.reason == "restore"
    assert body.actor == node_actor(ANN.public_key)
    with pytest.raises(ValueError, match="succeeds itself"):
        opening_body(CLUSTER, CHAIN, Opening(Why.RESTORE, (CHAIN, HEAD[1])), clock=START)


@pytest.mark.parametrize(
    ("newest", "restored", "confirmed", "opening"),
    [
        (None, False, True, Opening(Why.FIRST)),
        (None, False, False, Opening(Why.FIRST)),
        (None, True, True, Opening(Why.RESTORE)),
        (HEAD, False, True, None),
        (HEAD, False, False, Opening(Why.UNCONFIRMED_HEAD, HEAD)),
        (HEAD, True, True, Opening(Why.RESTORE, HEAD)),
        (
            (chain_of(BOB), HEAD[1]),
            False,
            True,
            Opening(Why.KEY_ROTATION, (chain_of(BOB), HEAD[1])),
        ),
    ],
)
def test_another_chain_is_opened_where_the_head_is_in_doubt(
    newest: Any, restored: bool, confirmed: bool, opening: Opening | None
) -> None:
    found = due_opening(ANN.public_key, newest, restored=restored, confirmed=confirmed)
    assert found == opening
    assert found is None or found.objection(CHAIN) is None
