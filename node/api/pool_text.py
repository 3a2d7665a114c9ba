"""The pool's view as text, made at most every eighth of a second, however many ask.

With a hundred nodes it is a megabyte and takes some 20 ms to make: it is made in slices, between
which the node does what else there is to do, and ahead of when it is due, so that nobody who asks
waits for it. What changes here is told at once; what others tell is at most so much older than it
says.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from buildnet.node.api.entity_tag import tag_of
from buildnet.node.api.packing import FROM_BYTES, LEVEL

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

KEPT_S = 0.25
_AHEAD = 0.5
"""The next one is begun when the kept one has had this share of its time."""
_SLICE_S = 0.001


@dataclass(frozen=True, slots=True)
class PoolText:
    """``packed``: compressed by gzip; None: not worth it. Each has an entity tag."""

    plain: bytes
    plain_tag: str
    packed: bytes | None
    packed_tag: str


class PoolTexts:
    """Makes them, and keeps the last one."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._kept: PoolText | None = None
        self._kept_since = 0.0
        self._of: Hashable = None
        self._making = asyncio.Lock()
        self._is_ahead = False

    async def now(self) -> PoolText:
        """Return the pool as it is now."""
        found = self._still_good()
        if found is None:
            found = await self._renewed()
        elif not self._is_ahead and self._age_s() >= KEPT_S * _AHEAD:
            self._is_ahead = True
            self._service.mesh.cluster.spawn(self._renew_ahead)
        return found

    def _still_good(self) -> PoolText | None:
        is_good = self._age_s() < KEPT_S and self._of == self._here()
        return self._kept if is_good else None

    def _age_s(self) -> float:
        return time.monotonic() - self._kept_since

    async def _renewed(self) -> PoolText:
        asked = time.monotonic()
        async with self._making:
            if self._kept is not None and self._kept_since >= asked:
                return self._kept  # begun after this was asked, however long that is ago by now
            return self._still_good() or await self._make()

    async def _renew_ahead(self) -> None:
        async with self._making:
            if self._is_ahead:  # nobody made it meanwhile
                await self._make()

    async def _make(self) -> PoolText:
        here, since = self._here(), time.monotonic()
        plain = await self._in_slices()
        packed = None
        if len(plain) >= FROM_BYTES:
            packed = await asyncio.to_thread(gzip.compress, plain, LEVEL, mtime=0)
        made = PoolText(plain, tag_of(plain), packed, tag_of(packed or b""))
        self._kept, self._kept_since, self._of, self._is_ahead = made, since, here, False
        return made

    async def _in_slices(self) -> bytes:
        pieces, until = [], 0.0
        for piece in await self._service.pool.status_text():
            pieces.append(piece)
            if time.monotonic() >= until:
                await asyncio.sleep(0)
                until = time.monotonic() + _SLICE_S
        return b"".join(pieces)

    def _here(self) -> Hashable:
        """Return what is known at first hand, and asked for by who just changed it."""
        service, local = self._service, self._service.mesh.cluster.local
        workers = service.builder.workers
        return (
            local.members.version,
            local.office,
            len(local.links),
            service.in_force.terms,
            service.config.node_tags,
            id(service.resources),
            service.scan_problem,
            workers.running,
            workers.slots,
            workers.slots_in_use,
            len(service.builder.running()),
        )
