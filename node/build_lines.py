"""A build's events as lines of JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any, TypeVar

from buildnet.ledger.history import BuildSummary
from buildnet.node.askers import Asker
from buildnet.node.running import BUILD_FINISHED, BUILD_STARTED, RunningBuild
from buildnet.pool.build import Status

_Part = TypeVar("_Part")


async def lines_of(
    build: RunningBuild, *, every: bool = True, asker: Asker | None = None
) -> AsyncIterator[bytes]:
    """Yield a build's events as lines of JSON from its beginning on; the last has its report, with
    ``every`` package or without those that stand as before. For an ``asker`` it is cancelled once
    he wants it no more, though it may go on for others."""
    async with build.progress.follow() as batches:
        async for batch in batches if asker is None else until(asker.left, batches):
            if asker is not None and batch[0]["type"] == BUILD_STARTED:
                batch[0] = {**batch[0], "asker": asker.number}
            if batch[-1]["type"] == BUILD_FINISHED:
                batch[-1] = {**batch[-1], "report": build.report(every=every)}
            yield b"".join(map(line, batch))
    if asker is not None and asker.left.is_set():
        report = {**build.report(every=every), "status": Status.CANCELLED.value}
        yield line({"type": BUILD_FINISHED, "report": report})


def last_line(build: BuildSummary) -> bytes:
    """Return the last event of a build that is only in the record any more, as a line of JSON."""
    why = build.error
    error = None if why is None else {"code": "FAILED", "message": why, "cause": None, "hint": None}
    report = {**asdict(build), "build_id": build.id, "unchanged": 0, "error": error}
    return line({"type": BUILD_FINISHED, "report": report})


async def until(over: asyncio.Event, parts: AsyncIterator[_Part]) -> AsyncIterator[_Part]:
    """Yield ``parts`` until it is over, even while the next one is waited for."""
    ends = asyncio.ensure_future(over.wait())  # once: a build is told in some hundred parts
    waiting: set[asyncio.Future[Any]] = {ends}
    try:
        while True:
            following = asyncio.ensure_future(anext(parts, None))
            waiting = {following, ends}
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not following.done():
                return
            part = following.result()
            if part is None:
                return
            yield part
    finally:
        for each in waiting:
            each.cancel()


def line(event: dict[str, Any]) -> bytes:
    """Return an event as a line of JSON."""
    return json.dumps(event).encode() + b"\n"
