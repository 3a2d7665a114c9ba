"""The builds of all nodes as one list: those of this node by its record, and those of the others by
what the ledger tells of them."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from buildnet.ledger.history import ELSEWHERE, ENDED_ELSEWHERE, BuildSummary
from buildnet.ledger.history_cursor import cursor_of
from buildnet.ledger.history_filter import Wanted
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.told_builds import ToldBuild, ToldBuilds
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.events import Status
from buildnet.mesh.identity import node_id_of
from buildnet.node.ledger_names import find_node, known_nodes
from buildnet.node.ledger_tail import Told

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

_BUILDS = Query(types=("build.*",))
_HERE = (Status.ALIVE, Status.SUSPECT)
_LOST = (ELSEWHERE, ENDED_ELSEWHERE)
_REST_S = 0.5
"""So long at the least until the ledger is looked at again."""
_AGAIN_S = 30.0
_log = logging.getLogger("buildnet.builds")


@dataclass(frozen=True, slots=True)
class PoolBuild:
    """A build of the list, and the node that drives it, or drove it last. ``build``: as it is in
    this node's record, or as the ledger tells of it."""

    build: BuildSummary | ToldBuild
    node_id: str
    node: str

    @property
    def place(self) -> tuple[float, str]:
        """What the list goes by, downwards."""
        return self.build.started_at, self.build.id


@dataclass(frozen=True, slots=True)
class PoolPage:
    """A part of the list. ``next``: the cursor of the following one, None: this is the last;
    ``counts``: how many of each status there are in all; ``complete``: all that this node's ledger
    tells is in it."""

    builds: tuple[PoolBuild, ...]
    next: str | None
    counts: dict[str, int]
    complete: bool


