"""Sees now and then, while nothing is built, that watching told of all changes of workspaces."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from buildnet.node.store import Store
from buildnet.node.workspaces import OpenWorkspace, Workspaces
from buildnet.pool.claims import Claim

_LOOK_S = 60.0
# Directories; some milliseconds, in which a build would wait.
_AT_ONCE = 32
_BETWEEN_S = 0.05
_log = logging.getLogger("buildnet.builds")


class Auditing:
    """See the module's text. ``is_busy``: whether anything is built."""

    def __init__(self, workspaces: Workspaces, store: Store, is_busy: Callable[[], bool]) -> None:
        self._workspaces = workspaces
        self._store = store
        self._is_busy = is_busy

    async def run(self) -> None:
        """Audit what it is time for, for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            await asyncio.to_thread(self._workspaces.unwatch_unused, time.monotonic())
            for opened in self._workspaces.watched():
                if opened.needs_audit(time.monotonic()):
                    try:
                        await self.audit(opened)
                    except Exception:
                        _log.exception("%s could not be audited", opened.definition.workspace.root)

    async def audit(self, opened: OpenWorkspace) -> None:
        """Compare what is known of a workspace with what is there, bit by bit; a build comes first,
        then the rest is left for later."""
        table = await asyncio.to_thread(self._store.file_table, opened.id)
        directories = sorted(opened.memory.listings)
        for start in range(0, len(directories), _AT_ONCE):
            if self._is_busy() or opened.watcher is None:
                return
            async with opened.claims.one(Claim(self, None)) as claimed:
                if not claimed.take_at_once():
                    return
                part = directories[start : start + _AT_ONCE]
                await asyncio.to_thread(opened.audit, table, part)
            await asyncio.sleep(_BETWEEN_S)
        opened.audited_at = time.monotonic()
