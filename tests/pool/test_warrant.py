"""Who may drive a build: what proves it, and all that does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildnet.mesh.identity import is_signed_by
from buildnet.mesh.testing import key_number
from buildnet.mesh.wire import WireError
from buildnet.pool.warrant import HIGHEST_PROVEN, MAX_ATTEMPT, MAX_GRANTS, Warrant

KEYS = [key_number(number) for number in range(4)]
A, B, C, D = (key.public_key for key in KEYS)
ASKED = Warrant(A, bytes(16))
BUILD = ASKED.build
OTHER = Warrant(D, bytes(16))


def given(warrant: Warrant, granter: int, holder: int, attempt: int) -> Warrant:
    key = KEYS[granter]
    return warrant.granted(key.public_key, KEYS[holder].public_key, attempt, key.sign)


TO_B = given(ASKED, 0, 1, 1)
TO_C = given(TO_B, 1, 2, 3)


def is_same(one: bytes, other: bytes) -> bool:
    return one == other


def proves(warrant: Warrant, claimant: bytes, attempt: int, build: str = BUILD) -> bool:
    return warrant.proves(build, claimant, attempt, is_signed_by, is_same)


def test_an_id_is_that_of_the_node_that_was_asked() -> None:
    assert len(BUILD) == 12
    assert len({BUILD, OTHER.build, Warrant(A, b"1" * 16).build}) == 3


def test_who_was_granted_it_and_who_granted_it_may_say_so() -> None:
    assert proves(ASKED, A, 99)
    assert proves(TO_B, B, 1)
    assert proves(TO_B, A, 1)
    assert proves(TO_C, C, 3)
    assert proves(TO_C, B, 3)
    assert Warrant.decode(TO_C.encode()) == TO_C


@pytest.mark.parametrize(
    ("warrant", "claimant", "attempt"),
    [
        (ASKED, B, 0),
        (OTHER, D, 9),  # of another build
        (replace(OTHER, salt=ASKED.salt), D, 9),
        (TO_B, C, 1),
        (TO_B, B, 2),  # another number than was granted
        (TO_C, A, 3),  # A granted it to B alone
        (TO_C, D, 3),
        (given(TO_B, 3, 3, 9), D, 9),  # D signs for itself
        (given(ASKED, 3, 3, 9), D, 9),
        (given(TO_B, 1, 2, 1), C, 1),  # not above what B has
        (replace(TO_B, grants=(replace(TO_B.grants[0], attempt=9),)), B, 9),
        (replace(TO_B, grants=(replace(TO_B.grants[0], holder=D),)), D, 1),
        (replace(TO_C, grants=TO_C.grants[1:]), C, 3),
        (replace(TO_C, grants=TO_C.grants[::-1]), C, 3),
        (replace(given(ASKED, 3, 3, 9), origin=D), D, 9),
        (ASKED, A, HIGHEST_PROVEN + 1),  # nobody could go on above it
        (given(TO_B, 1, 2, MAX_ATTEMPT), C, MAX_ATTEMPT),
    ],
)
def test_nobody_else_and_under_no_other_number(
    warrant: Warrant, claimant: bytes, attempt: int
) -> None:
    assert not proves(warrant, claimant, attempt)


def test_a_grant_is_of_one_build() -> None:
    moved = replace(TO_B, salt=b"1" * 16)
    assert not proves(moved, B, 1, moved.build)
    assert not proves(TO_B, B, 1, moved.build)


def test_a_node_that_changed_its_key_is_still_the_same() -> None:
    late = given(TO_B, 3, 2, 4)
    assert not late.proves(BUILD, C, 4, is_signed_by, is_same)
    was = {B: D}
    assert late.proves(BUILD, C, 4, is_signed_by, lambda x, y: was.get(x, x) == was.get(y, y))


def test_so_many_follow_each_other_and_no_more() -> None:
    warrant = ASKED
    for number in range(MAX_GRANTS):
        warrant = given(warrant, number % 2, (number + 1) % 2, number + 1)
    assert warrant.is_full
    assert proves(warrant, A, MAX_GRANTS)
    with pytest.raises(ValueError, match="no more than"):
        given(warrant, 0, 1, 99)
    longer = replace(warrant, grants=(*warrant.grants, warrant.grants[0]))
    with pytest.raises(WireError):
        Warrant.decode(longer.encode())
