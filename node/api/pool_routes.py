"""The pool: all nodes' resources in one view, as this node knows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter

from buildnet.node.service import NodeService
from buildnet.pool.view import node_view, pool_status, pooled_resources


def pool_routes(service: NodeService) -> APIRouter:
    """Return the routes of the pooled view."""
    router = APIRouter(prefix="/api/pool", tags=["pool"])

    @router.get("")
    async def pool() -> dict[str, Any]:
        """Cluster, coordinator, nodes, what they have together, and the links between them."""
        return pool_status(
            cluster_id=service.cluster["id"],
            cluster_name=service.cluster["name"],
            coordinator=None,
            nodes=await service.nodes(),
            now=datetime.now(UTC),
        )

    @router.get("/nodes")
    async def nodes() -> dict[str, Any]:
        """The nodes alone."""
        now = datetime.now(UTC)
        return {"nodes": [node_view(node, now) for node in await service.nodes()]}

    @router.get("/resources")
    async def resources(type: str | None = None, node: str | None = None) -> dict[str, Any]:
        """Every resource with its owner; ``type`` and ``node`` choose among them."""
        entries = pooled_resources(await service.nodes(), resource_type=type, node=node)
        return {"resources": entries}

    return router
