"""What this node keeps for others: takes a request in whole, and holds what belongs to it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.durable.guard import Blobs, put_again
from buildnet.node.durable.shelf import NOTHING_SAID, Said, Shelf, Shelved
from buildnet.node.durable.stored_plan import MAX_BYTES, StoredPlan, Trees
from buildnet.node.execute.isolation import STRICT
from buildnet.node.execute.levels import Levels
from buildnet.node.offered_results import Wanted
from buildnet.node.platform import platform_properties
from buildnet.node.pool_results import PoolResults
from buildnet.node.store import Hold, Store
from buildnet.node.toolchain import Toolchain
from buildnet.pool.durable import Phase
from buildnet.pool.messages.durable import Finished, KeepAsk
from buildnet.pool.warrant import Warrant
from buildnet.pool.workspace import Task, TaskId

MAX_KEPT = 64
"""Requests that one node keeps for all others together."""
MAX_SOURCES_BYTES = 4 * 1024**3
"""Of the files of one request."""
MAX_FILES = 1_000_000
AT_ONCE = 4
"""Requests that are fetched at once."""
_ATTEMPTS = 5
"""So often a result that was told is asked for."""
_log = logging.getLogger("buildnet.pool")


class NotKeptError(BuildNetError):
    """This node can't keep a request of another one."""

    code = "NOT_KEPT"
    exit_code = 5


