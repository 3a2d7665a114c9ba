"""Builds of other nodes: who has the record of one, and what that node tells of it.

The ledger says who drove a build and who took it over, by entries that these nodes signed
themselves and that prove that they might; nobody else is asked for it, and who took it over counts
only where the node before it is away or has lost it. What is told of a build that is over is kept.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from pydantic import BaseModel

from buildnet.ledger.entry import Entry
from buildnet.ledger.history import ELSEWHERE, ENDED_ELSEWHERE
from buildnet.ledger.query import Query
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.identity import is_signed_by, node_id_of
from buildnet.node.api.answers.records import BuildComparison
from buildnet.node.api.answers.workspaces import BuildGraph
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.build_claims import STARTED, TAKEN_OVER, BuildClaims, is_proven
from buildnet.node.forwarding import Forwarded, ForwardError
from buildnet.node.kept_builds import KeptBuilds
from buildnet.node.ledger_names import Filters, Names
from buildnet.node.others_words import MOST_CHARACTERS, Json, checked, words
from buildnet.node.queue_access import queue_of
from buildnet.pool.messages.forwarding import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

RUNNING = "running"
_MOST_ENTRIES = 256
_LOST = (ELSEWHERE, ENDED_ELSEWHERE)


class BuildElsewhereError(BuildNetError):
    """The record of a build is on a node that can't be asked now."""

    code = "BUILD_ELSEWHERE"
    exit_code = 3
    http_status = 503


class BadRecordError(BuildNetError):
    """What another node tells of its build makes no sense here."""

    code = "BAD_RECORD"
    http_status = 502


@dataclass(frozen=True, slots=True)
class Recorder:
    """A node that has the record of a build. ``key``: as it is now."""

    key: bytes
    name: str

    @property
    def node_id(self) -> str:
        """Its id."""
        return node_id_of(self.key)


