"""How often, where and when a command is tried again that another host did not run. Pure.

A command is tried on other hosts three times at most, each time on another one, with pauses in
between; then at home. What fails in the same way on two hosts is the build's fault, not theirs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

MOST_ELSEWHERE = 3
PAUSES_S = (0.2, 1.0)
"""Before the second attempt, and before the third."""
NOT_FOUND = frozenset({126, 127})
"""What a shell exits with where a program is missing, or can't be run: on that host, perhaps."""
_BY_SIGNAL = 128


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that came to nothing. ``node``: id of the node that was to run it, ``node_name``: None:
    the one that was asked for the build; ``at``: unix time; ``code``, ``why``: of the error."""

    node: str
    node_name: str | None
    at: float
    code: str
    why: str

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return asdict(self)


@dataclass(slots=True)
class Attempts:
    """Those of one command on other hosts; ``owners`` are their keys. ``only_at_home``: it can't be
    asked for elsewhere."""

    made: list[Attempt] = field(default_factory=list)
    owners: set[bytes] = field(default_factory=set)
    only_at_home: bool = False

    def failed(self, owner: bytes, attempt: Attempt) -> None:
        """Take note of one."""
        self.made.append(attempt)
        self.owners.add(owner)

    @property
    def goes_home(self) -> bool:
        """Whether it is tried elsewhere no more."""
        return self.only_at_home or len(self.made) >= MOST_ELSEWHERE or self.is_the_builds_fault

    @property
    def is_the_builds_fault(self) -> bool:
        """Whether two hosts failed in the same way."""
        seen: dict[tuple[str, str], str] = {}
        return any(
            seen.setdefault((each.code, each.why), each.node) != each.node for each in self.made
        )

    @property
    def pause_s(self) -> float:
        """How long to wait before the next attempt."""
        return PAUSES_S[min(len(self.made), len(PAUSES_S)) - 1] if self.made else 0.0


def may_be_the_hosts_fault(exit_code: int | None) -> bool:
    """Tell whether a command may have failed for what its host is like: a program is missing there,
    or something ended the command from outside, as a kernel does that runs out of memory."""
    return exit_code is not None and (exit_code in NOT_FOUND or exit_code > _BY_SIGNAL)
