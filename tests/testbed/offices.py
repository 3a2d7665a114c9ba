"""Who coordinates, as members of a cluster say; and how long it takes until all say the same."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

_LOOK_AGAIN_S = 0.004
_PATIENCE_S = 60.0


@dataclass(frozen=True, slots=True)
class Office:
    """Who coordinates (or leads), in which term, and whether a majority says so."""

    coordinator: str | None
    term: int
    quorum: bool


class Member(Protocol):
    """A process of a cluster: a node, or an etcd server."""

    @property
    def name(self) -> str:
        """For people."""

    @property
    def identity(self) -> str:
        """What :attr:`Office.coordinator` is when it coordinates."""

    def office(self) -> Office | None:
        """Return whom it holds for the coordinator; None: it does not answer."""

    def kill(self) -> None:
        """End it by SIGKILL, and wait until it has ended."""

    def freeze(self) -> None:
        """Stop its process (SIGSTOP)."""

    def thaw(self) -> None:
        """Let its process go on (SIGCONT)."""

    def start(self) -> None:
        """Start it again after :meth:`kill`; return once it answers."""


class DisagreementError(AssertionError):
    """The members did not come to agree."""


def agreement(
    members: Sequence[Member],
    wanted: Callable[[Office], bool],
    patience_s: float = _PATIENCE_S,
) -> tuple[Office, float]:
    """Wait until all ``members`` tell of the same office, and it is ``wanted``.

    Return it, and when the last of them was seen to (``time.perf_counter``). One member is asked
    at a time, and the next one once it tells something wanted, so that looking costs them little:
    some 200 small requests a second altogether. At the end all are asked again.
    """
    deadline = time.perf_counter() + patience_s
    while True:
        told: list[Office | None] = []
        for member in members:
            while (office := member.office()) is None or not wanted(office):
                if time.perf_counter() > deadline:
                    seen = ", ".join(f"{each.name}: {each.office()}" for each in members)
                    raise DisagreementError(f"no agreement within {patience_s} s: {seen}")
                time.sleep(_LOOK_AGAIN_S)
            told.append(office)
        seen_at = time.perf_counter()
        again = [member.office() for member in members]
        first = again[0]
        if first is not None and told == again == [first] * len(members):
            return first, seen_at
        if time.perf_counter() > deadline:
            raise DisagreementError(f"no agreement within {patience_s} s: {again}")


def of_quorum(office: Office) -> bool:
    """Tell whether somebody coordinates with a majority."""
    return office.coordinator is not None and office.quorum


def successor_of(before: Office) -> Callable[[Office], bool]:
    """Return what tells whether an office is a later one with a majority."""
    return lambda office: of_quorum(office) and office.term > before.term
