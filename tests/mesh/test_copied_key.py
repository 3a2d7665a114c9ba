"""Who is believed that says another process runs with this node's key."""

from __future__ import annotations

import pytest

from buildnet.mesh.link.copied_key import ANSWERED_S, COPY_PAUSE_S, CopiedKey

ME, ANN, BOB, CAT, DAN = (letter * 32 for letter in (b"m", b"a", b"b", b"c", b"d"))


def refused(
    key: CopiedKey, by: bytes, now: float = 0.0, *, linked: str = "", others: int = 4
) -> bool:
    standing = [letter.encode() * 32 for letter in linked]
    return key.refused(by, now, linked=standing, others=others)


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
