"""The node's cache: what is in it, check it, make it smaller."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import UsageError
from buildnet.mesh.identity import node_id_of
from buildnet.node.api.answers.cache import (
    CachedResults,
    Cleared,
    FetchedBlob,
    Holders,
    ShownBlob,
    ShownResult,
)
from buildnet.node.api.blob_text import digest_of
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import number_of
from buildnet.node.auth.actions import Action
from buildnet.node.extraction import (
    Extracted,
    extract,
)
from buildnet.node.result_holders import holders
from buildnet.node.service import NodeService
from buildnet.node.store import (
    ActionDetails,
    BlobDetails,
    CollectReport,
    StoreStats,
    VerifyReport,
)


class CollectBody(BaseModel):
    """How small the cache is to become; without a number, as small as its configuration says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target_bytes: int | None = Field(default=None, ge=0)


class FetchBody(BaseModel):
    """A blob, as `HASH/SIZE`, and the member to get it from: its name, id or an id's beginning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    digest: str
    node: str = Field(min_length=1, max_length=128)


class ExtractBody(BaseModel):
    """``result``: its digest or a unique prefix; ``directory``: an absolute path."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    result: str
    directory: Path


def cache_routes(service: NodeService) -> APIRouter:
    """Return the routes of the cache."""
    router = declared_router(prefix="/api/cache", tags=["cache"])
    store = service.store

    @router.get("/stats")
    @does(Action.VIEW_RESOURCES, answer=StoreStats)
    async def stats() -> dict[str, Any]:
        """Counts and sizes, measured now."""
        return asdict(await asyncio.to_thread(store.stats))

    @router.get("/actions")
    @does(Action.VIEW_BUILDS, answer=CachedResults)
    async def actions(
        limit: Annotated[int, Query(ge=1, le=1000)] = 50,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
        label: str | None = None,
    ) -> dict[str, Any]:
        """Stored results, newest first; ``label`` keeps those whose label contains it."""
        page = await asyncio.to_thread(store.list_actions, limit, number_of(cursor), label)
        return {
            "actions": [{**asdict(each), "action": each.action.hash} for each in page.items],
            "next": None if page.next is None else str(page.next),
        }

    @router.get("/show/{prefix}")
    @does(Action.VIEW_BUILDS, answer=ShownBlob | ShownResult)
    async def show(prefix: str, asking: Asking) -> dict[str, Any]:
        """One stored result or blob by its digest or a unique prefix of it; its ``path`` is for the
        owner of the host alone."""
        found = _details(await asyncio.to_thread(store.show, prefix))
        return found if asking.is_owner or "path" not in found else {**found, "path": None}

    @router.get("/where/{prefix}")
    @does(Action.VIEW_BUILDS, answer=Holders)
    async def where(prefix: str) -> dict[str, Any]:
        """Which nodes have one result of this node's store, by its digest or a unique prefix of it:
        all that can be are asked, and have a second to answer."""
        found = await asyncio.to_thread(store.show, prefix)
        if isinstance(found, BlobDetails):
            raise UsageError(
                f"{prefix!r:.80} is a blob, and no result",
                hint=f"buildnet cache show {prefix:.80} names the results that need it",
            )
        return await holders(service, found)

    @router.delete("/actions/{prefix}")
    @does(Action.MODIFY_RESOURCES, answer=CollectReport)
    async def delete(prefix: str) -> dict[str, Any]:
        """Delete one stored result, by its digest or a unique prefix of it, and the blobs that only
        it needs. What running builds need stays."""
        return asdict(await asyncio.to_thread(store.delete, prefix))

    @router.post("/clear")
    @does(Action.MODIFY_RESOURCES, answer=Cleared)
    async def clear() -> dict[str, Any]:
        """Remove everything but what running builds need, installed dependencies too."""
        removed = asdict(await asyncio.to_thread(store.clear))
        return {**removed, "trees": await service.builder.forget_dependencies()}

    @router.post("/verify")
    @does(Action.MODIFY_RESOURCES, answer=VerifyReport)
    async def verify() -> dict[str, Any]:
        """Read every blob, compare it with its name and drop what is damaged."""
        return asdict(await asyncio.to_thread(store.verify))

    @router.post("/fetch")
    @does(Action.TRIGGER_BUILD, answer=FetchedBlob)
    async def fetch(body: FetchBody) -> dict[str, Any]:
        """Get a blob from another member, checked while it comes, unless it is here already."""
        digest = _digest(body.digest)
        began = time.monotonic()
        peer = service.mesh.find(body.node)
        needed = await service.exchange.fetch(digest, peer.key)
        duration_s = time.monotonic() - began
        return {
            "hash": digest.hash,
            "size_bytes": digest.size_bytes,
            "node": peer.node_id,
            "already": not needed,
            "duration_ms": round(duration_s * 1000, 1),
        }

    @router.post("/extract")
    @does(Action.OWN_NODE, answer=Extracted)
    async def extract_result(body: ExtractBody) -> dict[str, Any]:
        """Write what a stored result made to a directory of this host that is new or empty."""
        return asdict(await asyncio.to_thread(extract, store, body.result, body.directory))

    @router.post("/gc")
    @does(Action.MODIFY_RESOURCES, answer=CollectReport)
    async def collect(body: CollectBody) -> dict[str, Any]:
        """Remove what was used longest ago."""
        target = body.target_bytes
        if target is None:
            target = store.capacity_bytes
        return asdict(await asyncio.to_thread(store.collect, target))

    return router


def _digest(text: str) -> Digest:
    found = digest_of(text)
    if found is None:
        raise UsageError(
            f"{text[:80]!r} names no blob",
            hint="write HASH/SIZE, 64 hexadecimal digits and a number of bytes, as `log` in a "
            "build's JSON is",
        )
    return found


def _details(details: ActionDetails | BlobDetails) -> dict[str, Any]:
    if isinstance(details, BlobDetails):
        return {
            "kind": "blob",
            "hash": details.digest.hash,
            "size_bytes": details.digest.size_bytes,
            "used_at": details.used_at,
            "path": str(details.path),
            "actions": [action.hash for action in details.actions],
        }
    record = details.record
    return {
        "kind": "action",
        "hash": record.action.hash,
        "label": record.label,
        "isolation": record.isolation,
        "node": node_id_of(record.worker),
        "created_at": record.created_at,
        "used_at": details.used_at,
        "duration_ms": record.duration_ms,
        "hits": details.hits,
        "blobs": [{"hash": blob.hash, "size_bytes": blob.size_bytes} for blob in record.references],
        "missing": [blob.hash for blob in details.missing],
    }
