"""What `pool health` tells of the mesh: counters of odd events, and the event loop's lag."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from buildnet.mesh.events import Note
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.view import CounterView

MAX_REASONS = 128
MAX_DETAIL = 200
_OTHER = "other"

LAG_INTERVAL_S = 0.05
STALL_S = 0.1
_LAG_SAMPLES = 1200  # a minute


@dataclass(slots=True)
class _Counter:
    count: int = 0
    last_peer: bytes | None = None
    last_detail: str = ""
    last_at: float = 0.0


class Counters:
    """How often each reason was noted, and who caused it last. Reasons come from our own code, yet
    their number is bounded: what is beyond it is counted as ``"other"``."""

    def __init__(self) -> None:
        self._counters: dict[str, _Counter] = {}

    def note(self, note: Note, at: float) -> None:
        """Count one; ``at`` in unix seconds."""
        counter = self._counters.get(note.reason)
        if counter is None:
            reason = note.reason if len(self._counters) < MAX_REASONS else _OTHER
            counter = self._counters.setdefault(reason, _Counter())
        counter.count += 1
        counter.last_peer = note.peer
        counter.last_detail = note.detail[:MAX_DETAIL]
        counter.last_at = at

    def __getitem__(self, reason: str) -> int:
        counter = self._counters.get(reason)
        return 0 if counter is None else counter.count

    def view(self) -> tuple[CounterView, ...]:
        """Return all of them, by reason."""
        return tuple(
            CounterView(
                reason=reason,
                count=counter.count,
                last_peer=None if counter.last_peer is None else node_id_of(counter.last_peer),
                last_detail=counter.last_detail,
                last_at=counter.last_at,
            )
            for reason, counter in sorted(self._counters.items())
        )


class LoopLag:
    """How late the event loop calls us. Tell it :meth:`ticked` every :data:`LAG_INTERVAL_S`; ask
    :meth:`stall` before anything else is handled. Times are monotonic seconds."""

    def __init__(self, now: float) -> None:
        self._due = now + LAG_INTERVAL_S
        self._samples: deque[float] = deque(maxlen=_LAG_SAMPLES)

    def stall(self, now: float) -> float:
        """Return for how long nothing ran, once for each stall of :data:`STALL_S` and more; 0."""
        late = now - self._due
        if late < STALL_S:
            return 0.0
        self._samples.append(late)
        self._due = now
        return late

    def ticked(self, now: float) -> None:
        """Take note that the tick came at ``now``."""
        self._samples.append(max(0.0, now - self._due))
        self._due = now + LAG_INTERVAL_S

    def p99_s(self) -> float | None:
        """Return the 99th percentile of the last minute, in seconds; None before the first."""
        if not self._samples:
            return None
        ordered = sorted(self._samples)
        return ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
