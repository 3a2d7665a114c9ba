"""The ledger as it grows, entry by entry: a live tail that can be taken up again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager, suppress
from typing import Protocol

from buildnet.ledger.entry import Chain
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import StoredEntry, place_of
from buildnet.ledger.store.schema import PENDING
from buildnet.ledger.store.store import LedgerStore

Told = tuple[StoredEntry, Cursor]
"""An entry, and the cursor after it."""
_PAGE = 200
_LOOK_AGAIN_S = 30.0
_LOOK_BACK_S = 5.0
"""So long it is looked for the entries to begin with."""
_REST = 4.0
"""Looking again waits so many times as long as it took: what is not sealed is looked through each
time, and without a majority that may be much."""
_REST_AT_MOST_S = 5.0
"""Also where looking took long because the host stood still, or who reads is slow."""


class OpenLedger(Protocol):
    """The ledger of a cluster."""

    @property
    def store(self) -> LedgerStore:
        """Its file."""


class Ledger(Protocol):
    """A node's ledger; :class:`~buildnet.ledger.service.service.LedgerService` is one."""

    on_sealed: Callable[[Seal], None]
    on_appended: Callable[[], None]

    async def current(self) -> OpenLedger:
        """Return the one of the cluster that the node is in."""


class LedgerTail:
    """Tells every reader of each entry that is new on this node, or of each that is sealed."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._news: set[asyncio.Event] = set()
        ledger.on_sealed = lambda seal: self._tell()
        ledger.on_appended = self._tell

    def _tell(self) -> None:
        for news in self._news:
            news.set()

    @contextmanager
    def listening(self) -> Iterator[asyncio.Event]:
        """While the context is open, set what it gives whenever an entry or a seal is new here."""
        news = asyncio.Event()
        self._news.add(news)
        try:
            yield news
        finally:
            self._news.discard(news)

    async def follow(
        self,
        query: Query,
        *,
        cursor: Cursor | None,
        last: int,
        ended: asyncio.Event,
        on_begun: Callable[[], None] = lambda: None,
    ) -> AsyncIterator[Told]:
        """Iterate over the entries that fit, each once, as soon as it is on this node's disk; with
        ``query.sealed`` once it is sealed, in sealed order. Each comes with the cursor after it.

        Begins with what was sealed after ``cursor`` and what is not sealed; without one, with the
        ``last`` ones that are there. So who goes on from a cursor misses nothing, and may be told
        again what was not sealed. Ends with ``ended``.

        Raises:
            LedgerError: the ledger can't be read.
        """
        parts = self.parts(query, cursor=cursor, last=last, ended=ended, on_begun=on_begun)
        async with aclosing(parts):
            async for part in parts:
                for told in part:
                    yield told

    async def parts(
        self,
        query: Query,
        *,
        cursor: Cursor | None,
        last: int,
        ended: asyncio.Event,
        on_begun: Callable[[], None] = lambda: None,
        rest_s: float = 0.0,
    ) -> AsyncGenerator[list[Told]]:
        """Iterate over what :meth:`follow` does, as many at once as are read at once; an empty part
        says that by now all was told that is there. Looks again after ``rest_s`` at the least."""
        looked_at: LedgerStore | None = None
        told: dict[Chain, int] = {}  # entries of a chain come in their order
        with self.listening() as news:
            while not ended.is_set():
                news.clear()
                began = time.monotonic()
                store = (await self._ledger.current()).store
                if cursor is None or looked_at not in (None, store):  # of another cluster now
                    place, heads = await store.read(_now)
                    cursor, told = Cursor(place), {} if query.sealed else heads
                    if before := await _before(store, query, cursor, told, last):
                        yield [(stored, cursor) for stored in before]
                looked_at = store
                on_begun()
                at: Cursor | None = cursor
                while at is not None:
                    page = await store.query(query, cursor=at, limit=_PAGE)
                    part: list[Told] = []
                    for stored in page.entries:
                        chain, sequence = stored.entry.chain, stored.entry.body.sequence
                        if stored.sealed and at.at is None:
                            cursor = _after(stored)
                        if sequence > told.get(chain, 0):
                            told[chain] = sequence
                            part.append((stored, cursor))
                    if part:
                        yield part
                    if at.at is None:  # all that is sealed was told up to here
                        cursor = page.sealed_to if page.next is None else Cursor(page.next.place)
                    at = page.next
                yield []
                took_s = min(_REST * (time.monotonic() - began), _REST_AT_MOST_S)
                await _either(news, ended)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(rest_s, took_s)):
                        await ended.wait()


def _now(reader: Reader) -> tuple[int, dict[Chain, int]]:
    """Return the place after all that is sealed, and how far each chain reaches."""
    seal = reader.last_seal()
    place = -1 if seal is None else place_of(seal.height + 1, 0) - 1
    return place, {chain: head.sequence for chain, (head, _) in reader.heads().items()}


async def _before(
    store: LedgerStore, query: Query, now: Cursor, reach: Mapping[Chain, int], count: int
) -> list[StoredEntry]:
    """Return the last entries that fit, of what was there at ``now``; fewer, if a filter that
    hardly anything fits has to be looked for too far back."""
    if count == 0:
        return []
    found: list[StoredEntry] = []
    until = time.monotonic() + _LOOK_BACK_S
    at: Cursor | None = None
    while True:
        page = await store.query(query, cursor=at, limit=count - len(found), backwards=True)
        found += [
            one
            for one in page.entries
            if (_after(one).place <= now.place)
            or one.entry.body.sequence <= reach.get(one.entry.chain, 0)
        ]
        at = page.next
        if at is None or len(found) >= count or time.monotonic() >= until:
            return found[::-1]


def _after(stored: StoredEntry) -> Cursor:
    if stored.height is None or stored.index is None:
        return Cursor(PENDING)
    return Cursor(place_of(stored.height, stored.index))


async def _either(one: asyncio.Event, other: asyncio.Event) -> None:
    """Wait until one of the two is set, or it is time to look again anyway."""
    async with asyncio.TaskGroup() as group:
        tasks = {group.create_task(event.wait()) for event in (one, other)}
        await asyncio.wait(tasks, timeout=_LOOK_AGAIN_S, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
