"""The ledger's file as the rest of the program sees it.

One thread owns the writing connection: what waits for it is one transaction, fsynced once. Another
thread owns a connection that reads, so a query never delays an append. Whole batches of statements
run in one call of a thread; statement by statement, as with aiosqlite, the calls alone would take
more time than a batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Contradiction, Damaged, Keep
from buildnet.ledger.facts import Fact
from buildnet.ledger.query import Cursor, Page, Query, check_limit
from buildnet.ledger.restored import Restored
from buildnet.ledger.seal import Seal
from buildnet.ledger.store import drafts, pruning, sealing
from buildnet.ledger.store.backup import Backup, Step, back_up
from buildnet.ledger.store.batches import Outcome, Work, run_together
from buildnet.ledger.store.database import connect, prepare
from buildnet.ledger.store.ends import ends_of
from buildnet.ledger.store.entity_state import EntityState, state_of
from buildnet.ledger.store.errors import LedgerError, errors_of
from buildnet.ledger.store.fact_reading import FactRecord, read_fact, read_records
from buildnet.ledger.store.fence import Fence, Start
from buildnet.ledger.store.reader import Reader, require_height
from buildnet.ledger.store.rekeying import rekey_if_needed
from buildnet.ledger.store.repairing import repair
from buildnet.ledger.store.rows import StoredEntry
from buildnet.ledger.store.selecting import Selection
from buildnet.ledger.store.upgrading import upgrade
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.verifying import Progress, Report, Trust, Verification
from buildnet.ledger.store.writer import Append, MakeBody, StateChange, Writer
from buildnet.ledger.voters import VoterHistory

T = TypeVar("T")
MAX_BATCH = 1024
"""Steps in one transaction."""
_PAGE_BYTES = 4096
Told = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Step:
    work: Work
    told: Told


class LedgerStore:
    """Use :meth:`open`; close it at the end. To be used from one event loop."""

    def __init__(
        self,
        path: Path,
        writer: Writer,
        reader: Reader,
        start: Start,
        sign: Callable[[bytes], bytes],
    ) -> None:
        self.path = path
        self.start = start
        """What the file is, compared with what this node had when it ran last."""
        self.trouble: LedgerError | None = None
        """Why the last write failed; None: it did not. Every write is tried, so it goes away by
        itself once there is room again."""
        self._writer = writer
        self._reader = reader
        self._sign = sign
        self._loop = asyncio.get_running_loop()
        self._writing = ThreadPoolExecutor(1, "ledger-writer")
        self._reading = ThreadPoolExecutor(1, "ledger-reader")
        self._waiting: deque[_Step] = deque()
        self._idle = asyncio.Event()
        self._idle.set()
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        cluster: bytes,
        sign: Callable[[bytes], bytes],
        vault: Vault | None = None,
        former: Sequence[Vault] = (),
        on_damaged: Callable[[Damaged], None] = lambda _: None,
        keys_before: Callable[[bytes], Iterable[bytes]] = lambda _: (),
        page_bytes: int = _PAGE_BYTES,
    ) -> LedgerStore:
        """Open or create the ledger of ``cluster`` (its id) at ``path``.

        ``sign``: this node's key, called in the writing thread. ``on_damaged`` is told in the
        loop's thread what has to be fetched again. ``keys_before``: the keys that the member
        list rotated to a key, called in the store's threads. A file that one of ``former`` wrote
        is written anew with ``vault`` first.

        Raises:
            LedgerError: the file is damaged, of a newer version, of another cluster or key, or
                can't be read or written; it is left as it is.
        """
        loop = asyncio.get_running_loop()
        lock = vault or Vault()

        def report(damage: Damaged) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(on_damaged, damage)

        def start() -> tuple[Writer, Reader, Start]:
            rekey_if_needed(path, lock, former, keys_before)
            connection = prepare(path, cluster, lock, page_bytes=page_bytes)
            try:
                with errors_of(path):
                    writer = Writer(connection, path, cluster, lock, keys_before)
                    sealing.begin(writer)
                    upgrade(writer)
                    begun = Fence(path).begin(connection)
                reading = connect(path, read_only=True)
            except BaseException:
                connection.close()
                raise
            return writer, Reader(reading, path, lock, report, keys_before), begun

        return cls(path, *await asyncio.to_thread(start), sign)

    async def close(self) -> None:
        """Wait for what waits to be written, and close the file."""
        self._closed = True
        await self._idle.wait()
        await self._loop.run_in_executor(self._reading, self._reader.connection.close)
        await self._loop.run_in_executor(self._writing, self._end)
        self._writing.shutdown()
        self._reading.shutdown()

    def _end(self) -> None:
        with contextlib.suppress(LedgerError, OSError), errors_of(self.path):
            Fence(self.path).end(self._writer.connection)
        self._writer.connection.close()

    # --- writing -------------------------------------------------------------------------------

    async def write(self, work: Callable[[Writer], T]) -> T:
        """Run ``work`` in the writing thread, in a transaction with whatever else waits; on disk
        when this returns. If it raises, nothing of it was written.

        Raises:
            LedgerError: nothing of it was written; :attr:`trouble` tells it, too.
        """
        waiting: asyncio.Future[T] = self._loop.create_future()
        self._put(_Step(work, lambda outcome: outcome.tell(waiting)))
        return await waiting

    async def append(
        self, bodies: Sequence[MakeBody], *, hlc: int, change: StateChange | None = None
    ) -> tuple[Entry, ...]:
        """Append own entries to the chain that :meth:`use` named, atomically with ``change``;
        return them once they are on disk. ``hlc``: a new timestamp of this node's clock.

        A body whose request was recorded before gives the entry that it was recorded as; where
        all were, ``change`` is not made.

        Raises:
            LedgerError: nothing was appended.
        """
        waiting: asyncio.Future[tuple[Entry, ...]] = self._loop.create_future()
        self.put(Append(tuple(bodies), hlc, change), lambda outcome: outcome.tell(waiting))
        return await waiting

    def put(self, append: Append, told: Told) -> None:
        """As :meth:`append`, but returns at once: ``told`` is called in the loop's thread with the
        entries once they are on disk, whoever went away meanwhile.

        Raises:
            LedgerError: the store is closed.
        """
        self._put(_Step(append, told))

    async def use(self, chain: Chain) -> None:
        """Append to ``chain`` from now on."""

        def name(writer: Writer) -> None:
            writer.own = chain
            writer.forget()

        await self.write(name)

    async def keep(self, *what: Keep) -> None:
        """Write all that a core wants kept, all or nothing; in the order of the calls, on disk on
        return."""

        await self.write(lambda writer: sealing.keep(writer, *what))

    async def rewind(self, height: int, voters: VoterHistory | None = None) -> Restored:
        """Set final seals from ``height`` on aside, and those below whose voters are none of
        ``voters``; return what a start would find now."""
        await self.write(lambda writer: sealing.rewind(writer, height, voters))
        return await self.restored()

    async def rebuild(self) -> int:
        """Build the derived tables again; return how many entries were read."""
        return await self.write(sealing.rebuild)

    async def verify(
        self,
        trust: Trust,
        *,
        progress: Callable[[Progress], None] = lambda _: None,
        go_on: threading.Event | None = None,
    ) -> Report:
        """Check everything in a thread, on one state of the file; what is damaged is told to
        ``on_damaged``, too.

        ``progress`` is called in that thread after each slice; while ``go_on`` is not set, the
        check waits there (the write-ahead log grows meanwhile). To cancel ends it after the slice.
        """
        check = Verification(self.path, self._writer.cluster, self._writer.vault, trust)
        ended = threading.Event()

        def run() -> Report:
            with errors_of(self.path):
                for at in check.steps():
                    progress(at)
                    while go_on is not None and not go_on.wait(0.2) and not ended.is_set():
                        pass
                    if ended.is_set():
                        break
            return check.report

        try:
            report = await asyncio.to_thread(run)
        finally:
            ended.set()
        for damage in report.damaged:
            self._reader.report(damage)
        return report

    async def repair(self, trust: Trust, seals: Sequence[Seal] = ()) -> None:
        """Put right what this file alone can tell; see :mod:`buildnet.ledger.store.repairing`.
        ``seals``: of a peer, where a check found some damaged."""
        await self.write(lambda writer: repair(writer, trust.verify, seals))

    async def prune(self, height: int) -> int:
        """Forget what entries under the seals up to ``height`` say; see
        :mod:`buildnet.ledger.store.pruning`. Return how many were forgotten. Appends go on between
        its steps, and wait while the derived tables are built again at the end.

        Raises:
            LedgerError: there is no such seal, or an entry is damaged: repair it first.
        """
        forgotten, at = 0, await self.read(pruning.pruned_to)
        while at < height:
            step = await self.write(lambda writer: pruning.prune_some(writer, height))
            forgotten, at = forgotten + step.forgotten, step.height
        await self.write(sealing.catch_up)
        return forgotten

    async def foresee(self, height: int) -> int:
        """Return how many entries :meth:`prune` would forget; others read between its steps.

        Raises:
            LedgerError: one of those up to there is damaged.
        """
        forgotten, after = 0, -1
        while True:
            look = partial(pruning.foresee_some, height=height, after=after)
            following, more = await self.read(look)
            forgotten += more
            if following is None:
                return forgotten
            after = following

    async def back_up(
        self, destination: Path, trust: Trust, *, tell: Callable[[Step], None] = lambda _: None
    ) -> Backup:
        """Write a consistent copy to ``destination`` while the store is in use, and check it; see
        :mod:`buildnet.ledger.store.backup`. ``tell`` is called in another thread. Who cancels it
        leaves nothing there."""
        ended = threading.Event()
        vault = self._writer.vault
        try:
            return await asyncio.to_thread(
                back_up, self.path, destination, vault, trust, tell=tell, ended=ended
            )
        finally:
            ended.set()

    async def keep_draft(self, request: bytes, kept_ms: int, body: bytes) -> None:
        """Keep a change that waits for a quorum."""
        await self.write(lambda writer: drafts.put(writer, request, kept_ms, body))

    async def drop_draft(self, request: bytes) -> bool:
        """Forget a draft; tell whether there was one."""
        return await self.write(lambda writer: drafts.drop(writer, request))

    def _put(self, step: _Step) -> None:
        if self._closed:
            raise LedgerError("the ledger is closed", hint="the node stops")
        self._waiting.append(step)
        if self._idle.is_set():
            self._idle.clear()
            self._loop.call_soon(self._begin)  # one transaction for all who were woken together

    def _begin(self) -> None:
        steps = [self._waiting.popleft() for _ in range(min(MAX_BATCH, len(self._waiting)))]
        running = self._loop.run_in_executor(
            self._writing, run_together, self._writer, [step.work for step in steps], self._sign
        )
        running.add_done_callback(lambda future: self._ended(steps, future))

    def _ended(self, steps: list[_Step], future: asyncio.Future[list[Outcome]]) -> None:
        error = future.exception()
        if error is not None:
            self.trouble = error if isinstance(error, LedgerError) else self.trouble
            outcomes = [Outcome(error=error)] * len(steps)
        else:
            self.trouble = None
            outcomes = future.result()
        for step, outcome in zip(steps, outcomes, strict=True):
            step.told(outcome)
        if self._waiting:
            self._loop.call_soon(self._begin)
        else:
            self._idle.set()

    # --- reading -------------------------------------------------------------------------------

    async def read(self, work: Callable[[Reader], T]) -> T:
        """Run ``work`` in the reading thread, on one state of the file.

        Raises:
            LedgerError: the file can't be read.
        """

        def run() -> T:
            with self._reader.snapshot():
                return work(self._reader)

        return await self._loop.run_in_executor(self._reading, run)

    async def restored(self) -> Restored:
        """Return what a core needs at its start.

        Raises:
            LedgerError: some of it is damaged.
        """

        def work(reader: Reader) -> Restored:
            promise, ends = sealing.read_promise(reader), ends_of(reader)
            return Restored(
                heads=ends.heads,
                sealed=ends.sealed,
                unsealed=ends.unsealed,
                unsure=ends.unsure,
                stubs=pruning.stubs(reader),
                sealed_notices=tuple(reader.notices(sealed=True)),
                unsealed_notices=tuple(reader.notices(sealed=False)),
                last=reader.last_seal(),
                history=sealing.read_history(reader),
                promise=0 if promise is None else promise.term,
                accepted=sealing.read_accepted(reader),
                quarantines=tuple(sealing.read_quarantines(reader)),
                abstains=sealing.read_abstains(reader),
            )

        return await self.read(work)

    async def compare(self, other: Entry) -> Contradiction | None:
        """Return what is held at an entry's place, if it is another one."""
        held = await self.read(lambda reader: reader.at(other.chain, other.body.sequence))
        if held is None or held.entry.hash == other.hash:
            return None
        return Contradiction(held.entry, other)

    async def entry(self, prefix: str) -> StoredEntry:
        """Return an entry by its id or the beginning of it; see :meth:`Reader.entry`."""
        return await self.read(lambda reader: reader.entry(prefix))

    async def range(
        self, chain: Chain, first: int, last: int, *, max_count: int = 512, max_bytes: int = 1 << 20
    ) -> list[Entry]:
        """Return a chain's entries without a gap; see :meth:`Reader.range`."""
        return await self.read(
            lambda reader: reader.range(
                chain, first, last, max_count=max_count, max_bytes=max_bytes
            )
        )

    async def seals(
        self, height: int, *, max_count: int = 64, max_bytes: int = 1 << 20
    ) -> list[Seal]:
        """Return final seals from ``height`` on without a gap; see :meth:`Reader.seals`."""
        return await self.read(
            lambda reader: reader.seals(height, max_count=max_count, max_bytes=max_bytes)
        )

    async def query(
        self,
        query: Query,
        *,
        cursor: Cursor | None = None,
        limit: int = 100,
        backwards: bool = False,
    ) -> Page:
        """Return a page of the entries that fit; see :class:`~buildnet.ledger.query.Page`."""
        check_limit(limit)

        def work(reader: Reader) -> Page:
            selection = Selection(reader, query)
            page = selection.backwards if backwards else selection.forwards
            return page(cursor or Cursor(), limit)

        return await self.read(work)

    async def find(self, query: Query, *, backwards: bool = False) -> AsyncIterator[StoredEntry]:
        """Iterate over all entries that fit, page by page: one page looks at so many rows only, and
        may hold none of them."""
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            page = await self.query(query, cursor=cursor, backwards=backwards)
            for stored in page.entries:
                yield stored
            cursor = page.next

    async def state(
        self, entity: str, *, height: int | None = None, at_ms: int | None = None
    ) -> EntityState:
        """Return what an entity was at a height, or at a time (milliseconds since 1970 UTC: at the
        last seal by then); without both, now.

        Raises:
            LedgerError: that height is not here, or an entry about it is damaged.
        """

        def work(reader: Reader) -> EntityState:
            last = reader.last_seal()
            found = 0 if last is None else last.height
            if height is not None:
                require_height(last, height)
                found = height
            elif at_ms is not None:
                found = reader.height_at(((at_ms + 1) << 16) - 1)
            return state_of(reader, entity, found)

        return await self.read(work)

    async def table(
        self, name: str, *, after: tuple[str, ...] | None = None, limit: int = 1000
    ) -> list[dict[str, object]]:
        """Return rows of a derived table; see :meth:`Reader.table`."""
        return await self.read(lambda reader: reader.table(name, after=after, limit=limit))

    async def fact(self, entity: str) -> Fact | None:
        """Return a shared fact in its last sealed version; None: there never was one."""
        return await self.read(lambda reader: read_fact(reader, entity))

    async def facts(self, kind: str, name: str | None = None) -> list[FactRecord]:
        """Return the shared facts of a kind that are there, by name; or the one of that name."""
        return await self.read(lambda reader: read_records(reader, kind, name))

    async def drafts(self) -> list[drafts.KeptDraft]:
        """Return the changes that wait for a quorum, the oldest first."""
        return await self.read(drafts.read_all)
