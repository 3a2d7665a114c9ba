"""Writes what the cores want kept, in order; what came together is fsynced together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from buildnet.mesh.events import Note, Persist
from buildnet.mesh.service.store import MeshStateError, MeshStore

RETRY_S = 1.0
NOT_WRITTEN = "state not written"
_log = logging.getLogger("buildnet.mesh")


class Writer:
    """The one who writes to a store. ``on_written`` is told each :class:`Persist`'s token once it
    is on disk. On a full volume it tries again for ever: nothing is said that was not kept."""

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
            self._on_written(step.token)
