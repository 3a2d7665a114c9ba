"""When a workspace that is watched is built.

Pure: what happened goes in with the time, what is to be done comes out. A build begins once nothing
has changed for a while, and none while another one runs. What changes while one runs is built after
it; if it made useless what runs, that is ended. A build *looks* at some moment after its begin:
what changed before that it has taken in.

Where changes never pause, a build begins all the same once it has waited long enough, and is left
to run for as long as they do not.

After the last change, then, exactly one build looks that began no earlier.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Changed:
    """Something changed that has to be built; ``sooner``: without the delay."""

    sooner: bool = False


@dataclass(frozen=True, slots=True)
class Rest:
    """What changed is not to be built before so many seconds have passed."""

    pause_s: float


@dataclass(frozen=True, slots=True)
class Outdated:
    """What changed has made useless what the build is running."""


@dataclass(frozen=True, slots=True)
class Looked:
    """The build has taken in all that changed so far."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The build is over, or could not begin."""


@dataclass(frozen=True, slots=True)
class Woken:
    """It is as late as was asked for."""


@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a build; it is over with :class:`Ended`."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """End the build that runs."""


@dataclass(frozen=True, slots=True)
class Prepare:
    """Get ready for the build that is about to begin."""


@dataclass(frozen=True, slots=True)
class Wake:
    """Tell when it is so late; this replaces what was asked for before."""

    at: float


Event = Changed | Rest | Outdated | Looked | Ended | Woken
Effect = Begin | Cancel | Prepare | Wake


class WatchPlan:
    """See the module's text. Times are in monotonic seconds. The first build begins at once.

    Args:
        debounce_s: so long nothing may have changed before a build begins.
        delay_s: so much longer, but for what is wanted sooner.
        longest_s: what changed waits no longer than that, and no less than ``debounce_s`` and
            ``delay_s``, for a time without a change; what a build that runs takes does not count.
        prepares_s: so long nothing may have changed before it is prepared; None: it is not.
    """

    def __init__(
        self,
        debounce_s: float,
        delay_s: float = 0.0,
        longest_s: float = math.inf,
        prepares_s: float | None = None,
    ) -> None:
        self._debounce_s = debounce_s
        self._delay_s = delay_s
        self._longest_s = max(longest_s, debounce_s + delay_s)
        self._due: float | None = -math.inf
        self._latest = math.inf
        self._prepares_s = prepares_s
        self._prepared_at = math.inf
        self._sooner = False
        self._building = False
        self._is_hurried = False  # begun though changes did not pause
        self._outdated = False
        self._cancelled = False

    @property
    def is_waiting(self) -> bool:
        """Whether there is nothing to be done before something changes."""
        return self._due is None and not self._building

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take in an event; return what is to be done."""
        match event:
            case Changed(sooner):
                self._sooner = self._sooner or sooner
                delay_s = 0.0 if self._sooner else self._delay_s
                self._due = now + self._debounce_s + delay_s
                if self._prepares_s is not None:
                    self._prepared_at = now + self._prepares_s
                if not self._building:
                    self._latest = min(self._latest, now + self._longest_s)
            case Rest(pause_s):
                if self._due is not None:
                    self._due = now + pause_s + self._debounce_s
            case Outdated():
                self._outdated = self._building and self._due is not None
            case Looked():
                # One that was cancelled builds nothing of what it has seen.
                if self._building and not self._cancelled:
                    self._due, self._sooner, self._outdated = None, False, False
            case Ended():
                self._building = self._is_hurried = self._outdated = self._cancelled = False
                if self._due is not None:
                    self._latest = max(now + self._longest_s, self._due)
            case Woken():
                pass
        if self._due is None:
            return []
        if not self._building:
            return self._begin_or_wait(self._due, now)
        if not self._outdated or self._cancelled:
            return []
        if self._is_hurried and now < self._due:
            return [Wake(self._due)]
        self._cancelled = True
        return [Cancel()]

    def _begin_or_wait(self, due: float, now: float) -> list[Effect]:
        begins_at = min(due, self._latest)
        if now < begins_at:
            if now < self._prepared_at:
                return [Wake(min(begins_at, self._prepared_at))]
            self._prepared_at = math.inf
            return [Prepare(), Wake(begins_at)]
        self._is_hurried = now < due
        self._due, self._latest, self._prepared_at = None, math.inf, math.inf
        self._sooner, self._building = False, True
        return [Begin()]


class Recurring:
    """Notices builds that change what they are made from: one would follow the other for ever."""

    OFTEN = 3
    LONGEST_S = 60.0

    def __init__(self) -> None:
        self._paths: frozenset[str] = frozenset()
        self._times = 0

    def ended(self, paths: frozenset[str]) -> float:
        """Return how long to wait with the next build, in seconds; ``paths``: what changed under
        the one that has ended."""
        self._times = self._times + 1 if paths and paths == self._paths else bool(paths)
        self._paths = paths
        again = self._times - self.OFTEN
        return 0.0 if again < 0 else min(2.0 ** min(again, 10), self.LONGEST_S)
