"""What is sealed from now on, entry by entry: a live tail that can be taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.seal import Seal
from buildnet.ledger.service.service import LedgerService
from buildnet.ledger.store.rows import StoredEntry, place_of

_PAGE = 200
_LOOK_AGAIN_S = 30.0


class LedgerTail:
    """Tells every reader of each entry once it is sealed, in sealed order."""

    def __init__(self, ledger: LedgerService) -> None:
        self._ledger = ledger
        self._news: set[asyncio.Event] = set()
        ledger.on_sealed = self._sealed

    def _sealed(self, seal: Seal) -> None:
        for news in self._news:
            news.set()

    async def follow(
        self, query: Query, *, cursor: Cursor | None, last: int, ended: asyncio.Event
    ) -> AsyncIterator[tuple[StoredEntry, Cursor]]:
        """Iterate over the sealed entries that fit, each with the cursor after it: from ``cursor``
        on; without one, the ``last`` ones that are there and all that come. Ends with ``ended``.

        Raises:
            LedgerError: the ledger can't be read.
        """
        wanted = replace(query, sealed=True)
        news = asyncio.Event()
        self._news.add(news)
        try:
            if cursor is None:
                cursor = await self._now()
                for stored in await self._before(wanted, cursor, last):
                    yield stored, _after(stored)
            while not ended.is_set():
                news.clear()
                store = (await self._ledger.current()).store
                page = await store.query(wanted, cursor=cursor, limit=_PAGE)
                for stored in page.entries:
                    yield stored, _after(stored)
                cursor = page.next or page.sealed_to
                if page.next is None:
                    await _either(news, ended)
        finally:
            self._news.discard(news)

    async def _now(self) -> Cursor:
        """Return the cursor after all that is sealed."""
        store = (await self._ledger.current()).store
        seal = await store.read(lambda reader: reader.last_seal())
        return Cursor() if seal is None else Cursor(place_of(seal.height + 1, 0) - 1)

    async def _before(self, query: Query, cursor: Cursor, count: int) -> list[StoredEntry]:
        if count == 0:
            return []
        store = (await self._ledger.current()).store
        page = await store.query(query, limit=count, backwards=True)
        found = [one for one in page.entries if _after(one).place <= cursor.place]
        return found[::-1]


def _after(stored: StoredEntry) -> Cursor:
    return Cursor(place_of(stored.height or 0, stored.index or 0))


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Wait until one of the two is set, or it is time to look again anyway."""
    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(event.wait()) for event in (one, other)}
        await asyncio.wait(tasks, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
