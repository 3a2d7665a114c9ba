"""The ledger's file: how it is, copies of it, and forgetting what is old."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.ledger.service.upkeep import Upkeep
from buildnet.ledger.store import pruning
from buildnet.ledger.store.backup import Step
from buildnet.mesh.errors import UsageError
from buildnet.node.api.answers.ledger import (
    Backup,
    LedgerFile,
    Pruning,
)
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.work_response import Tell, WorkResponse
from buildnet.node.auth.actions import Action
from buildnet.node.ledger_upkeep_view import milliseconds_text, store_view
from buildnet.node.moments import moment_ms
from buildnet.node.service import NodeService

NDJSON = "application/x-ndjson"
_TELL_S = 0.25


class BackupBody(BaseModel):
    """Where to write: an absolute path on the node's host; nothing may be there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str = Field(min_length=1, max_length=4096)


class PruneBody(BaseModel):
    """How much to forget: what was sealed ``before`` a moment (ISO 8601, or ``90d`` ago); without
    it, what node.yaml's ``ledger.retention`` lets go. ``dry_run``: only tell what would be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    before: str | None = Field(default=None, min_length=1, max_length=64)
    dry_run: bool = False


def ledger_upkeep_routes(service: NodeService) -> APIRouter:
    """Return the routes of the ledger's file."""
    router = declared_router(prefix="/api/ledger", tags=["ledger"])
    copying, pruning_now = asyncio.Lock(), asyncio.Lock()

    @router.get("/store")
    @does(Action.VIEW_LEDGER, answer=LedgerFile)
    async def store() -> dict[str, Any]:
        """The file of this node's ledger: its size, what was pruned, what the last reading of
        everything found, the last ``damage`` that any check found and whether it is mended, and
        whether this node votes; and how sealing goes in the cluster."""
        return await store_view(await service.ledger.current(), service.pool.sealing())

    @router.post("/backups", response_model=None, responses=answers_as("application/json", NDJSON))
    @does(Action.OWN_NODE, answer=Backup)
    async def back_up(request: Request, body: BackupBody) -> Response | dict[str, Any]:
        """Write a consistent copy of the ledger while it is in use, and read it again. With
        ``Accept: application/x-ndjson`` the answer is how far that is, again and again, and in the
        last line what was written. Who hangs up leaves no file."""
        path = _absolute(body.file)
        ledger = await service.ledger.current()

        async def work(tell: Tell) -> dict[str, Any]:
            async with copying:  # two may be meant for one place
                trust = ledger.trust(replay=False)
                made = await ledger.store.back_up(path, trust, tell=_steps(tell))
            return {
                "type": "backup",
                "file": str(path),
                "bytes": made.bytes,
                "cluster_id": made.cluster.hex(),
                "entries": made.entries,
                "seals": made.seals,
                "encrypted": made.encrypted,
            }

        if NDJSON in request.headers.get("accept", ""):
            return WorkResponse(work)
        made = await work(lambda event: None)
        del made["type"]
        return made

    @router.post("/prune")
    @does(Action.OWN_NODE, answer=Pruning)
    async def prune(body: PruneBody) -> dict[str, Any]:
        """Forget what old entries say; their hashes and all seals stay, so what is left still
        verifies. To ask again forgets nothing more."""
        ledger = await service.ledger.current()
        before_ms = _before_ms(body, ledger.upkeep)
        async with pruning_now:
            height = await ledger.upkeep.height_before(before_ms)
            if body.dry_run:
                forgotten = await ledger.store.foresee(height)
            else:
                forgotten = await ledger.upkeep.prune(before_ms)
            reached = await ledger.store.read(pruning.pruned_to)
        return {
            "before": milliseconds_text(before_ms),
            "height": max(height, reached),
            "forgotten": forgotten,
            "dry_run": body.dry_run,
        }

    return router


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise UsageError(f"{text!r:.80} is no absolute path", hint="name a file from / on")
    return path


def _before_ms(body: PruneBody, upkeep: Upkeep) -> int:
    now = datetime.now(UTC)
    if body.before is not None:
        found = moment_ms(body.before, now)
    elif upkeep.settings.retention_s is not None:
        found = int((now.timestamp() - upkeep.settings.retention_s) * 1000)
    else:
        raise UsageError(
            "nothing tells what is old",
            hint="add --before DATE or --keep 90d, or set ledger.retention in node.yaml",
        )
    if found > now.timestamp() * 1000:
        raise UsageError("what is to be forgotten is in the future", hint="such as --keep 90d")
    return found


def _steps(tell: Tell) -> Any:
    """Return who takes the steps of a copy, in another thread, and tells some of them."""
    loop, told = asyncio.get_running_loop(), 0.0

    def take(step: Step) -> None:
        nonlocal told
        if time.monotonic() - told >= _TELL_S:
            told = time.monotonic()
            event = {"type": "progress", "step": step.name, "done": step.done, "total": step.total}
            loop.call_soon_threadsafe(tell, event)

    return take
