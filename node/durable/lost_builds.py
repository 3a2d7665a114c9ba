"""Builds that this node drove until its process ended: what others made of them is found out."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from buildnet.ledger.history import (
    DURABLE,
    ELSEWHERE,
    ENDED_ELSEWHERE,
    LOST_TOO_SOON,
    BuildSummary,
    Durability,
    History,
)
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.identity import node_id_of
from buildnet.node.build_record import BuildInterrupted
from buildnet.node.durable.circle import Circle
from buildnet.node.durable.successor import GIVEN_UP
from buildnet.node.pool_results import FetchAll
from buildnet.node.recording import Record
from buildnet.node.store import Hold, Store
from buildnet.pool.durable import Phase
from buildnet.pool.few_values import require_few
from buildnet.pool.messages.durable import MAX_BUILDS, BuildAsk, BuildTold, KeepOver
from buildnet.pool.warrant import MAX_ATTEMPT

FORGOTTEN_S = 15.0
"""So long after the stand-in said that it does not know a build, another node may still say so."""
FORGOTTEN = "the node that drove this build was lost, and the one that stood in for it forgot it"
GONE_S = 600.0
"""So long a worker has to be away that may have a build for it to be given up."""
GONE = "the node that drove this build was lost, and so is every one that may have gone on with it"
_NOT_KNOWN = (LOST_TOO_SOON, FORGOTTEN, GONE)
"""Errors of builds that have ended so for lack of news: who has some corrects it."""
MAX_REPORT_BYTES = 64 * 1024 * 1024
MOST_REPORT_VALUES = 4_000_000
_log = logging.getLogger("buildnet.pool")


class ReportError(BuildNetError):
    """What another node sent as the report of a build is none."""

    code = "REPORT_UNREADABLE"


class LostBuilds:
    """See the module's text. ``fetch_all`` gets blobs from a member into the store."""

    def __init__(
        self,
        circle: Circle,
        store: Store,
        history: History,
        fetch_all: FetchAll,
        record: Callable[[Record], None],
    ) -> None:
        self._circle = circle
        self._store = store
        self._history = history
        self._fetch_all = fetch_all
        self._record = record
        self._builds: dict[str, BuildSummary] = {}
        self._unknown_at: dict[tuple[str, bytes], float] = {}
        """Since when a node says that it knows nothing of a build."""
        self._here_at: dict[bytes, float] = {}
        """When a worker was last there, or was first looked for."""
        self._lost_at: dict[str, float] = {}
        """When it was first looked whether somebody can go on with a build."""
        self._recording = asyncio.Lock()

    async def restore(self) -> None:
        """Find out which builds these are."""
        for build in await self._history.running():
            if build.durable is not None and build.durable.state in (DURABLE, ELSEWHERE):
                self._builds[build.id] = build

    def ask(self) -> None:
        """Ask all others; who stands in for one goes on with it at once."""
        if self._builds:
            builds = tuple(self._builds)[:MAX_BUILDS]
            self._circle.say_all(BuildAsk(builds, lost=True))

    def look(self) -> None:
        """End the builds that nobody can go on with any more: each worker is away for good, or
        does not know them."""
        if not self._builds:
            return
        now, workers = time.monotonic(), self._circle.workers
        for node, is_here in workers.items():
            self._here_at[node] = now if is_here else self._here_at.get(node, now)
        away = {node for node in workers if now - self._here_at[node] >= GONE_S}
        for build in list(self._builds.values()):
            since = self._lost_at.setdefault(build.id, now)
            unknown = {
                node
                for node in workers
                if now - self._unknown_at.get((build.id, node), now) >= FORGOTTEN_S
            }
            if now - since >= FORGOTTEN_S and away | unknown >= workers.keys():
                self._circle.spawn(self._end, build, GONE)

    async def told(self, sender: bytes, told: BuildTold) -> None:
        """Take in how far a build is at another node, and record it."""
        async with self._recording:  # several may say the same at once
            await self._told(sender, told)

    async def _told(self, sender: bytes, told: BuildTold) -> None:
        build = self._builds.get(told.build) or await self._given_up(told.build)
        if build is None:
            if told.phase == Phase.DRIVING:
                await self._say_if_over(sender, told.build)
            return
        node, name = node_id_of(sender), self._circle.name_of(sender)
        if told.phase == "unknown":
            await self._unknown(build, sender)
            return
        if not self._circle.is_proven(told.warrant, build.id, told.attempt, sender):
            return
        self._unknown_at.pop((build.id, sender), None)
        if told.phase == Phase.ENDED and told.report is not None:
            where = Durability(ENDED_ELSEWHERE, node, name, told.attempt)
            await self._ended(build, sender, told.report.digest, where)
        elif (where := Durability(ELSEWHERE, node, name, told.attempt)) != build.durable:
            await self._history.mark(build.id, where)
            self._builds.update((each.id, each) for each in [await self._history.build(build.id)])

    async def asked(self, sender: bytes, ask: BuildAsk) -> None:
        """Tell who keeps builds of which he heard nothing which of them have ended."""
        for build in ask.builds:
            await self._say_if_over(sender, build)

    async def _say_if_over(self, sender: bytes, build: str) -> None:
        """Tell that a build has ended, if the record here says so: when it ended, that may have
        been told in vain. It holds for whatever number it was given under."""
        with suppress(NotFoundError):
            found = await self._history.build(build)  # takes the beginning of an id, too
            is_over = found.status != "running" and found.error not in (GIVEN_UP, *_NOT_KNOWN)
            if is_over and found.id == build:
                self._circle.say(sender, KeepOver(build, MAX_ATTEMPT, ended=True))

    async def _given_up(self, build_id: str) -> BuildSummary | None:
        """Return a build that was recorded as lost though another node has news of it now."""
        with suppress(NotFoundError):
            found = await self._history.build(build_id)  # takes the beginning of an id, too
            return found if found.error in _NOT_KNOWN and found.id == build_id else None
        return None

    async def _unknown(self, build: BuildSummary, sender: bytes) -> None:
        since = self._unknown_at.setdefault((build.id, sender), time.monotonic())
        if build.durable is None or build.durable.node != node_id_of(sender):
            return
        if time.monotonic() - since >= FORGOTTEN_S:
            await self._end(build, FORGOTTEN)

    async def _end(self, build: BuildSummary, why: str) -> None:
        """Record that a build has failed with the nodes that had it."""
        if self._builds.pop(build.id, None) is None:
            return
        self._lost_at.pop(build.id, None)
        self._record(BuildInterrupted(build.id, why, failed=True))
        await self._history.finish(
            build.id,
            status="failed",
            completed_at=time.time(),
            duration_ms=(time.time() - build.started_at) * 1000,
            error=why,
            packages=(),
        )

    async def _ended(
        self, build: BuildSummary, sender: bytes, report: Digest, where: Durability
    ) -> None:
        if report.size_bytes > MAX_REPORT_BYTES:
            return
        with self._store.hold() as hold:
            await asyncio.to_thread(hold.add, (report,))
            try:
                await self._fetch_all((report,), sender)
                said = await asyncio.to_thread(_read, hold, report)
            except BuildNetError as error:  # it is asked again soon, or another one tells
                _log.warning("how build %s ended is not known: %s", build.id, error.message)
                return
        self._builds.pop(build.id, None)
        await self._history.mark(build.id, where)
        await self._history.finish(
            build.id,
            status=said.status,
            completed_at=said.completed_at,
            duration_ms=said.duration_ms,
            error=said.error,
            packages=said.packages,
        )


