"""Who is believed that says another process runs with this node's key."""

from __future__ import annotations

import pytest

from buildnet.mesh.link.copied_key import (
    ANSWERED_S,
    COPY_PAUSE_S,
    GONE_PAUSE_S,
    GONE_S,
    CopiedKey,
)

ME, ANN, BOB, CAT, DAN = (letter * 32 for letter in (b"m", b"a", b"b", b"c", b"d"))


def refused(
    key: CopiedKey,
    by: bytes,
    now: float = 0.0,
    *,
    linked: str = "",
    others: int = 4,
    gone: bool = False,
) -> bool:
    standing = [letter.encode() * 32 for letter in linked]
    return key.refused(by, now, linked=standing, others=others, gone=gone)


def test_a_lone_member_keeps_itself_from_being_dialled_and_nobody_else() -> None:
    key = CopiedKey(ME)
    for again in range(3):
        assert not refused(key, ANN, float(again))
    assert not key.may_dial(ANN, 3.0)
    assert key.may_dial(BOB, 3.0)
    assert key.may_dial(None, 3.0)
    assert key.may_dial(ANN, 2.0 + COPY_PAUSE_S)


def test_most_of_those_that_answered_are_believed() -> None:
    key = CopiedKey(ME)
    key.accepted(CAT, 0.0)
    assert not refused(key, ANN, 1.0)
    assert not refused(key, BOB, 2.0, linked="d")  # two of four
    assert key.may_dial(DAN, 2.0)
    assert refused(key, CAT, 3.0, linked="d")
    assert not any(key.may_dial(peer, 3.0) for peer in (ANN, DAN, None))
    assert key.may_dial(DAN, 3.0 + COPY_PAUSE_S)


def test_two_are_enough_where_no_others_answer() -> None:
    key = CopiedKey(ME)
    assert not refused(key, ANN)
    assert refused(key, BOB)


def test_who_is_linked_says_otherwise() -> None:
    key = CopiedKey(ME)
    assert not refused(key, ANN, linked="bcd")
    assert not refused(key, BOB, linked="cd")
    assert refused(key, CAT, linked="d")


def test_the_only_other_member_is_believed() -> None:
    assert refused(CopiedKey(ME), ANN, others=1)


def test_an_answer_with_this_nodes_own_key_leaves_no_doubt() -> None:
    key = CopiedKey(ME)
    assert refused(key, ME, linked="abcd")
    assert not key.may_dial(ANN, 1.0)


@pytest.mark.parametrize("accepts", [True, False])
def test_the_newest_answer_of_each_counts_and_for_a_while(accepts: bool) -> None:
    key = CopiedKey(ME)
    assert not refused(key, ANN)
    if accepts:
        key.accepted(ANN, 1.0)
        assert key.may_dial(ANN, 1.0)
        assert not refused(key, BOB, 2.0)
    else:
        assert not refused(key, BOB, ANSWERED_S)  # what ANN said is too long ago
        assert refused(key, CAT, ANSWERED_S)


def test_who_is_told_for_a_while_that_the_newer_one_is_gone_may_begin_anew() -> None:
    key = CopiedKey(ME)
    now = 0.0
    assert refused(key, ANN, now, others=1)
    assert not key.is_free(now)
    now += COPY_PAUSE_S
    assert refused(key, ANN, now, others=1, gone=True)
    assert not key.is_free(now)  # it may be about to come back
    assert not key.may_dial(ANN, now + GONE_PAUSE_S - 1)
    now += max(GONE_PAUSE_S, GONE_S)
    assert key.may_dial(ANN, now)
    assert refused(key, ANN, now, others=1, gone=True)
    assert key.is_free(now)
    assert now < 120


def test_a_newer_one_that_comes_back_keeps_the_older_one_out() -> None:
    key = CopiedKey(ME)
    refused(key, ANN, 0.0, others=1, gone=True)
    refused(key, ANN, 15.0, others=1)
    refused(key, ANN, 75.0, others=1, gone=True)
    assert not key.is_free(75.0)
    key.accepted(ANN, 76.0)
    refused(key, ANN, 100.0, others=1, gone=True)
    assert not key.is_free(100.0)


def test_most_must_say_that_the_newer_one_is_gone() -> None:
    key = CopiedKey(ME)
    for now in (0.0, 60.0, 120.0):
        refused(key, ANN, now, gone=True)
        refused(key, BOB, now)
        assert not key.is_free(now)
    assert not refused(key, ANN, 180.0, gone=True)  # what was said before a pause is asked anew
    for later in (0.0, 20.0):
        refused(key, BOB, 181.0 + later, gone=True)
        refused(key, ANN, 181.0 + later, gone=True)
    assert key.is_free(201.0)


def test_who_answers_with_this_nodes_own_key_is_there() -> None:
    key = CopiedKey(ME)
    for now in (0.0, 60.0):
        assert refused(key, ME, now, gone=True)
        assert not key.is_free(now)
