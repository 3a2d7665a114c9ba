"""The ledger: what happened, in sealed order; checks, proofs, exports; and notes of operators."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from buildnet.ledger import export
from buildnet.ledger import query as ledger_query
from buildnet.ledger.checkable import write_checkable
from buildnet.ledger.entry_view import entry_view, time_text
from buildnet.ledger.query import Cursor
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import NotSealedError
from buildnet.ledger.store.verifying import Progress, Report
from buildnet.mesh.errors import UsageError
from buildnet.node.api.answers.ledger import (
    EntityState,
    LedgerCheck,
    LedgerEntries,
    LedgerEntry,
    LedgerEntryInChain,
    LedgerSeals,
    LedgerSync,
    Proof,
)
from buildnet.node.api.answers.sealing import (
    Sealing,
)
from buildnet.node.api.copies import Copies
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.numbers import MOST_COUNTED
from buildnet.node.api.paging import number_of
from buildnet.node.api.work_response import Tell, WorkResponse
from buildnet.node.auth.actions import Action
from buildnet.node.ledger_names import Filters, Names
from buildnet.node.ledger_note import MAX_CHARACTERS, note_draft, require_same
from buildnet.node.ledger_upkeep_view import pruned_view
from buildnet.node.ledger_view import seal_view, state_view, sync_view
from buildnet.node.moments import moment_ms
from buildnet.node.service import NodeService

NDJSON = "application/x-ndjson"
_TELL_S = 0.25
_CHUNK = 1 << 18
_HEIGHT = re.compile(r"\d{1,10}")
_CHECKABLE = "application/octet-stream"
_MEDIA = {"json": "application/json", "ndjson": NDJSON, "csv": "text/csv; charset=utf-8"}


class VerifyBody(BaseModel):
    """How to check. ``deep``: build the derived tables again beside, and compare; ``repair``: put
    right what can be, and check again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deep: bool = False
    repair: bool = False


