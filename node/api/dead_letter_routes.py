"""What was given up: commands that no host could run, or that failed on several."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from buildnet.node.api.answers.builds import (
    Letter,
    Letters,
    Removed,
    RetriedBuild,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.running import BuildRequest
from buildnet.node.service import NodeService


class RetryBody(BaseModel):
    """Who asks, and the values of the variables that commands inherit by ``env_inherit``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    environment: dict[str, str] = Field(default_factory=dict)
    actor: str = "local"


def dead_letter_routes(service: NodeService) -> APIRouter:
    """Return the routes of the dead-letter list."""
    router = declared_router(prefix="/api/dead-letters", tags=["builds"])

    @router.get("")
    @does(Action.VIEW_BUILDS, answer=Letters)
    async def all_letters(paged: Paged) -> dict[str, Any]:
        """The list, the latest first."""
        found, following = paged.part(list(service.dead_letters.all()), lambda one: one.id)
        return {"letters": [each.as_dict() for each in found], "next": following}

    @router.get("/{letter}")
    @does(Action.VIEW_BUILDS, answer=Letter)
    async def show(letter: str) -> dict[str, Any]:
        """One of them, by its id or the beginning of it."""
        return service.dead_letters.find(letter).as_dict()

    @router.post("/{letter}/retry", status_code=202)
    @does(Action.TRIGGER_BUILD, answer=RetriedBuild)
    async def retry(letter: str, body: RetryBody, asking: Asking) -> dict[str, Any]:
        """Begin a build of what was given up, with what it depends on; it leaves the list once it
        has run."""
        found, reach = service.dead_letters.find(letter), Reach(service)
        reach.environment(asking, body.environment)
        request = BuildRequest(
            directory=await reach.directory(asking, Path(found.root)),
            packages=(found.package,),
            task=found.task,
            environment=body.environment,
            actor=asking.name(body.actor),
        )
        running = await service.builder.start(request)
        running.askers.add(request.actor)
        return {"build_id": running.id}

    @router.delete("")
    @does(Action.MANAGE_NODES, answer=Removed, here=True)
    async def clear() -> dict[str, Any]:
        """Forget all."""
        return {"removed": await asyncio.to_thread(service.dead_letters.remove)}

    @router.delete("/{letter}")
    @does(Action.MANAGE_NODES, answer=Removed, here=True)
    async def forget(letter: str) -> dict[str, Any]:
        """Forget one."""
        found = service.dead_letters.find(letter)
        return {"removed": await asyncio.to_thread(service.dead_letters.remove, [found.id])}

    return router
