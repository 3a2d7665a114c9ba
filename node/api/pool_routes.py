"""The pool: all nodes' resources in one view, as this node knows it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from buildnet.node.api.answers.pool import (
    Pool,
    PoolHealth,
    PoolNodes,
    PoolResources,
)
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.encodings import takes_gzip
from buildnet.node.api.paging import Paged
from buildnet.node.api.pool_text import PoolTexts
from buildnet.node.auth.actions import Action
from buildnet.node.service import NodeService
from buildnet.pool.membership import coordinator_of
from buildnet.pool.view import completeness_view, node_view, pooled_resources

_JSON = "application/json"


def pool_routes(service: NodeService) -> APIRouter:
    """Return the routes of the pooled view."""
    router = declared_router(prefix="/api/pool", tags=["pool"])
    texts = PoolTexts(service)

    @router.get("", response_model=dict[str, Any])
    @does(Action.VIEW_RESOURCES, answer=Pool)
    async def pool(request: Request) -> Response:
        """Cluster, coordinator, nodes, what they have together, and the links between them. What
        other nodes tell is up to a quarter of a second older than it says."""
        text = await texts.now()
        headers = {"etag": text.plain_tag, "vary": "accept-encoding"}
        if text.packed is None or not takes_gzip(request):
            return Response(text.plain, media_type=_JSON, headers=headers)
        headers |= {"etag": text.packed_tag, "content-encoding": "gzip"}
        return Response(text.packed, media_type=_JSON, headers=headers)

    @router.get("/nodes")
    @does(Action.VIEW_RESOURCES, answer=PoolNodes)
    async def nodes(paged: Paged) -> dict[str, Any]:
        """The nodes alone."""
        await service.scanned.wait()
        picture = await service.pool.picture()
        coordinator = coordinator_of(picture.view)
        found, following = paged.part(list(picture.nodes.values()), lambda node: node.id)
        return {
            "nodes": [node_view(node, picture.at, coordinator) for node in found],
            "next": following,
            "view": completeness_view(picture.seen),
        }

    @router.get("/resources")
    @does(Action.VIEW_RESOURCES, answer=PoolResources)
    async def resources(
        paged: Paged, type: str | None = None, node: str | None = None
    ) -> dict[str, Any]:
        """Every resource with its owner; ``type`` and ``node`` choose among them."""
        await service.scanned.wait()
        picture = await service.pool.picture()
        entries = pooled_resources(list(picture.nodes.values()), resource_type=type, node=node)
        found, following = paged.part(entries, _resource_name)
        view = completeness_view(picture.seen)
        return {"resources": found, "next": following, "view": view}

    @router.get("/health")
    @does(Action.VIEW_RESOURCES, answer=PoolHealth)
    async def health() -> dict[str, Any]:
        """Each node's status and link, the quorum in words, and what was refused, as seen here."""
        return await service.pool.health()

    return router


def _resource_name(entry: dict[str, Any]) -> str:
    path = entry["resource"].get("path")
    return f"{entry['node_id']} {entry['type']} {entry['name']} {path}"