class NoteBody(BaseModel):
    """What a person wants on record. ``ack``: what to wait for: this node's disk, or a seal;
    ``request``: 32 to 64 hexadecimal digits, chosen at random, by which a repeated request is
    recorded once. ``text`` holds no control characters but newline and tab."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(json_schema_extra={"minLength": 1, "maxLength": MAX_CHARACTERS})
    ack: Literal["local", "sealed"] = "local"
    entity: str = Field(default="", max_length=256)
    actor: str = Field(default="local", min_length=1, max_length=128)
    request: str | None = Field(default=None, pattern="^([0-9a-f]{2}){16,32}$")


async def _wanted(
    type: Annotated[list[str] | None, Query()] = None,
    origin: str | None = None,
    actor: str | None = None,
    entity: str | None = None,
    correlation: str | None = None,
    build: str | None = None,
    since: Annotated[str | None, Query(alias="from")] = None,
    to: str | None = None,
    text: str | None = None,
    sealed: bool | None = None,
) -> Filters:
    now = datetime.now(UTC)
    query = ledger_query.Query(
        types=tuple(type or ()),
        actor=actor,
        entity=entity,
        correlation=correlation,
        build=build,
        from_ms=None if since is None else moment_ms(since, now),
        to_ms=None if to is None else moment_ms(to, now),
        text=text,
        sealed=sealed,
    )
    return Filters(query, origin)


Wanted = Annotated[Filters, Depends(_wanted)]


def ledger_routes(service: NodeService) -> APIRouter:
    """Return the routes of the ledger."""
    router = declared_router(prefix="/api/ledger", tags=["ledger"])
    checking, copies = asyncio.Lock(), Copies(lambda: service.home.directory)

    def names(ledger: ClusterLedger) -> Names:
        return Names(service.pool.view(), ledger)

    @router.get("")
    @does(Action.VIEW_LEDGER, answer=LedgerEntries)
    async def entries(
        wanted: Wanted,
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        cursor: str | None = None,
        order: Literal["asc", "desc"] = "desc",
    ) -> dict[str, Any]:
        """Entries that fit all filters, newest first (``order=asc``: in sealed order, then what is
        provisional); ``next`` is the cursor of the following page. ``type`` may be given several
        times, and as ``build.*``; ``origin`` is a node's name or the beginning of its id,
        ``entity`` such as ``node:NAME``, ``build`` the beginning of a build's id: where that fits
        several, they are named; ``from`` and ``to`` are ISO 8601, or ``2h`` for two hours ago.
        One request looks at some thousand entries: a page may have fewer than ``limit``, even
        none, while there are more (``next``); ``looked_to`` is the time that it came to. Where this
        node has ``pruned`` what was sealed up to a height, most entries of then are in no list."""
        ledger = await service.ledger.current()
        page = await ledger.store.query(
            await names(ledger).query(wanted),
            cursor=_cursor(cursor),
            limit=limit,
            backwards=order == "desc",
        )
        return {
            "entries": [entry_view(one) for one in page.entries],
            "next": None if page.next is None else str(page.next),
            "looked_to": None if page.looked_to is None else time_text(page.looked_to),
            "pruned": await pruned_view(ledger.store),
        }

    @router.post("/entries", status_code=201)
    @does(Action.WRITE_NOTE, answer=LedgerEntry)
    async def note(body: NoteBody, asking: Asking) -> dict[str, Any]:
        """Put a note on record, as type ``system.note``. With ``ack=sealed`` the answer comes once
        a majority of the voters has it on disk; where that takes longer than 30 s, the code is
        ``NOT_SEALED`` and the note stays on this node's disk, to be sealed later: to ask again with
        the same ``request`` records nothing more, and waits for the same note; with another text
        the code is ``REQUEST_USED``. Of
        ``node:NAME`` as ``entity`` the node's id is recorded, so that the filters find it."""
        ledger = await service.ledger.current()
        request = bytes.fromhex(body.request) if body.request else os.urandom(16)
        entity = await names(ledger).noted(body.entity) if body.entity else ""
        draft = note_draft(body.text, actor=asking.name(body.actor), entity=entity, request=request)
        (entry,) = await ledger.append([draft])
        require_same(entry, draft)
        if body.ack == "sealed":
            try:
                await ledger.sealed(entry)
            except NotSealedError as error:
                raise NotSealedError(
                    f"{error.message}: {entry.id}",
                    cause=service.pool.sealing().problem,
                    hint="do not repeat it: it is sealed by itself once a majority is there "
                    f"(buildnet ledger show {entry.id[:16]} tells). What has the same request id, "
                    f"{request.hex()}, is recorded once, anything else again",
                ) from error
        return entry_view(await ledger.store.entry(entry.id))

    @router.get("/entries/{entry_id}")
    @does(Action.VIEW_LEDGER, answer=LedgerEntryInChain)
    async def entry(entry_id: str) -> dict[str, Any]:
        """One entry, by its id or the beginning of it, with the ids of those before and after it in
        its chain."""
        store = (await service.ledger.current()).store
        found = await store.entry(entry_id)
        chain, sequence = found.entry.chain, found.entry.body.sequence
        after = await store.range(chain, sequence + 1, sequence + 1)
        return {
            **entry_view(found),
            "previous": found.entry.body.previous.hex() if sequence > 1 else None,
            "next": after[0].id if after else None,
        }

    @router.get("/entries/{entry_id}/proof")
    @does(Action.VIEW_LEDGER, answer=Proof)
    async def proof(entry_id: str) -> dict[str, Any]:
        """The proof that an entry is sealed, as the file that ``ledger check-proof`` reads, in
        base64."""
        stored, made = await (await service.ledger.current()).prove(entry_id)
        return {
            "id": stored.entry.id,
            "sealed": stored.height,
            "cluster_id": service.cluster["id"],
            "proof": base64.b64encode(made.to_bytes()).decode(),
        }

    @router.get("/tail", response_class=Response, responses=answers_as(NDJSON))
    @does(Action.VIEW_LEDGER)
    async def tail(
        wanted: Wanted,
        cursor: str | None = None,
        last: Annotated[int, Query(ge=0, le=1000)] = 10,
    ) -> StreamingResponse:
        """Each entry that fits as soon as it is on this node's disk, ``sealed`` null for the time
        being; with ``sealed=true`` once it is sealed, in sealed order. One JSON a line, each with
        the ``cursor`` to go on from; begins with the ``last`` ones that are there. After a
        ``cursor`` nothing is left out; what was not sealed then may come again. It does not end by
        itself."""
        at = _cursor(cursor)
        named = await names(await service.ledger.current()).query(wanted)
        found = service.tail.follow(named, cursor=at, last=last, ended=service.stopping)

        async def lines() -> AsyncIterator[bytes]:
            async for stored, after in found:
                yield _line({**entry_view(stored), "cursor": str(after)})

        return StreamingResponse(lines(), media_type=NDJSON)

    @router.get("/seals")
    @does(Action.VIEW_LEDGER, answer=LedgerSeals)
    async def seals(
        height: Annotated[int | None, Query(alias="from", ge=1, le=MOST_COUNTED)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> dict[str, Any]:
        """Final seals by ascending height, from a height on; without one, the last ones."""
        if cursor is not None and height is not None:
            raise UsageError("a cursor stands in place of from", hint="leave one away")
        height = number_of(cursor) if height is None else height
        ledger = await service.ledger.current()
        last = ledger.core.last
        top = 0 if last is None else last.height
        first = max(1, top - limit + 1 if height is None else height)
        found = await ledger.store.seals(first, max_count=limit)
        following = first + len(found)
        return {
            "seals": [seal_view(one) for one in found],
            "height": top,
            "next": str(following) if found and following <= top else None,
        }

    @router.get("/state")
    @does(Action.VIEW_LEDGER, answer=EntityState)
    async def state(entity: str, at: str | None = None) -> dict[str, Any]:
        """What the sealed entries up to a height, or a time, say of an entity such as
        ``config:NAME``, and the seal of that height; without ``at``, all of them."""
        ledger = await service.ledger.current()
        entity = await names(ledger).entity(entity)
        if at is None:
            found = await ledger.store.state(entity)
        elif _HEIGHT.fullmatch(at):
            found = await ledger.store.state(entity, height=int(at))
        else:
            at_ms = moment_ms(at, datetime.now(UTC))
            found = await ledger.store.state(entity, at_ms=at_ms)
        sealed = await ledger.store.seals(found.height, max_count=1) if found.height else ()
        return state_view(found, sealed[0] if sealed else None)

    @router.get("/sealing")
    @does(Action.VIEW_LEDGER, answer=Sealing)
    async def sealing() -> dict[str, Any]:
        """Whether the cluster seals, as this node sees it; else since when not, why, which voters
        are away or take no part, and what helps."""
        return service.pool.sealing().view()

    @router.get("/sync")
    @does(Action.VIEW_LEDGER, answer=LedgerSync)
    async def sync() -> dict[str, Any]:
        """How far each chain reaches here and is sealed, and what the peers told of theirs."""
        return sync_view(service, await service.ledger.current())

    @router.post("/verify", response_model=None, responses=answers_as("application/json", NDJSON))
    @does(Action.MODIFY_RESOURCES, answer=LedgerCheck)
    async def verify(request: Request, body: VerifyBody) -> Response | dict[str, Any]:
        """Check everything that this node holds: chains, signatures, seals. With ``Accept:
        application/x-ndjson`` the answer is how far the check is, again and again, and in the last
        line the report."""
        ledger = await service.ledger.current()

        async def work(tell: Tell) -> dict[str, Any]:
            async with checking:
                report = await _verified(ledger, body, tell)
            return {"type": "report", **report.as_dict()}

        if NDJSON in request.headers.get("accept", ""):
            return WorkResponse(work)
        found = await work(lambda event: None)
        del found["type"]
        return found

    @router.get("/export", response_model=None, responses=answers_as(*_MEDIA.values(), _CHECKABLE))
    @does(Action.VIEW_LEDGER, answer=list[LedgerEntry])
    async def exported(
        wanted: Wanted, format: Literal["json", "ndjson", "csv", "checkable"] = "json"
    ) -> StreamingResponse:
        """All entries that fit, in their order. ``checkable`` is everything sealed, with what
        proves it, in the form that ``audit verify FILE`` checks without a node."""
        ledger = await service.ledger.current()
        if format == "checkable":
            if wanted != Filters():
                raise UsageError(
                    "a checkable export holds everything that is sealed",
                    hint="leave the filters away, or prove single entries: buildnet ledger prove",
                )
            return StreamingResponse(await _checkable(copies, ledger), media_type=_CHECKABLE)
        named = await names(ledger).query(wanted)
        parts = export.export(ledger.store, named, format)
        return StreamingResponse(_joined(parts), media_type=_MEDIA[format])

    return router


def _cursor(text: str | None) -> Cursor | None:
    return None if text is None else Cursor.parse(text)


def _line(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


async def _verified(ledger: ClusterLedger, body: VerifyBody, tell: Tell) -> Report:
    loop, told = asyncio.get_running_loop(), 0.0

    def progress(at: Progress) -> None:  # in the checking thread
        nonlocal told
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            counts = {"entries": at.entries, "total": at.total, "seals": at.seals}
            event = {"type": "progress", **counts, "problems": at.problems}
            loop.call_soon_threadsafe(tell, event)

    async def check() -> Report:
        report = await ledger.store.verify(ledger.trust(replay=body.deep), progress=progress)
        if report.verified:
            await ledger.upkeep.damage.clean("verify")
        else:
            first, count = report.errors[0], len(report.errors)
            told, awaited = f"{first.where}: {first.what}", count == len(report.damaged)
            await ledger.upkeep.damage.found("verify", count, told, awaited=awaited)
        return report

    report = await check()
    if body.repair and not report.verified:
        tell({"type": "repairing", "problems": len(report.errors)})
        await ledger.store.repair(ledger.trust(replay=True))
        report = await check()
    return report


async def _joined(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Join small parts: each one that is sent costs."""
    waiting: list[str] = []
    size = 0
    async for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= _CHUNK:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


async def _checkable(copies: Copies, ledger: ClusterLedger) -> AsyncIterator[bytes]:
    """Write a checkable export beside the ledger; return its bytes."""
    file = copies.begin()
    try:
        await write_checkable(ledger.store, file, ledger.cluster.chain)
        file.seek(0)
    except BaseException:
        file.close()
        raise

    async def parts() -> AsyncIterator[bytes]:
        with file:
            while part := await asyncio.to_thread(file.read, _CHUNK):
                yield part

    return parts()
