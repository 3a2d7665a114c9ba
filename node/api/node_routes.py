"""This node: is it alive and ready, what is it, scan it, stop it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response

from buildnet.node.api.answers.node import (
    Benchmarked,
    NodeStatus,
    Scanned,
    Standing,
    Stopping,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.auth.actions import Action
from buildnet.node.service import NodeService
from buildnet.pool.view import benchmark_view


def node_routes(service: NodeService) -> APIRouter:
    """Return the routes of one node."""
    router = declared_router(tags=["node"])

    @router.get("/health")
    @does(Action.OPEN, answer=Standing)
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "ok"}

    @router.get("/ready")
    @does(Action.OPEN, answer=Standing)
    async def ready(response: Response) -> dict[str, str]:
        """The node answers everything: its stores are open and the host was scanned."""
        if service.stopping.is_set():
            response.status_code = 503
            return {"status": "stopping"}
        if not service.scanned.is_set():
            response.status_code = 503
            return {"status": "scanning"}
        if service.resources is None:
            response.status_code = 503
            return {"status": "scan failed"}
        return {"status": "ready"}

    @router.get("/status")
    @router.get("/api/node")
    @does(Action.VIEW_RESOURCES, answer=NodeStatus)
    async def node(asking: Asking) -> dict[str, Any]:
        """What this node is and does. ``home`` and ``pid`` are for its owner alone."""
        status = {**service.node_status(), "pid": os.getpid()}
        return status if asking.is_owner else {**status, "home": None, "pid": None}

    @router.post("/api/node/scan")
    @does(Action.MODIFY_RESOURCES, answer=Scanned)
    async def scan() -> dict[str, Any]:
        """Scan this host again, asking every program anew."""
        resources = await service.scan(fresh=True)
        return {"success": True, "resources": resources.model_dump(mode="json")}

    @router.post("/api/node/benchmark")
    @does(Action.MODIFY_RESOURCES, answer=Benchmarked)
    async def benchmark() -> dict[str, Any]:
        """Measure how fast this host is, now, and tell the others."""
        await service.scanned.wait()
        found = await service.benchmarks.run()
        service.advertiser.tell(time.monotonic())
        return {"success": True, "benchmark": benchmark_view(found, datetime.now(UTC))}

    @router.post("/api/node/stop", status_code=202)
    @does(Action.OWN_NODE, answer=Stopping)
    async def stop() -> dict[str, Any]:
        """End this node; running builds are cancelled and recorded as that."""
        service.stopping.set()
        return {"success": True, "builds_cancelled": len(service.builder.running())}

    return router
