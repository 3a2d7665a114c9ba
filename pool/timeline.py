"""When the parts of one task of a build were: measured on one clock, told from its beginning on.

What is measured is monotonic; :class:`Timeline` anchors it at a unix time, once for a whole build,
so that all its tasks can be compared. Parts that another host tells of are durations: their place
is found between when that host was asked and when it had answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

LOOKUP: Final = "lookup"
"""Reading the sources, making the key, looking for the result, here and in the pool."""
RESTORE: Final = "restore"
"""A result that was there is fetched and put into the workspace."""
QUEUE: Final = "queue"
"""It could run, and waits for a place, or for what is to be installed."""
TRANSFER: Final = "transfer"
"""What it consists of goes to another host."""
STAGING: Final = "staging"
"""Its inputs are put where the command sees them."""
EXECUTION: Final = "execution"
"""The command runs."""
UPLOAD: Final = "upload"
"""What it made is collected, stored, fetched from another host, put into the workspace."""
PARTS: Final = (LOOKUP, RESTORE, QUEUE, TRANSFER, STAGING, EXECUTION, UPLOAD)
MAX_PARTS: Final = 24
"""Of one task; a command that was tried on many hosts has no more."""
_TOUCHING_NS: Final = 50_000
"""Parts of one name with no more than this between them are one."""
_US: Final = 1000
_SHORT_US: Final = 100_000
"""So long it may take from one command's end to the next one's beginning."""
MAX_NS: Final = 2**62
_MAX_US: Final = 10**13


class Timed(NamedTuple):
    """One part as it was measured, by a monotonic clock."""

    name: str
    began_ns: int
    ended_ns: int


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a timeline: microseconds from the timeline's beginning on."""

    name: str
    at_us: int
    took_us: int

    @property
    def end_us(self) -> int:
        """When it ended."""
        return self.at_us + self.took_us


@dataclass(frozen=True, slots=True)
class Timeline:
    """The parts of one task in their order; ``began_ns``: unix time of the first one's begin."""

    began_ns: int
    parts: tuple[Part, ...]

    @classmethod
    def of(cls, measured: Iterable[Timed], anchor_ns: int) -> Timeline | None:
        """Return what was measured as a timeline; ``anchor_ns``: unix time at zero of the clock.
        None: nothing was measured."""
        parts: list[Timed] = []
        for each in sorted(measured, key=lambda one: one.began_ns):
            last = parts[-1] if parts else None
            if (
                last is not None
                and last.name == each.name
                and each.began_ns - last.ended_ns <= _TOUCHING_NS
            ):
                parts[-1] = last._replace(ended_ns=max(last.ended_ns, each.ended_ns))
            else:
                parts.append(each)
        if not parts:
            return None
        kept = parts[:MAX_PARTS]
        began = kept[0].began_ns
        return cls(
            anchor_ns + began,
            tuple(
                Part(
                    each.name,
                    (each.began_ns - began) // _US,
                    max(0, each.ended_ns - each.began_ns) // _US,
                )
                for each in kept
            ),
        )

    @property
    def took_us(self) -> int:
        """How long it is from the beginning of the first part to the end of the last."""
        return max((part.end_us for part in self.parts), default=0)

    def total_us(self, *names: str) -> int:
        """Return how long all parts of these names took together."""
        return sum(part.took_us for part in self.parts if part.name in names)

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "began_ns": self.began_ns,
            "parts": [
                {"name": part.name, "at_ms": part.at_us / 1000, "took_ms": part.took_us / 1000}
                for part in self.parts
            ],
        }

    @classmethod
    def from_dict(cls, data: object) -> Timeline | None:
        """Read the JSON form, of any origin; None: it is none, or of no time that there is."""
        if not isinstance(data, dict):
            return None
        try:
            parts = tuple(
                Part(str(one["name"]), round(one["at_ms"] * 1000), round(one["took_ms"] * 1000))
                for one in data["parts"][:MAX_PARTS]
            )
            timeline = cls(int(data["began_ns"]), parts)
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        if not 0 <= timeline.began_ns <= MAX_NS:
            return None
        if any(part.at_us < 0 or part.took_us < 0 or part.end_us > _MAX_US for part in parts):
            return None
        return timeline


def relative(measured: Sequence[Timed], began_ns: int) -> tuple[Part, ...]:
    """Return what was measured as durations for another host, from ``began_ns`` on."""
    return tuple(
        Part(
            each.name,
            max(0, each.began_ns - began_ns) // _US,
            max(0, each.ended_ns - each.began_ns) // _US,
        )
        for each in measured[:MAX_PARTS]
    )


def anchored(parts: Iterable[Part], asked_ns: int, answered_ns: int) -> list[Timed]:
    """Return parts that another host told, by this clock: in the middle between question and
    answer, for nobody knows which of the two was longer on its way. What can't have happened in
    between, or has no known name, is left out."""
    told = [part for part in parts if part.name in PARTS]
    took_ns = max((part.end_us for part in told), default=0) * _US
    begin_ns = asked_ns + max(0, answered_ns - asked_ns - took_ns) // 2
    found: list[Timed] = []
    for part in told[:MAX_PARTS]:
        began_ns = begin_ns + part.at_us * _US
        ended_ns = min(answered_ns, began_ns + part.took_us * _US)
        if began_ns <= ended_ns:
            found.append(Timed(part.name, began_ns, ended_ns))
    return found


def stood_us(timelines: Iterable[Timeline]) -> int:
    """Return how long tasks of a build waited while none was at work: for what others have."""
    steps: list[tuple[int, int, int]] = []
    for timeline in timelines:
        for part in timeline.parts:
            began_us = timeline.began_ns // _US + part.at_us
            waits, works = (1, 0) if part.name == QUEUE else (0, 1)
            steps += (began_us, waits, works), (began_us + part.took_us, -waits, -works)
    stood = waiting = working = 0
    since: int | None = None
    for at_us, waits, works in sorted(steps):
        waiting, working = waiting + waits, working + works
        if waiting and not working:
            since = at_us if since is None else since
        elif since is not None:
            stood += at_us - since if at_us - since > _SHORT_US else 0
            since = None
    return stood
