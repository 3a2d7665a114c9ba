"""Connections that stand only as long as whoever they concern belongs to the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from buildnet.mesh.link.connection import ConnectionClosed
from buildnet.mesh.link.links import NO_MEMBER

_POLICY_VIOLATION = 1008


@dataclass(slots=True, eq=False)
class _Live:
    members: tuple[bytes, ...]
    limit: asyncio.Timeout


class LiveConnections:
    """What goes on over bulk connections, and with whom."""

    def __init__(self) -> None:
        self._live: dict[_Live, None] = {}

    @asynccontextmanager
    async def with_members(
        self, is_member: Callable[[bytes], bool], *members: bytes
    ) -> AsyncIterator[None]:
        """Do something with ``members`` (keys) as long as they are members. The caller closes the
        connection.

        Raises:
            ConnectionClosed: one of them is none, or is none any more; what went on was cancelled.
        """
        if not all(map(is_member, members)):
            raise ConnectionClosed(_POLICY_VIOLATION, NO_MEMBER)
        limit = asyncio.timeout(None)
        try:
            async with limit:
                live = _Live(members, limit)
                self._live[live] = None
                try:
                    yield
                finally:
                    self._live.pop(live, None)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise ConnectionClosed(_POLICY_VIOLATION, NO_MEMBER) from error

    def end_strangers(self, is_member: Callable[[bytes], bool]) -> list[bytes]:
        """End at once what concerns whoever is no member any more; return whom, once for each."""
        ended = []
        for live in list(self._live):
            strangers = [key for key in live.members if not is_member(key)]
            if strangers:
                del self._live[live]
                live.limit.reschedule(asyncio.get_running_loop().time())
                ended.append(strangers[0])
        return ended
