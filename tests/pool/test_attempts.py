"""How often and where a command is tried again."""

from __future__ import annotations

import pytest

from buildnet.pool.attempts import (
    MOST_ELSEWHERE,
    PAUSES_S,
    Attempt,
    Attempts,
    may_be_the_hosts_fault,
)


def attempt(node: str, why: str) -> Attempt:
    return Attempt(node, f"the {node}", 1.0, "HOST_LOST", why)


def test_attempts_are_bounded_and_further_apart_each_time() -> None:
    attempts = Attempts()
    pauses = []
    while not attempts.goes_home:
        pauses.append(attempts.pause_s)
        number = len(attempts.made)
        attempts.failed(bytes([number]), attempt(f"n{number}", f"reason {number}"))
    assert len(attempts.made) == MOST_ELSEWHERE
    assert pauses == [0.0, *PAUSES_S]
    assert len(attempts.owners) == MOST_ELSEWHERE


def test_the_same_failure_on_two_hosts_is_the_builds_fault() -> None:
    attempts = Attempts()
    attempts.failed(b"a", attempt("a", "no room"))
    assert not attempts.is_the_builds_fault
    attempts.failed(b"a", attempt("a", "no room"))  # the same host has the same fault again
    assert not attempts.is_the_builds_fault
    attempts.failed(b"b", attempt("b", "no room"))
    assert attempts.is_the_builds_fault


def test_different_failures_are_the_hosts() -> None:
    attempts = Attempts()
    attempts.failed(b"a", attempt("a", "no room"))
    attempts.failed(b"b", attempt("b", "it is gone"))
    assert not attempts.is_the_builds_fault
    assert not attempts.goes_home


@pytest.mark.parametrize(
    ("exit_code", "may_be"), [(1, False), (2, False), (126, True), (127, True), (137, True)]
)
def test_what_may_be_the_hosts_fault(exit_code: int, may_be: bool) -> None:
    assert may_be_the_hosts_fault(exit_code) is may_be
    assert not may_be_the_hosts_fault(None)
