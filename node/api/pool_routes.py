"""The pool: all nodes' resources in one view, as this node knows it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from buildnet.node.api.declared import declared_router, does
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
    @does(Action.VIEW_RESOURCES)
    async def pool(request: Request) -> Response:
        """Cluster, coordinator, nodes, what they have together, and the links between them. What
        other nodes tell is up to a quarter of a second older than it says."""
        text = await texts.now()
        headers = {"etag": text.plain_tag, "vary": "accept-encoding"}
        if text.packed is None or "gzip" not in request.headers.get("accept-encoding", ""):
            return Response(text.plain, media_type=_JSON, headers=headers)
        headers |= {"etag": text.packed_tag, "content-encoding": "gzip"}
        return Response(text.packed, media_type=_JSON, headers=headers)

    @router.get("/nodes")
    @does(Action.VIEW_RESOURCES)
    async def nodes() -> dict[str, Any]:
        """The nodes alone."""
        await service.scanned.wait()
        picture = await service.pool.picture()
        coordinator = coordinator_of(picture.view)
        return {
            "nodes": [node_view(node, picture.at, coordinator) for node in picture.nodes.values()],
            "view": completeness_view(picture.seen),
        }

    @router.get("/resources")
    @does(Action.VIEW_RESOURCES)
    async def resources(type: str | None = None, node: str | None = None) -> dict[str, Any]:
        """Every resource with its owner; ``type`` and ``node`` choose among them."""
        await service.scanned.wait()
        picture = await service.pool.picture()
        entries = pooled_resources(list(picture.nodes.values()), resource_type=type, node=node)
        return {"resources": entries, "view": completeness_view(picture.seen)}

    @router.get("/health")
    @does(Action.VIEW_RESOURCES)
    async def health() -> dict[str, Any]:
        """Each node's status and link, the quorum in words, and what was refused, as seen here."""
        return await service.pool.health()

    return router
