"""What waits for one who is told events: bounded, with a word about whatever is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from buildnet.node.events.channel import Wanted
from buildnet.node.events.event import Event

MOST_WAITING = 1 << 20
"""Characters of JSON that may wait for one reader; who is slower is not told any more, and why."""
MOST_OUTPUT = MOST_WAITING // 2
"""So many of them may be output of commands; what is more is left out, and how much is told."""

LeftOut = Callable[[str, int, int], Event]
"""Makes the event that tells of missing output: its build, how many bytes, after which number."""


@dataclass(slots=True, eq=False)
class Reader:
    """One reader's queue. ``news`` is called once there is something to :meth:`take`.

    ``over`` says why nothing more is told; None: it goes on.
    """

    wanted: Wanted
    news: Callable[[], None]
    left_out: LeftOut
    over: str | None = None
    _waiting: deque[Event] = field(default_factory=deque)
    _size: int = 0
    _output: int = 0
    _left_out: dict[str, int] = field(default_factory=dict)
    _last: int = 0

    def add(self, event: Event) -> None:
        """Let an event wait, if it is wanted."""
        if self.over is not None or not self.wanted.takes(event.channel, event.build):
            return
        size = len(event.text)
        if event.output_bytes:
            if self._output + size > MOST_OUTPUT:
                missing = self._left_out.get(event.build, 0)
                self._left_out[event.build] = missing + event.output_bytes
                self._last = event.number
                return
            self._output += size
        self._tell_left_out(event.build)
        self._last = event.number
        self._append(event)

    def _tell_left_out(self, build: str) -> None:
        """Put the mark of a gap where the gap is: before what follows of the same build."""
        missing = self._left_out.pop(build, 0)
        if missing:
            self._append(self.left_out(build, missing, self._last))

    def _append(self, event: Event) -> None:
        self._waiting.append(event)
        self._size += len(event.text)
        if self._size > MOST_WAITING:
            self.end(
                f"too slow: {len(self._waiting)} events waited; go on from the last cursor you have"
            )
        else:
            self.news()

    def end(self, why: str) -> None:
        """Tell nothing more; what waits is dropped."""
        if self.over is None:
            self.over = why
            self._waiting.clear()
            self._left_out.clear()
            self.news()

    def take(self, most: int) -> list[Event]:
        """Return what waits, in its order, and forget it; about ``most`` characters at once."""
        if not self._waiting:
            for build in list(self._left_out):
                self._tell_left_out(build)
        batch: list[Event] = []
        while self._waiting and (not batch or len(self._waiting[0].text) <= most):
            event = self._waiting.popleft()
            size = len(event.text)
            most -= size
            self._size -= size
            if event.output_bytes:
                self._output -= size
            batch.append(event)
        return batch