_Log = Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}/[0-9]{1,15}$")]


class _Shard(BaseModel):
    """Of the entry of a shard what this node goes by."""

    shard: str
    log: _Log


class _Entry(BaseModel):
    """Of the entry of a task what this node goes by; the rest is kept as it was told."""

    name: str
    task: str
    status: str
    action: Annotated[str | None, Field(pattern=r"^[0-9a-f]{64}$")]
    log: _Log
    depends_on: list[str] = []
    shards: list[_Shard] = []


class _Report(BaseModel):
    """How a build ended on another node, as that one tells it."""

    model_config = ConfigDict(frozen=True)

    status: Literal["succeeded", "failed", "cancelled"]
    completed_at: float
    duration_ms: float
    error: str | None
    packages: list[dict[str, Any]]

    @field_validator("packages")
    @classmethod
    def _are_entries(cls, packages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        for each in packages:
            _Entry.model_validate(each)
        return packages


def _read(hold: Hold, report: Digest) -> _Report:
    """Read a report of any origin. Blocks.

    Raises:
        ReportError: it is none.
    """
    data = hold.get(report)
    try:
        require_few(data, MOST_REPORT_VALUES)
        return _Report.model_validate(json.loads(data))  # whose errors copy nothing
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ReportError(
            "the report of a build can't be read", cause=f"{first['loc']}: {first['msg']}"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ReportError("the report of a build can't be read", cause=str(error)) from error
