"""Puts together what makes a node's builds outlive it, and those of others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from buildnet.ledger.history import History
from buildnet.node.builder import Builder
from buildnet.node.config import SchedulingSettings
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.drives import Drives
from buildnet.node.durable.keeping import Keeping
from buildnet.node.durable.lost_builds import LostBuilds
from buildnet.node.durable.service import DurableBuilds
from buildnet.node.durable.shelf import Shelf
from buildnet.node.durable.stands_in import StandsIn
from buildnet.node.durable.successor import Successor
from buildnet.node.durable.watching import Watching
from buildnet.node.home import Home
from buildnet.node.pool_results import PoolResults
from buildnet.node.recording import Record


@asynccontextmanager
async def durable_builds(
    home: Home,
    builder: Builder,
    history: History,
    results: PoolResults,
    settings: SchedulingSettings,
    record: Callable[[Record], None],
    refusal: Callable[[], str | None],
) -> AsyncIterator[DurableBuilds]:
    """Let a node's builds outlive it, and go on with those of others, until the context ends.

    ``record`` takes what the ledger is to tell; ``refusal`` says why the node does nothing for
    others now, None: it does.

    Raises:
        ShelfError: what it keeps for others can't be read.
    """
    workshop, store, circle = builder.workshop, builder.workshop.store, Circle()
    shelf = await asyncio.to_thread(Shelf.open, home.requests)
    most_bytes = store.capacity_bytes // 4
    keeping = Keeping(store, shelf, results, workshop.toolchain, workshop.levels, most_bytes)
    try:
        scratch = home.directory / "requests"
        successor = Successor(builder, store, history, record, scratch)
        drives = Drives(circle, history, record)
        keep_s = settings.hold_outputs
        stands_in = StandsIn(circle, keeping, successor, drives, refusal, keep_s)
        lost = LostBuilds(circle, store, history, results.fetch_all, record)
        watching = Watching(circle, builder, history, stands_in.keeps)
        durable = DurableBuilds(circle, drives, stands_in, lost, watching)
        await durable.restore()
        builder.outliving = drives
        yield durable
    finally:
        await asyncio.to_thread(keeping.close)
        shelf.close()
