"""Which tests came out differently though nothing was different."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query

from buildnet.node.api.answers.records import FlakyTests
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.auth.actions import Action
from buildnet.node.service import NodeService


def flaky_routes(service: NodeService) -> APIRouter:
    """Return the route of flaky tests."""
    router = declared_router(prefix="/api/tests", tags=["builds"])

    @router.get("/flaky")
    @does(Action.VIEW_BUILDS, answer=FlakyTests)
    async def flaky(
        paged: Paged, workspace: Annotated[str | None, Query(max_length=1024)] = None
    ) -> dict[str, Any]:
        """Tests of the workspaces built on this node that failed and passed in runs of the same
        action, those that did so last first; ``name`` null: the whole command, whose tests are not
        reported."""
        kept = service.builder.workshop.kept_tests
        known = [] if kept is None else await asyncio.to_thread(kept.flaky)
        found = [
            {"workspace": name, "root": root, **asdict(test), "name": test.name or None}
            for name, root, tests in known
            if workspace in (None, name)
            for test in tests
        ]
        found.sort(key=lambda one: one["last_at"], reverse=True)
        part, following = paged.part(found, _which)
        return {"flaky": part, "next": following}

    return router


def _which(one: dict[str, Any]) -> str:
    """Return what tells a test from the others."""
    return "\0".join((one["root"], one["task"], one["name"] or ""))
