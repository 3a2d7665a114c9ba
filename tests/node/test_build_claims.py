"""Whom the ledger is believed that they drove a build: hostile members among those who did."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.identity import is_signed_by
from buildnet.mesh.testing import key_number
from buildnet.node.build_claims import STARTED, TAKEN_OVER, BuildClaims
from buildnet.pool.warrant import Warrant

KEYS = {name: key_number(number) for number, name in enumerate("abcd")}
A, B, C, D = (key.public_key for key in KEYS.values())
ASKED = Warrant(A, bytes(16))


def granted(warrant: Warrant, granter: str, holder: str, attempt: int) -> Warrant:
    key = KEYS[granter]
    return warrant.granted(key.public_key, KEYS[holder].public_key, attempt, key.sign)


TO_B = granted(ASKED, "a", "b", 1)
TO_C = granted(TO_B, "b", "c", 2)


def said(kind: str, origin: bytes, warrant: Warrant | str | None) -> Any:
    shown = warrant.encode().hex() if isinstance(warrant, Warrant) else warrant
    body = SimpleNamespace(type=kind, origin=origin)
    return SimpleNamespace(body=body, data={} if shown is None else {"warrant": shown})


def drivers(*entries: Any) -> tuple[bytes, ...]:
    claims = BuildClaims(ASKED.build, is_signed_by, lambda one, other: one == other)
    for entry in entries:
        claims.take(entry)
    return claims.drivers


BEGUN = said(STARTED, A, ASKED)


def test_who_was_asked_comes_first_then_who_went_on_the_latest_first() -> None:
    entries = BEGUN, said(TAKEN_OVER, B, TO_B), said(TAKEN_OVER, C, TO_C)
    assert drivers(*entries) == (A, C, B)
    assert drivers(*entries[1:]) == (C, B)  # the beginning was lost with its node
    again = said(TAKEN_OVER, A, ASKED), said(TAKEN_OVER, B, TO_B)  # each goes on once more
    assert drivers(*entries, *again) == (A, B, A, C)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "no hex",
        "00",
        ASKED,
        TO_B,
        TO_C,
        Warrant(D, bytes(16)),  # of a build of its own
        granted(ASKED, "d", "d", 1),
        replace(TO_B, grants=(replace(TO_B.grants[0], holder=D),)),
        replace(granted(TO_C, "d", "d", 3), grants=TO_C.grants[:1]),
    ],
)
def test_who_was_granted_nothing_is_not_believed(shown: Warrant | str | None) -> None:
    forged = said(TAKEN_OVER, D, shown)
    assert drivers(BEGUN, forged) == (A,)
    assert drivers(forged, BEGUN, said(TAKEN_OVER, B, TO_B)) == (A, B)
    assert drivers(forged) == ()
    begun = said(STARTED, D, shown)
    assert drivers(begun, BEGUN, forged) == (A,)


def test_who_stood_in_did_not_begin_it() -> None:
    assert drivers(said(STARTED, B, TO_B), BEGUN) == (A,)


def test_what_nodes_of_before_wrote_is_believed_as_it_was() -> None:
    begun, went_on = said(STARTED, A, None), said(TAKEN_OVER, B, None)
    assert drivers(begun, said(STARTED, D, None), went_on) == (A, B)
    assert drivers(begun, went_on, said(TAKEN_OVER, C, TO_C)) == (A, C, B)
