"""Who uses this node and the others, and what an admin does about it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.answers.access import (
    EndedSessions,
    HandedOver,
    Presence,
    Presences,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.auth import actors
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller
from buildnet.node.auth.sent_away import own_session
from buildnet.node.auth.successor import successor
from buildnet.node.service import NodeService
from buildnet.node.session_board import Told
from buildnet.pool.messages.people import END, HAND_OVER, LIST


class HandOverBody(BaseModel):
    """Whose the builds are from now on: ``account:NAME``, for which the name alone will do,
    ``agent:NAME`` of a key, or another name that builds are asked for under. ``actor``: who asks,
    on the node's socket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    to: Annotated[str, Field(min_length=1, max_length=128)]
    actor: Annotated[str, Field(min_length=1, max_length=128)] = "local"


def session_routes(service: NodeService) -> APIRouter:
    """Return the routes of sessions."""
    router = declared_router(prefix="/api/sessions", tags=["access"])

    async def seen(asking: Caller) -> Told:
        """Return those whom somebody may see: all, all of this node, or themselves there. A link
        for less than the owner has bears the owner's name, but not the owner."""
        if _is_for_all(asking):
            return await service.access.board.everywhere(LIST)
        found = await service.access.board.here(LIST, "", "", "", "")
        if asking.may(Action.MANAGE_ACCESS):
            return Told(found, [])
        own = [one for one in found if one["actor"] == asking.actor and not one["is_owner"]]
        return Told(own, [])

    async def one(asking: Caller, session: str) -> dict[str, Any]:
        found = (await seen(asking)).found
        whole = whole_id(found, session)
        if whole is None:
            raise _none(session)
        return next(each for each in found if each["id"] == whole)

    async def actor_of(name: str) -> str:
        """Return whom a name means: an account, where there is one of that name."""
        is_account = await service.access.people.account_rights(name) is not None
        return actors.account(name) if is_account else name

    @router.get("", response_model=None)
    @does(Action.VIEW_RESOURCES, answer=Presences)
    async def sessions(asking: Asking, paged: Paged, request: Request) -> Response | dict[str, Any]:
        """Who uses the nodes of the cluster: from where, since when, what they do and how far it
        is. Who may not manage access sees themselves, on this node. ``silent``: the nodes that did
        not tell, and why."""
        if (elsewhere := await _by_admin(request, asking)) is not None:
            return elsewhere
        told = await seen(asking)
        found, following = paged.part(told.found, lambda one: f"{one['id']} {one.get('node_id')}")
        return {
            "sessions": found,
            "next": following,
            "silent": told.silent,
            "left_out": told.left_out,
        }

    @router.get("/{session}", response_model=None)
    @does(Action.VIEW_RESOURCES, answer=Presence)
    async def show_session(
        session: str, asking: Asking, request: Request
    ) -> Response | dict[str, Any]:
        """One of them, by the beginning of its id."""
        elsewhere = await _by_admin(request, asking)
        return await one(asking, session) if elsewhere is None else elsewhere

    @router.delete("/{session}", response_model=None)
    @does(Action.VIEW_RESOURCES, answer=EndedSessions)
    async def end_session(
        session: str,
        asking: Asking,
        request: Request,
        reason: Annotated[str, Query(max_length=1000)] = "",
        actor: Annotated[str, Query(min_length=1, max_length=128)] = "local",
    ) -> Response | dict[str, Any]:
        """End a session, or cut off who has none: one's own but for that which asks, or for who
        manages access anybody's, on whichever node. Builds that were begun in it go on."""
        own = service.access.connections.name_of(asking)
        if whole_id([{"id": own}], session) is not None:
            raise own_session(asking, own)
        if (elsewhere := await _by_admin(request, asking)) is not None:
            return elsewhere
        by = asking.name(actor)
        whole = str((await one(asking, session))["id"])
        board = service.access.board
        if _is_for_all(asking):
            ended = (await board.everywhere(END, whose=whole, actor=by, reason=reason)).found
        else:
            ended = await board.here(END, whole, "", by, reason)
        if not ended:
            raise _none(session)
        return {"success": True, "sessions": ended}

    @router.post("/{session}/hand-over", response_model=None)
    @does(Action.CANCEL_BUILD, answer=HandedOver)
    async def hand_over_builds(
        session: str, body: HandOverBody, asking: Asking, request: Request
    ) -> Response | dict[str, Any]:
        """Let the builds of a session, or of an actor, be another actor's from now on: one's own,
        or for an admin anybody's, on whichever node. Whose they are then has to be there, and may
        cancel builds; ``warning``: what this node can't know of them."""
        if (elsewhere := await _by_admin(request, asking)) is not None:
            return elsewhere
        by = asking.name(body.actor)
        whose = whole_id((await seen(asking)).found, session) or await actor_of(session)
        people, board = service.access.people, service.access.board
        taking = await successor(body.to, people.account_rights, service.access.desk.all())
        to = taking.name
        if _is_for_all(asking):
            told = await board.everywhere(HAND_OVER, whose=whose, to=to, actor=by)
            builds = told.found
        else:
            only = None if asking.may(Action.MANAGE_ACCESS) else asking.actor
            builds = await board.desk.hand_over(whose, to, by, only=only)
        if not builds:
            raise NotFoundError(
                f"no build of {session!r:.80} runs", hint="buildnet session list shows them"
            )
        warning = taking.warning({str(each.get("workspace")) for each in builds})
        return {"success": True, "to": to, "builds": builds, "warning": warning}

    return router


def _is_for_all(asking: Caller) -> bool:
    """Tell whether somebody sees and changes who uses any node of the cluster."""
    return asking.may(Action.MANAGE_ACCESS) and asking.nodes is None


async def _by_admin(request: Request, asking: Caller) -> Response | None:
    """Return the answer of the node of an admin, which others tell who uses them; None: this node
    answers."""
    if not _is_for_all(asking):
        return None
    found: Response | None = await request.app.state.admins.answer(request)
    return found


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