@dataclass(frozen=True, slots=True)
class OtherBuild:
    """A build that other nodes have the record of: who drove it first, then who took it over, the
    latest first."""

    id: str
    recorders: tuple[Recorder, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """What a node tells of its build, which is over or not; ``kept_at``: since when this node has
    that (unix seconds), None: it was told now."""

    data: Json
    by: Recorder
    kept_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the build is over, and so its record final."""
        return bool(self.data["status"] != RUNNING)

    @property
    def is_lost(self) -> bool:
        """Whether another node went on with the build, and has more of it."""
        return (self.data.get("durable") or {}).get("state") in _LOST

    def as_dict(self) -> Json:
        """Return the JSON form: the record, and where it is from."""
        by = {"node_id": self.by.node_id, "name": self.by.name, "kept_at": self.kept_at}
        return {**self.data, "recorded_on": by}


class OtherBuilds:
    """Those of the cluster that ``service`` is in."""

    def __init__(self, service: NodeService) -> None:
        self._service = service
        self._kept = KeptBuilds(service.home.others, MAX_UNPACKED_BYTES)

    # --- whose ---------------------------------------------------------------------------------

    async def find(self, name: str) -> OtherBuild:
        """Return the build whose id is or begins with ``name``, by what the ledger and the queue
        tell, or told: old entries of the ledger may be pruned.

        Raises:
            NotFoundError: there is none of another node.
            UsageError: there are several.
        """
        found = await self._in_ledger(name) or await self._in_list(name)
        found = found or await self._in_queue(name)
        if found is None:
            raise NotFoundError(
                f"no node tells of a build {name!r:.80}", hint="buildnet history lists the builds"
            )
        return found

    async def _in_ledger(self, name: str) -> OtherBuild | None:
        ledger = self._service.ledger.open_now
        if ledger is None:
            return None
        wanted = Query(types=(STARTED, TAKEN_OVER), build=name)
        query = await Names(self._service.mesh.view(), ledger).query(Filters(wanted))
        claims = BuildClaims(str(query.build), self._is_signed, self._is_same)
        count = 0
        async for stored in ledger.store.find(query):
            claims.take(stored.entry)
            count += 1
            if count >= _MOST_ENTRIES:
                break
        return self._of(claims.build, claims.drivers)

    async def _in_list(self, name: str) -> OtherBuild | None:
        found = await self._service.pool_builds.drove(name)
        return None if found is None else self._of(*found)

    async def _in_queue(self, name: str) -> OtherBuild | None:
        """Look for a build that has begun just now."""
        try:
            queue = await queue_of(self._service).view()
        except NotAllowedError:
            return None
        found = [one for one in queue["builds"] if one["build_id"].startswith(name)]
        if len(found) != 1 or not name:
            return None
        (one,) = found
        member = self._service.mesh.find(one["node_id"])
        return self._of(one["build_id"], (member.key,))

    def _of(self, build: str, drivers: tuple[bytes, ...]) -> OtherBuild | None:
        members = self._service.mesh.cluster.local.members
        names = self._names()
        keys = dict.fromkeys(members.current(key) for key in drivers)
        others = [key for key in keys if key != self._service.mesh.key]
        recorders = tuple(Recorder(key, names.get(key, node_id_of(key))) for key in others)
        return OtherBuild(build, recorders) if recorders else None

    def proves(self, entry: Entry) -> bool:
        """Tell whether who wrote an entry of a build proves that it drove that."""
        build = entry.body.entity.partition(":")[2]
        return is_proven(entry, build, self._is_signed, self._is_same)

    def _is_signed(self, key: bytes, message: bytes, signature: bytes) -> bool:
        revoked = self._service.mesh.cluster.local.members.revoked
        return key not in revoked and is_signed_by(key, message, signature)

    def _is_same(self, one: bytes, other: bytes) -> bool:
        members = self._service.mesh.cluster.local.members
        return members.current(one) == members.current(other)

    def _names(self) -> Mapping[bytes, str]:
        view = self._service.pool.view()
        former = {one.key: one.name for one in view.former}
        return {**former, **{member.key: member.name for member in view.members}}

    async def meet(self, name: str) -> None:
        """See that there is a link with those who drive a build, if they are there."""
        with suppress(BuildNetError):
            for one in (await self.find(name)).recorders:
                await self._service.access.forwarding.meet(one.key)

    # --- what ----------------------------------------------------------------------------------

    async def record(self, build: OtherBuild) -> Told:
        """Return the record of a build, or how far it is.

        Raises:
            BuildNetError: nobody who has it tells.
        """
        found: Told | None = None
        problem: BuildNetError | None = None
        for recorder in build.recorders:
            try:
                told = await self._record_of(build, recorder)
            except BuildNetError as error:
                problem = problem or error
                continue
            found = found or told
            if not told.is_lost:
                return told
        if found is not None:
            return found
        assert problem is not None
        raise problem

    async def graph(self, build: OtherBuild) -> Json:
        """Return the graph of a build. Raises as :meth:`record`."""
        by = build.recorders[0]
        if len(build.recorders) > 1:
            by = (await self.record(build)).by
        kept = await asyncio.to_thread(self._kept.get, by.key, build.id, "graph")
        if kept is not None:
            found: Json = await asyncio.to_thread(json.loads, kept.data)
            return found
        _, data = await self._ask(build, by, "/graph", BuildGraph)
        return data

    async def tell(
        self, build: OtherBuild, what: str, query: Mapping[str, Any], model: type[BaseModel]
    ) -> Json:
        """Return what the node tells whose record counts: the answer of its API, as ``model``,
        below the build. Raises as :meth:`record`."""
        told = await self.record(build)
        _, data = await self._ask(build, told.by, what, model, query)
        return data

    async def compare(self, before: OtherBuild, after: OtherBuild) -> Json | None:
        """Return two builds beside each other as the node tells it that has both on record: it
        knows why results differ; None: there is none, or it does not tell."""
        by = before.recorders[0]
        if by != after.recorders[0]:
            return None
        with suppress(BuildNetError):
            asked = f"/api/builds/compare?{urlencode({'before': before.id, 'after': after.id})}"
            _, data = await self._answer(after, by, asked, BuildComparison)
            if (data["before"]["build_id"], data["after"]["build_id"]) == (before.id, after.id):
                return data
        return None

    async def bring(self, build: OtherBuild, digest: Digest, worker: str) -> None:
        """Bring a blob of a build into this node's store, from who has its record, or else from the
        node with the id ``worker``, which ran the command.

        Raises:
            BuildNetError: none of them sends it.
        """
        if digest.size_bytes > self._service.store.capacity_bytes:
            raise _bad(build, build.recorders[0], f"{digest.size_bytes} bytes have no room here")
        keys = {member.node_id: member.key for member in self._service.mesh.view().members}
        wanted = [one.node_id for one in build.recorders] + [worker]
        problem: BuildNetError | None = None
        for node in dict.fromkeys(wanted):
            if node not in keys or keys[node] == self._service.mesh.key:
                continue
            try:
                await self._service.exchange.fetch(digest, keys[node])
                return
            except BuildNetError as error:
                problem = problem or error
        if await asyncio.to_thread(self._service.store.missing, (digest,)):
            raise problem or self._unreachable(build, build.recorders[0])

    async def _record_of(self, build: OtherBuild, by: Recorder) -> Told:
        kept = await asyncio.to_thread(self._kept.get, by.key, build.id, "record")
        if kept is not None:
            return Told(await asyncio.to_thread(json.loads, kept.data), by, kept.at)
        text, data = await self._ask(build, by, "", None)
        told = Told(data, by)
        if told.is_over:
            now = time.time()
            with suppress(BuildNetError):  # the record alone is of use, too
                graph, _ = await self._ask(build, by, "/graph", BuildGraph)
                await asyncio.to_thread(self._kept.put, by.key, build.id, "graph", graph, now)
            await asyncio.to_thread(self._kept.put, by.key, build.id, "record", text, now)
        return told

    async def _ask(
        self,
        build: OtherBuild,
        by: Recorder,
        what: str,
        model: type[BaseModel] | None,
        query: Mapping[str, Any] | None = None,
    ) -> tuple[bytes, Json]:
        """Return what a node tells of a build, checked, as text and as values."""
        said = {name: value for name, value in (query or {}).items() if value is not None}
        target = f"/api/build/{quote(build.id, safe='')}{what}"
        if said:
            target = f"{target}?{urlencode(said, doseq=True)}"
        text, data = await self._answer(build, by, target, model)
        if data["build_id"] != build.id:
            raise _bad(build, by, f"it tells of the build {data['build_id'][:80]!r}")
        return text, data

    async def _answer(
        self, build: OtherBuild, by: Recorder, target: str, model: type[BaseModel] | None
    ) -> tuple[bytes, Json]:
        def read(answer: Forwarded) -> tuple[bytes, Json]:
            if answer.status != 200:
                raise _refusal(build, by, answer)
            try:
                return checked(answer.body, model)
            except (ValueError, RecursionError) as error:
                raise _bad(build, by, str(error)) from error

        forwarding = self._service.access.forwarding
        if not await forwarding.meet(by.key):
            raise self._unreachable(build, by)
        try:
            return await forwarding.look(by.key, target, read)
        except ForwardError as error:
            raise self._unreachable(build, by, error) from error

    def _unreachable(
        self, build: OtherBuild, by: Recorder, error: BuildNetError | None = None
    ) -> BuildElsewhereError:
        """Return the error of a node that can't be asked, with what is known of it."""
        view = self._service.mesh.view()
        member = view.member(by.key)
        hint = f"what all nodes know of it: buildnet ledger list --build {build.id}"
        if member is None:
            return BuildElsewhereError(
                f"build {build.id} is on record on {by.name}, which is no member any more",
                hint=hint,
            )
        cause = "it was never heard of"
        if error is not None:
            cause = f"{error.message}: {error.cause}" if error.cause else error.message
        elif member.last_heard is not None:
            heard = datetime.fromtimestamp(member.last_heard, UTC)
            cause = f"it was last heard of at {heard:%Y-%m-%d %H:%M:%S} UTC"
        return BuildElsewhereError(
            f"build {build.id} is on record on {by.name}, which can't be reached from here now",
            cause=cause,
            hint=f"see buildnet node list, and ask again once it is there; {hint}",
        )


def _bad(build: OtherBuild, by: Recorder, why: str) -> BadRecordError:
    return BadRecordError(
        f"what {by.name} tells of build {build.id} can't be used here",
        cause=why[:MOST_CHARACTERS],
        hint=f"its BuildNet may be of another version: look on {by.name}",
    )


def _refusal(build: OtherBuild, by: Recorder, answer: Forwarded) -> BuildNetError:
    """Return the error of an answer that tells nothing of a build."""
    if answer.status == NotFoundError.http_status:
        return NotFoundError(
            f"{by.name}, which drove build {build.id}, has no record of it any more",
            hint=f"what all nodes know of it: buildnet ledger list --build {build.id}",
        )
    detail, hint = words(answer.body)
    if answer.status == NotAllowedError.http_status:
        return NotAllowedError(detail, hint=hint)
    return BuildElsewhereError(
        f"{by.name} does not tell of build {build.id}",
        cause=detail,
        hint=f"look on {by.name}; a BuildNet of before tells other nodes nothing: update it there",
    )
