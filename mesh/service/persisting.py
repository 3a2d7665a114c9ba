"""Writes what the cores want kept, in order; what came together is fsynced together.

What can't be written waits, and grows with the number of facts, not with the time: all of it will
be one transaction, so of each fact the newest is enough.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from buildnet.mesh.events import Note, Persist
from buildnet.mesh.service.store import MeshStateError, MeshStore

RETRY_S = 1.0
NOT_WRITTEN = "state not written"
_log = logging.getLogger("buildnet.mesh")


class Writer:
    """The one who writes to a store. ``on_written`` is told each :class:`Persist`'s token once it
    is on disk, unless it is 0. On a full volume it tries again for ever: nothing is said that was
    not kept."""

    def __init__(
        self,
        store: MeshStore,
        *,
        on_written: Callable[[int], None],
        note: Callable[[Note], None],
    ) -> None:
        self._store = store
        self._on_written = on_written
        self._note = note
        self._waiting: list[Persist] = []
        self._something = asyncio.Event()

    def put(self, step: Persist) -> None:
        """Write it next; never waits."""
        self._waiting.append(step)
        self._something.set()

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._something.wait()
            self._something.clear()
            while self._waiting:
                try:
                    await self.flush()
                except MeshStateError as error:
                    _log.error("%s (%s)", error.message, error.cause)
                    self._note(Note(NOT_WRITTEN, None, error.cause or error.message))
                    self._waiting = coalesced(self._waiting)
                    await asyncio.sleep(RETRY_S)

    async def flush(self) -> None:
        """Write all that waits.

        Raises:
            MeshStateError: nothing of it was written; it still waits.
        """
        steps = self._waiting[:]
        if not steps:
            return
        await self._store.write(steps)
        del self._waiting[: len(steps)]
        for step in steps:
            if step.token:
                self._on_written(step.token)


def coalesced(steps: Sequence[Persist]) -> list[Persist]:
    """Return steps that leave the same on disk where all are written at once: of each fact only the
    last word. Those for which nobody waits vanish when nothing of them is left."""
    kept: list[Persist] = []
    decided: set[str] = set()
    for step in reversed(steps):
        facts = tuple(fact for fact in step.facts if fact.name() not in decided)
        decided.update(fact.name() for fact in facts)
        forget = tuple(name for name in step.forget if name not in decided)
        decided.update(forget)
        if facts or forget or step.token:
            kept.append(Persist(step.token, facts, forget))
    return kept[::-1]
