"""Lists in parts: nothing is left out, nothing comes twice, whatever changes between."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.errors import UsageError
from buildnet.node.api import paging
from buildnet.node.api.paging import Paging, number_of


def asked(limit: int | None, cursor: str | None) -> Paging:
    return asyncio.run(paging._paging(limit, cursor))


def parts(names: list[str], limit: int) -> list[list[str]]:
    found, cursor = [], None
    for _ in range(len(names) + 1):
        part, cursor = asked(limit, cursor).part(names, str)
        found.append(list(part))
        if cursor is None:
            break
    assert cursor is None
    return found


@given(st.lists(st.text(max_size=3), max_size=12), st.integers(1, 5))
def test_all_parts_together_are_the_list(names: list[str], limit: int) -> None:
    found = parts(names, limit)
    assert [one for part in found for one in part] == names
    assert all(len(part) == limit for part in found[:-1])


def test_without_a_limit_all_of_it_comes() -> None:
    assert Paging().part(["a", "b"], str) == (["a", "b"], None)
    assert Paging().part([], str) == ([], None)


@pytest.mark.parametrize(("limit", "length"), [(None, 2), (1, 1), (2, 2), (3, 2)])
def test_a_part_may_be_bounded_whatever_is_asked_for(limit: int | None, length: int) -> None:
    part, cursor = asked(limit, None).at_most(2).part(list("abcd"), str)
    assert len(part) == length
    assert asked(None, cursor).at_most(2).part(list("abcd"), str)[0][0] == "abcd"[length]


def test_it_goes_on_behind_the_last_one_or_at_its_place() -> None:
    cursor = Paging(2).part(list("abcd"), str)[1]
    for now, rest in (("abcd", "cd"), ("xyabcd", "cd"), ("acd", "cd"), ("a", ""), ("", "")):
        assert "".join(asked(None, cursor).part(list(now), str)[0]) == rest


@pytest.mark.parametrize("cursor", ["", "x", "1", "1.x", "-1.0000000000000000", "9" * 64])
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(UsageError, match="no cursor of this list"):
        asked(1, cursor)


def test_a_number_may_be_a_cursor() -> None:
    assert (number_of(None), number_of("12")) == (None, 12)
    for wrong in ("", "-1", "1.5", "x", "9" * 16):
        with pytest.raises(UsageError, match="no cursor of this list"):
            number_of(wrong)
