"""The pool's view as text, made at most four times a second, however many ask.

With a hundred nodes it is a megabyte and takes some 10 ms to make. What changes here is told at
once; what others tell is at most so much older than it says.
"""

from __future__ import annotations

import asyncio
import gzip
import time
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic_core import to_json

from buildnet.node.api.entity_tag import tag_of

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

KEPT_S = 0.25
_PACKED_FROM_BYTES = 16 * 1024
_LEVEL = 1


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
        self._made: PoolText | None = None
        self._made_at = 0.0
        self._of: Hashable = None
        self._making = asyncio.Lock()

    async def now(self) -> PoolText:
        """Return the pool as it is now."""
        async with self._making:
            here = self._here()
            kept = self._made
            if kept is None or here != self._of or time.monotonic() - self._made_at >= KEPT_S:
                kept = self._made = await self._make()
                self._made_at, self._of = time.monotonic(), here
            return kept

    async def _make(self) -> PoolText:
        plain = to_json(await self._service.pool.status())
        packed = None
        if len(plain) >= _PACKED_FROM_BYTES:
            packed = await asyncio.to_thread(gzip.compress, plain, _LEVEL, mtime=0)
        return PoolText(plain, tag_of(plain), packed, tag_of(packed or b""))

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
