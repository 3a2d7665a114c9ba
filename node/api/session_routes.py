"""Who uses this node and the others, and what an admin does about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller
from buildnet.node.service import NodeService
from buildnet.pool.messages.people import END, HAND_OVER, LIST


class HandOverBody(BaseModel):
    """Whose the builds are from now on: an account, ``agent:NAME`` of a key, or another name that
    builds are asked for under. ``actor``: who asks, on the node's socket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Annotated[str, Field(min_length=1, max_length=128)]
    actor: Annotated[str, Field(min_length=1, max_length=128)] = "local"


def session_routes(service: NodeService) -> APIRouter:
    """Return the routes of sessions."""
    router = declared_router(prefix="/api/sessions", tags=["access"])

    @router.get("")
    @does(Action.VIEW_RESOURCES)
    async def sessions(asking: Asking) -> dict[str, Any]:
        """Who uses the nodes of the cluster: from where, since when, what they do and how far it
        is. Who may not manage access sees themselves, on this node. ``silent``: the nodes that did
        not tell, and why."""
        if asking.may(Action.MANAGE_ACCESS):
            told = await service.access.board.everywhere(LIST)
            return {"sessions": told.found, "silent": told.silent, "left_out": told.left_out}
        return {"sessions": await _own(service, asking), "silent": [], "left_out": 0}

    @router.get("/{session}")
    @does(Action.VIEW_RESOURCES)
    async def show_session(session: str, asking: Asking) -> dict[str, Any]:
        """One of them, by the beginning of its id."""
        found = (await sessions(asking))["sessions"]
        whole = whole_id(found, session)
        if whole is None:
            raise _none(session)
        return next(dict(each) for each in found if each["id"] == whole)

    @router.delete("/{session}")
    @does(Action.VIEW_RESOURCES)
    async def end_session(
        session: str,
        asking: Asking,
        reason: Annotated[str, Query(max_length=1000)] = "",
        actor: Annotated[str, Query(min_length=1, max_length=128)] = "local",
    ) -> dict[str, Any]:
        """End a session, or cut off who has none: one's own, or for who manages access anybody's,
        on whichever node. Builds that were begun in it go on."""
        by = asking.name(actor)
        whole = str((await show_session(session, asking))["id"])
        board = service.access.board
        if asking.may(Action.MANAGE_ACCESS):
            told = await board.everywhere(END, whose=whole, actor=by, reason=reason)
            ended = told.found
        else:
            ended = await board.here(END, whole, "", by, reason)
        if not ended:
            raise _none(session)
        return {"success": True, "sessions": ended}

    @router.post("/{session}/hand-over")
    @does(Action.CANCEL_BUILD)
    async def hand_over_builds(session: str, body: HandOverBody, asking: Asking) -> dict[str, Any]:
        """Let the builds of a session, or of an actor, be another actor's from now on: one's own,
        or for an admin anybody's, on whichever node."""
        by = asking.name(body.actor)
        found = (await sessions(asking))["sessions"]
        whose = whole_id(found, session) or session
        board = service.access.board
        if asking.may(Action.MANAGE_ACCESS):
            told = await board.everywhere(HAND_OVER, whose=whose, to=body.to, actor=by)
            builds = told.found
        else:
            builds = await board.desk.hand_over(whose, body.to, by, only=asking.actor)
        if not builds:
            raise NotFoundError(
                f"no build of {session!r:.80} runs", hint="buildnet session list shows them"
            )
        return {"success": True, "to": body.to, "builds": builds}

    return router


async def _own(service: NodeService, asking: Caller) -> list[dict[str, Any]]:
    everybody = await service.access.board.here(LIST, "", "", "", "")
    return [each for each in everybody if each["actor"] == asking.actor]


def whole_id(found: Iterable[dict[str, Any]], session: str) -> str | None:
    """Return the id that is ``session``, or the only one that begins so; None: there is none. That
    several nodes tell of the same one does not make it another."""
    ids = {each["id"] for each in found if len(session) >= 4 and each["id"].startswith(session)}
    if session in ids:
        return session
    return ids.pop() if len(ids) == 1 else None


def _none(session: str) -> NotFoundError:
    return NotFoundError(
        f"there is no session {session!r:.80}", hint="buildnet session list shows them"
    )
