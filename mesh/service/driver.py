"""Drives a node's :class:`~buildnet.mesh.machine.Machine`: events in, effects out, one timer.

Everything happens in the event loop's thread, one event after the other. A bug met on the way is
logged and counted, and costs at most the link of the peer whose message it was.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from buildnet.mesh.errors import StoppingError
from buildnet.mesh.events import Disconnect, Effect, Event, Note, Received, Stalled
from buildnet.mesh.service.health import LAG_INTERVAL_S, LoopLag

BUG = "bug in the mesh"
_AFTER_BUG_S = 1.0
_log = logging.getLogger("buildnet.mesh")


class Driven(Protocol):
    """What is driven."""

    @property
    def deadline(self) -> float:
        """When :meth:`tick` is due."""

    def handle(self, event: Event, now: float) -> list[Effect]:
        """Take an event."""

    def tick(self, now: float) -> list[Effect]:
        """Do what is due."""


class Driver:
    """Feeds a machine and hands its effects to ``perform``, in order.

    ``perform`` must not wait; it may call :meth:`feed`, whose event then comes after the effects
    at hand. ``each_tick`` is called every 50 ms with the time. ``clock``: monotonic seconds.
    """

    def __init__(
        self,
        machine: Driven,
        *,
        perform: Callable[[Effect], None],
        each_tick: Callable[[float], None],
        clock: Callable[[], float],
    ) -> None:
        self._machine = machine
        self._perform = perform
        self._each_tick = each_tick
        self._clock = clock
        self._events: deque[Event] = deque()
        self._busy = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._beat: asyncio.TimerHandle | None = None
        self.lag = LoopLag(clock())

    def start(self) -> None:
        """Begin to keep time; :meth:`stop` ends it."""
        self.lag = LoopLag(self._clock())
        self._beat = asyncio.get_running_loop().call_later(LAG_INTERVAL_S, self._ticked)
        self._arm()

    def stop(self) -> None:
        """Keep no time any more, and drop what is fed from now on."""
        for handle in (self._timer, self._beat):
            if handle is not None:
                handle.cancel()
        self._timer = self._beat = None
        self._busy = self._stopped = True

    def feed(self, event: Event) -> None:
        """Take an event, and perform what comes of it."""
        self._events.append(event)
        if not self._busy:
            self._run()

    def request(self, wanted: Callable[[float], Iterable[Effect]]) -> None:
        """Ask the machine directly, as this node's owner, and perform what it wants. Whatever
        ``wanted`` raises goes to the caller."""
        if self._stopped:
            raise StoppingError(
                "this node is stopping, or between two clusters", hint="buildnet node status"
            )
        if self._busy:
            raise RuntimeError("the machine is asked from within its own effects")
        self._run()  # a stall and what is due come first
        self._busy = True
        try:
            now = self._clock()
            self._perform_all(self._machine.tick(now))
            self._perform_all(wanted(now))
        finally:
            self._busy = False
        self._run()

    def _run(self) -> None:
        self._busy = True
        try:
            now = self._clock()
            if stalled := self.lag.stall(now):
                self._events.appendleft(Stalled(stalled))
            while self._events:
                self._handle(self._events.popleft(), now)
        finally:
            self._busy = False
        self._arm()

    def _handle(self, event: Event, now: float) -> None:
        try:
            self._perform_all(self._machine.handle(event, now))
        except Exception:
            _log.exception("a bug while handling %s", type(event).__name__)
            peer = event.sender if isinstance(event, Received) else None
            self._perform(Note(BUG, peer, type(event).__name__))
            if peer is not None:
                self._perform(Disconnect(peer, BUG))

    def _perform_all(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            self._perform(effect)

    def _arm(self) -> None:
        deadline = self._machine.deadline
        if self._beat is None or deadline >= self._timer_at:
            return  # the timer that runs comes first and looks again
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = deadline
        # The loop's clock has milliseconds; a tick before the deadline would do nothing.
        wait = max(0.0, deadline - self._clock()) + 0.0005
        self._timer = asyncio.get_running_loop().call_later(wait, self._due)

    def _due(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        now = self._clock()
        if self._machine.deadline > now:
            self._arm()
            return
        if stalled := self.lag.stall(now):
            self.feed(Stalled(stalled))  # ticks as well, in the right order
            return
        self._busy = True
        try:
            self._perform_all(self._machine.tick(now))
        except Exception:
            _log.exception("a bug while doing what is due")
            self._perform(Note(BUG, None, "tick"))
            # Whatever is due stays due: not in a hurry.
            self._timer_at = now + _AFTER_BUG_S
            self._timer = asyncio.get_running_loop().call_later(_AFTER_BUG_S, self._due)
        finally:
            self._busy = False
        self._run()

    def _ticked(self) -> None:
        now = self._clock()
        self._beat = asyncio.get_running_loop().call_later(LAG_INTERVAL_S, self._ticked)
        if stalled := self.lag.stall(now):
            self.feed(Stalled(stalled))
        self.lag.ticked(now)
        self._each_tick(now)
