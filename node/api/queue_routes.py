"""The queue: which builds run and wait in the cluster, and what people want of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.node.api.answers.builds import (
    Queue,
    QueueChanged,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.api.queue_changing import change_queue
from buildnet.node.auth.actions import Action
from buildnet.node.queue_access import queue_of
from buildnet.node.service import NodeService
from buildnet.pool.demand import Priority

PriorityName = Literal["critical", "high", "normal", "low"]


class QueueBody(BaseModel):
    """Who wants it, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: Annotated[str, Field(max_length=128)] = "local"
    reason: Annotated[str, Field(max_length=1000)] = ""


class PriorityBody(QueueBody):
    """How urgent a build is from now on."""

    priority: PriorityName


class MoveBody(QueueBody):
    """The place of a build in the queue, from 1."""

    place: Annotated[int, Field(ge=1, le=100_000)]


def queue_routes(service: NodeService) -> APIRouter:
    """Return the routes of the queue."""
    router = declared_router(prefix="/api/queue", tags=["queue"])

    @router.get("")
    @does(Action.VIEW_BUILDS, answer=Queue, within=True)
    async def queue(asking: Asking, paged: Paged) -> dict[str, Any]:
        """All builds that run or wait in the cluster, who comes next first; with a key for some
        workspaces those of them. Where ``complete`` is false nobody coordinates now, and only those
        of this node are there."""
        found = await queue_of(service).view()
        seen = [each for each in found["builds"] if asking.reaches(each["workspace"])]
        builds, following = paged.part(seen, lambda one: str(one["build_id"]))
        return found | {"builds": builds, "next": following}

    @router.post("/pause")
    @does(Action.MANAGE_NODES, answer=QueueChanged)
    async def pause_all(body: QueueBody, request: Request) -> Any:
        """Let no build of the cluster start commands; what runs ends. For admins."""
        return await _change("pause", "", body, request)

    @router.post("/resume")
    @does(Action.MANAGE_NODES, answer=QueueChanged)
    async def resume_all(body: QueueBody, request: Request) -> Any:
        """Let builds start commands again. For admins."""
        return await _change("resume", "", body, request)

    @router.post("/{build_id}/pause")
    @does(Action.CANCEL_BUILD, answer=QueueChanged, within=True)
    async def pause(build_id: str, body: QueueBody, request: Request) -> Any:
        """Let a build start no commands; what runs ends."""
        return await _change("pause", build_id, body, request)

    @router.post("/{build_id}/resume")
    @does(Action.CANCEL_BUILD, answer=QueueChanged, within=True)
    async def resume(build_id: str, body: QueueBody, request: Request) -> Any:
        """Let a build start commands again."""
        return await _change("resume", build_id, body, request)

    @router.post("/{build_id}/cancel")
    @does(Action.CANCEL_BUILD, answer=QueueChanged, within=True)
    async def cancel(build_id: str, body: QueueBody, request: Request) -> Any:
        """Ask for the end of a build, whichever node drives it. Where several asked for the same
        it ends once none of them wants it: ``goes_on`` tells that others do. An admin, and the
        owner of the node that drives it, end it for all."""
        return await _change("cancel", build_id, body, request)

    @router.post("/{build_id}/priority")
    @does(Action.CANCEL_BUILD, answer=QueueChanged, within=True)
    async def priority(build_id: str, body: PriorityBody, request: Request) -> Any:
        """Change how urgent a build is."""
        return await _change(
            "priority", build_id, body, request, int(Priority[body.priority.upper()])
        )

    @router.post("/{build_id}/move")
    @does(Action.CANCEL_BUILD, answer=QueueChanged, within=True)
    async def move(build_id: str, body: MoveBody, request: Request) -> Any:
        """Put a build at a place of the queue: an admin among all, others among those of their
        node. Those before it keep their places."""
        return await _change("move", build_id, body, request, body.place)

    async def _change(
        what: str, build: str, body: QueueBody, request: Request, value: int = 0
    ) -> dict[str, Any] | Response:
        return await change_queue(
            service, request, what, build, actor=body.actor, reason=body.reason, value=value
        )

    return router
