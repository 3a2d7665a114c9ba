"""What this node logs, for its owner in a browser or at a terminal elsewhere."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from buildnet.node.api.answers.node_log import NodeLog
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.paging import MOST, number_of
from buildnet.node.auth.actions import Action
from buildnet.node.log_lines import Level
from buildnet.node.service import NodeService


def node_log_routes(service: NodeService) -> APIRouter:
    """Return the route of this node's log."""
    router = declared_router(prefix="/api/node", tags=["node"])

    @router.get("/logs")
    @does(Action.OWN_NODE, answer=NodeLog)
    async def logs(
        level: Literal["debug", "info", "warning", "error", "critical"] = "debug",
        search: Annotated[str, Query(max_length=200)] = "",
        limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
        cursor: Annotated[str | None, Query(max_length=64)] = None,
    ) -> dict[str, Any]:
        """The latest lines of this node's log since it started, the newest first: 5,000 are kept,
        4 MiB at most. ``level``: these and more important ones; ``search``: what stands in them,
        in whatever case. What follows is told on the channel ``node_logs`` of events."""
        # Not on the loop: to search all that is kept takes some 50 ms.
        found, following = await asyncio.to_thread(
            service.log.latest, Level(level), search, limit, number_of(cursor)
        )
        return {
            "lines": [line.as_dict() for line in found],
            "next": None if following is None else str(following),
        }

    return router
