"""The first entries of chains."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import ANN, BOB, chain_of

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Head
from buildnet.ledger.opening import Opening, Why

HEAD = Head(4, b"h" * 32)
CHAIN = chain_of(ANN)
GOOD = Opening(Why.RESTORE, (chain_of(ANN, 2), HEAD)).as_data()


@pytest.mark.parametrize(
    "opening",
    [
        Opening(Why.FIRST),
        Opening(Why.RESTORE),
        Opening(Why.RESTORE, (chain_of(ANN, 2), HEAD)),
        Opening(Why.UNCONFIRMED_HEAD, (chain_of(ANN, 2), HEAD)),
        Opening(Why.KEY_ROTATION, (chain_of(BOB), HEAD)),
        Opening(Why.KEY_ROTATION),
    ],
)
def test_what_opens_a_chain_comes_back(opening: Opening) -> None:
    assert Opening.read(opening.as_data()) == opening
    assert opening.objection(CHAIN) is None


@pytest.mark.parametrize(
    ("why", "before", "objection"),
    [
        (Why.RESTORE, CHAIN, "succeeds itself"),
        (Why.RESTORE, chain_of(BOB), "succeeds another origin"),
        (Why.UNCONFIRMED_HEAD, chain_of(BOB), "succeeds another origin"),
        (Why.KEY_ROTATION, chain_of(ANN, 2), "rotates to its own key"),
    ],
)
def test_a_chain_succeeds_its_own(why: Why, before: Chain, objection: str) -> None:
    assert Opening(why, (before, HEAD)).objection(CHAIN) == objection


def test_what_makes_no_sense_is_no_opening() -> None:
    with pytest.raises(ValueError, match="succeeds none"):
        Opening(Why.FIRST, (chain_of(ANN, 2), HEAD))
    with pytest.raises(ValueError, match="named"):
        Opening(Why.UNCONFIRMED_HEAD)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"why": "first"},
        {"after": None, "why": "boredom"},
        {"after": None, "why": 1},
        {"after": None, "why": ["first"]},
        {"after": None, "why": "first", "more": 1},
        {"after": [], "why": "restore"},
        {"after": {}, "why": "restore"},
        *(
            {**GOOD, "after": {**GOOD["after"], name: value}}
            for name, value in [
                ("origin", "ab"),
                ("origin", 5),
                ("origin", "zz" * 32),
                ("origin", "AB" * 32),
                ("incarnation", "01" * 9),
                ("sequence", 0),
                ("sequence", "4"),
                ("sequence", True),
                ("sequence", 2**63),
                ("hash", None),
                ("more", 1),
            ]
        ),
    ],
)
def test_what_says_something_else_is_no_opening(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  each says its own
        Opening.read(data)


@given(
    st.dictionaries(
        st.sampled_from(["after", "why", "x"]),
        st.recursive(
            st.none() | st.integers() | st.text() | st.sampled_from([*Why]),
            lambda inner: st.dictionaries(st.sampled_from([*GOOD["after"]]), inner),
        ),
    )
)
def test_hostile_data_is_an_opening_or_a_value_error(data: dict[str, Any]) -> None:
    try:
        found = Opening.read(data)
    except ValueError:
        return
    assert found.as_data() == data