class PoolBuilds:
    """Those of the cluster that ``service`` is in. Follows the ledger within :meth:`running`."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._told = ToldBuilds(service.home.told_builds)
        self._cluster: bytes | None = None
        self._complete = False

    @property
    def version(self) -> object:
        """Another one once the ledger tells more of builds, or nodes that drove some went or came:
        equal as long as the list is the same."""
        return self._told.version, self._here()

    # --- what the ledger tells -----------------------------------------------------------------

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Follow the ledger while the context is open."""
        try:
            async with asyncio.TaskGroup() as group:
                following = group.create_task(self._run())
                try:
                    yield
                finally:
                    following.cancel()
        finally:
            await asyncio.to_thread(self._told.close)

    async def _run(self) -> None:
        while True:
            try:
                await asyncio.to_thread(self._told.open)
                while True:
                    await self._follow()
            except (BuildNetError, sqlite3.Error, OSError) as error:
                _log.warning("the builds of other nodes can't be listed as they are now: %s", error)
                await asyncio.to_thread(self._told.close)
                await asyncio.sleep(_AGAIN_S)

    async def _follow(self) -> None:
        """Take in what the ledger of this cluster tells; returns in another cluster."""
        self._complete = False
        cluster = (await self._service.ledger.current()).cluster.local.members.cluster_id
        at = await asyncio.to_thread(self._told.begin, cluster)
        self._cluster = cluster
        parts = self._service.tail.parts(
            _BUILDS,
            cursor=Cursor() if at is None else Cursor.parse(at),
            last=0,
            ended=asyncio.Event(),  # never
            rest_s=_REST_S,
        )
        async with aclosing(parts):
            async for part in parts:
                if self._service.mesh.cluster.local.members.cluster_id != cluster:
                    return
                if part:
                    await self._take(part)
                else:
                    self._complete = True

    async def _take(self, part: list[Told]) -> None:
        entries = [stored.entry for stored, _ in part]
        _, cursor = part[-1]
        members, own = self._service.mesh.cluster.local.members, self._service.mesh.key
        names = {one.body.entity.partition(":")[2] for one in entries}
        recorded = await self._service.history.known(names)
        await asyncio.to_thread(
            self._told.take,
            entries,
            str(cursor),
            is_own=lambda key: members.current(key) == own,
            is_proven=self._service.others.proves,
            recorded=recorded,
        )

    # --- what is asked -------------------------------------------------------------------------

    async def drove(self, name: str) -> tuple[str, tuple[bytes, ...]] | None:
        """Return a build of other nodes that is or begins so, and the keys of those who drove it,
        the first one first: also where the ledger has forgotten what its entries said."""
        return await asyncio.to_thread(self._told.drove, name) if self._is_of_this_cluster else None

    async def page(
        self,
        *,
        limit: int,
        before: str | None,
        wanted: Wanted,
        node: str | None = None,
        nodes: Collection[str] | None = None,
    ) -> PoolPage:
        """Return up to ``limit`` builds after the cursor ``before``, newest first. ``node``: only
        those of this one, by its name or the beginning of its id; ``nodes``: besides this node's
        only those of nodes with one of these ids.

        Raises:
            UsageError: ``before`` is no cursor, or several nodes are meant.
            NotFoundError: no node is called so.
        """
        history, own = self._service.history, self._service.mesh.key
        numbers = await asyncio.to_thread(self._told.drivers) if self._is_of_this_cluster else {}
        key = None if node is None else self._key(node, numbers)
        mine = wanted if key is None else replace(wanted, went_to=self._went_to(key, own))
        page, more = await history.page(limit=limit, before=before, wanted=mine)
        found, following = self._named(page), more is not None
        counts = Counter(await history.counts(mine))
        drivers = {
            number: driver
            for driver, number in numbers.items()
            if key in (None, self._current(driver))
            and (nodes is None or node_id_of(self._current(driver)) in nodes)
        }
        if drivers and key != own:
            taken_over = await history.known(await asyncio.to_thread(self._told.running))
            if taken_over:  # by this node just now: the ledger does not tell so yet
                await asyncio.to_thread(self._told.forget, taken_over)
            of = None if len(drivers) == len(numbers) else drivers.keys()
            here = self._here()
            away = [number for number, one in drivers.items() if self._current(one) not in here]
            asked = partial(self._told.page, limit=limit + 1, before=before, wanted=wanted)
            told, more_counts = await asyncio.gather(
                asyncio.to_thread(asked, drivers=of, away=away),
                asyncio.to_thread(self._told.counts, wanted, of, away),
            )
            listed = {one.build.id for one in found}  # one that had ended may be gone on with
            found += self._named([one for one in told if one.id not in listed])
            counts.update(more_counts)
        found.sort(key=lambda one: one.place, reverse=True)
        following = following or len(found) > limit
        found = found[:limit]
        cursor = cursor_of(*found[-1].place) if following and found else None
        is_all = (self._complete and self._is_of_this_cluster) or key == own
        return PoolPage(tuple(found), cursor, dict(counts), is_all)

    @property
    def _is_of_this_cluster(self) -> bool:
        return self._cluster == self._service.mesh.cluster.local.members.cluster_id

    def _here(self) -> frozenset[bytes]:
        members = self._service.mesh.view().members
        return frozenset(one.key for one in members if one.status in _HERE)

    def _current(self, key: bytes) -> bytes:
        return self._service.mesh.cluster.local.members.current(key)

    def _key(self, node: str, numbers: Collection[bytes]) -> bytes:
        """Return the key of the node that somebody names, as it is now."""
        found = find_node(node, known_nodes(self._service.mesh.view(), numbers))
        if found is None:
            raise NotFoundError(
                f"no node has the id {node!r:.80}",
                hint="buildnet node list --all shows names and ids",
            )
        return self._current(bytes.fromhex(found.key))

    def _went_to(self, key: bytes, own: bytes) -> tuple[str, ...]:
        """Return the ids that the node with a key has and had, for it took over builds under any;
        of this node's ``own``: none."""
        if key == own:
            return ()
        view = self._service.mesh.view()
        keys = {key, *(one.key for one in view.members), *(one.key for one in view.former)}
        return tuple(node_id_of(one) for one in keys if self._current(one) == key)

    def _named(self, builds: list[BuildSummary] | list[ToldBuild]) -> list[PoolBuild]:
        view, own = self._service.mesh.view(), self._service.mesh.key
        names = {one.key: one.name for one in view.former}
        names |= {one.key: one.name for one in view.members}
        keys = {node_id_of(key): key for key in names}

        def named(build: BuildSummary | ToldBuild) -> PoolBuild:
            if isinstance(build, ToldBuild):
                key = self._current(build.driver)
            elif build.durable and build.durable.node and build.durable.state in _LOST:
                if build.durable.node not in keys:
                    node = build.durable.node
                    return PoolBuild(build, node, build.durable.node_name or node)
                key = self._current(keys[build.durable.node])
            else:
                key = own
            identity = node_id_of(key)
            return PoolBuild(build, identity, names.get(key, identity))

        return [named(build) for build in builds]