@dataclass(slots=True)
class Kept:
    """A request that is kept here, and what holds its sources in the store, ``size_bytes`` of them;
    the rest lies on the shelf. ``warrant``, ``report``, ``since``, ``said``: as of
    :class:`~buildnet.node.durable.shelf.Shelved`."""

    plan: StoredPlan
    hold: Hold
    size_bytes: int
    warrant: Warrant
    report: bytes | None = None
    since: float = 0.0
    said: Said = NOTHING_SAID
    wanted: dict[Digest, tuple[Task, int]] = field(default_factory=dict)
    """Results that are to be here too, and how often they were asked for."""
    using: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Had by whoever works with the hold: it is closed only when nobody does."""

    async def close(self) -> None:
        """Hold nothing any more."""
        async with self.using:
            self.hold.close()


@dataclass(frozen=True, slots=True)
class Parcel:
    """A request that was fetched, with the bytes of its two blobs."""

    kept: Kept
    plan: bytes
    sources: bytes


@dataclass(slots=True)
class Keeping:
    """See the module's text. Nothing that is kept here is collected before :meth:`forget`;
    ``most_bytes``: of the sources of all requests together, so that the store has room for more."""

    store: Store
    shelf: Shelf
    results: PoolResults
    toolchain: Toolchain
    levels: Levels
    most_bytes: int
    requests: dict[str, Kept] = field(default_factory=dict)
    _taking_in: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def restore(self) -> list[Shelved]:
        """Hold again what was kept when the node stopped; return what that is. Blocks."""
        found = []
        for build in self.shelf.builds():
            hold = self.store.hold()
            try:
                shelved = self.shelf.get(build)
                plan = StoredPlan.decode(shelved.plan)
                files = _files_in(shelved.sources)
                hold.add(files)
            except BuildNetError as error:
                _log.warning("a request that was kept can't be read: %s", error.message)
                hold.close()
                continue
            size_bytes, warrant = size_of(files), shelved.warrant
            kept = Kept(plan, hold, size_bytes, warrant, shelved.report, shelved.since)
            kept.said = shelved.said
            self.requests[build] = kept
            if shelved.report is not None:
                self._hold_results(hold, shelved.report)
            found.append(shelved)
        return found

    async def take_in(self, driver: bytes, ask: KeepAsk) -> Parcel:
        """Fetch a request with all its sources.

        Raises:
            BuildNetError: it can't be had, or be performed here.
        """
        async with self._taking_in:
            return await self._take_in(driver, ask)

    async def _take_in(self, driver: bytes, ask: KeepAsk) -> Parcel:
        if len(self.requests) >= MAX_KEPT and ask.build not in self.requests:
            raise NotKeptError(f"it keeps {MAX_KEPT} requests already")
        blobs = (ask.plan.digest, ask.sources.digest)
        if any(blob.size_bytes > MAX_BYTES for blob in blobs):
            raise NotKeptError("the request is too large")
        hold = self.store.hold()
        try:
            await self._fetch(blobs, driver, hold)
            encoded, sources = [await asyncio.to_thread(hold.get, blob) for blob in blobs]
            plan = await asyncio.to_thread(StoredPlan.decode, encoded)
            if plan.build_id != ask.build or plan.driver != node_id_of(ask.warrant.origin):
                raise NotKeptError("the plan is of another build")
            await asyncio.to_thread(self._require_fit, plan)
            files = await asyncio.to_thread(_files_in, sources)  # which may be a million
            size_bytes = size_of(files)
            room_bytes = self.most_bytes - sum(each.size_bytes for each in self.requests.values())
            if len(files) > MAX_FILES or size_bytes > min(room_bytes, MAX_SOURCES_BYTES):
                raise NotKeptError(f"its sources are too large: {size_bytes:,} bytes")
            await self._fetch(files, driver, hold)
            lacking = await asyncio.to_thread(hold.missing, files)
            if lacking:
                raise NotKeptError(f"{len(lacking)} of its sources could not be fetched")
        except BaseException:
            hold.close()
            raise
        kept = Kept(plan, hold, size_bytes, ask.warrant, since=time.time())
        return Parcel(kept, encoded, sources)

    async def put(self, build: str, driver: bytes, attempt: int, parcel: Parcel) -> None:
        """Keep a request that was taken in.

        Raises:
            ShelfError: it can't be written.
        """
        kept, former = parcel.kept, self.requests.get(build)
        if former is not None:
            kept.said = former.said
        shelved = Shelved(
            build,
            driver,
            attempt,
            Phase.KEPT,
            kept.since,
            parcel.plan,
            parcel.sources,
            kept.warrant,
            said=kept.said,
        )
        await self.shelf.put(shelved)
        self.requests[build] = kept
        if former is not None:
            await former.close()

    async def unpack(self, build: str, request: Kept) -> tuple[Trees, Blobs] | None:
        """Return the sources of a request, and its two blobs, which are in the store again; None:
        it is forgotten.

        Raises:
            BuildNetError: they can't be read.
        """
        async with request.using:
            if request.hold.closed:
                return None
            shelved = await asyncio.to_thread(self.shelf.get, build)
            trees = await asyncio.to_thread(Trees.decode, shelved.sources)
            plan, sources = shelved.plan, shelved.sources
            return trees, await asyncio.to_thread(put_again, request.hold, plan, sources)

    async def report_of(self, build: str) -> Digest | None:
        """Return how this node brought a build to its end, as a blob; None: it has not."""
        request = self.requests.get(build)
        if request is None or request.report is None:
            return None
        async with request.using:
            if request.hold.closed:
                return None
            return await asyncio.to_thread(request.hold.put, request.report)

    async def forget(self, build: str) -> None:
        """Keep a request, and what was made of it, no more."""
        request = self.requests.pop(build, None)
        if request is not None:
            await request.close()
            await self.shelf.remove(build)

    def close(self) -> None:
        """Let go of everything; the node stops. Blocks."""
        for request in self.requests.values():
            request.hold.close()

    async def ended(self, build: str, report: bytes) -> None:
        """Note how this node brought a build to its end; its results stay held."""
        request = self.requests.get(build)
        if request is not None:
            request.report, request.since = report, time.time()
            await self.shelf.set_ended(build, report, request.since)

    def want(self, build: str, finished: Sequence[Finished]) -> None:
        """Take note that tasks of a build have results elsewhere, which are to be here too."""
        request = self.requests.get(build)
        if request is None:
            return
        tasks = {task.id: task for task in request.plan.tasks}
        for each in finished:
            task = tasks.get(TaskId(each.package, each.task))
            if task is not None and len(request.wanted) < len(tasks):
                request.wanted[each.action.digest] = (task, 0)

    @property
    def wants(self) -> bool:
        """Whether there are results that are to be here too."""
        return any(request.wanted for request in self.requests.values())

    async def fetch_wanted(self) -> None:
        """Take in the results that were told of, as far as they can be had."""
        for request in list(self.requests.values()):
            if not request.wanted:
                continue
            wanted, request.wanted = request.wanted, {}
            try:
                async with request.using:
                    if not request.hold.closed:
                        await self._take_results(request, wanted)
            except BuildNetError as error:
                _log.info("results could not be fetched: %s", error.message)
            finally:
                request.wanted |= {
                    action: (task, count + 1)
                    for action, (task, count) in wanted.items()
                    if count + 1 < _ATTEMPTS
                }

    async def _take_results(self, request: Kept, wanted: dict[Digest, tuple[Task, int]]) -> None:
        """Take in results; those that are here then are no more ``wanted``."""
        hold = request.hold

        def look() -> set[Digest]:
            accepted = frozenset({STRICT})
            return {one for one in wanted if hold.get_action(one, accepted) is not None}

        for action in await asyncio.to_thread(look):
            del wanted[action]
        offers = await self.results.find(tuple(wanted))
        asked = [
            Wanted(offer, wanted[action][0].path, wanted[action][0].outputs)
            for action, offer in offers.items()
        ]
        for action in await self.results.take_in(asked, hold):
            del wanted[action]

    def _hold_results(self, hold: Hold, report: bytes) -> None:
        """Hold what a build made until it is forgotten. Blocks."""
        for each in json.loads(report)["packages"]:
            if each["action"] is not None:  # its size is not needed to find it
                hold.get_action(Digest(each["action"], 0), frozenset({STRICT}))

    def _require_fit(self, plan: StoredPlan) -> None:
        """See that the plan's commands have the same keys and results here. Blocks.

        Raises:
            NotKeptError: they have not.
        """
        if plan.isolation != STRICT or self.levels.strict() is None:
            raise NotKeptError("its host has no strict isolation")
        for name, value in plan.platform.items():
            if platform_properties().get(name) != value:
                raise NotKeptError(f"its host has another {name}")
        for name, identity in plan.tools.items():
            if self.toolchain.tool(name).identity != identity:
                raise NotKeptError(f"its host has another {name}")
        for word, known in plan.words.items():
            program = self.toolchain.program(word)
            if (program.identity if program else None) != known:
                raise NotKeptError(f"its host has another {word}")

    async def _fetch(self, blobs: Iterable[Digest], peer: bytes, hold: Hold) -> None:
        wanted = tuple(dict.fromkeys(blobs))
        await asyncio.to_thread(hold.add, wanted)
        lacking = await asyncio.to_thread(hold.missing, wanted)
        if lacking:
            await self.results.fetch_all(lacking, peer)


def _files_in(sources: bytes) -> set[Digest]:
    """Return the files that sources consist of. Blocks.

    Raises:
        PlanError: they are none.
    """
    return {digest for _, digest in Trees.decode(sources).files()}


def size_of(files: Iterable[Digest]) -> int:
    """Return how many bytes these files have together."""
    return sum(digest.size_bytes for digest in files)
