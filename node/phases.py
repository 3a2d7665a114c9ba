"""The phases of one build, as a conductor would name them: prepare, plan, rehearse or perform,
review."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final

from buildnet.node.progress import Progress

PREPARE: Final = "prepare"
"""It waits for its packages, looks at the workspace, runs the hook before the build."""
PLAN: Final = "plan"
"""What it has to look at is put together, and what it asked for is reserved."""
REHEARSE: Final = "rehearse"
"""A dry run: what would be done, and where."""
PERFORM: Final = "perform"
"""Keys, look-ups, commands."""
REVIEW: Final = "review"
"""The hook after the build; what it found is kept and recorded."""
PHASES: Final = (PREPARE, PLAN, REHEARSE, PERFORM, REVIEW)


@dataclass(slots=True)
class Phases:
    """Measures the phases of one build, from when it is made on; ``progress`` hears of each."""

    progress: Progress
    _current: str = PREPARE
    _began: float = field(default_factory=time.monotonic)
    _since: float = field(init=False)
    _took_s: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._since = self._began

    def tell(self) -> None:
        """Tell which phase it is in, for those who have not heard of it."""
        at_ms = round((self._since - self._began) * 1000, 1)
        self.progress.tell({"type": "phase", "phase": self._current, "at_ms": at_ms})

    def begin(self, phase: str) -> None:
        """End the phase that it is in and begin another."""
        now = time.monotonic()
        self._took_s[self._current] = self._took_s.get(self._current, 0.0) + now - self._since
        self._current, self._since = phase, now
        self.tell()

    def as_dict(self) -> dict[str, float | None]:
        """Return how many milliseconds each phase took so far; None: it did not come to it."""
        took_s = dict(self._took_s)
        current = time.monotonic() - self._since
        took_s[self._current] = took_s.get(self._current, 0.0) + current
        return {
            f"{phase}_ms": round(took_s[phase] * 1000, 1) if phase in took_s else None
            for phase in PHASES
        }
