"""Logging in and out, and who one is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.answers.access import (
    LoginLink,
    OwnSession,
    Ticket,
)
from buildnet.node.api.answers.answer import (
    Success,
)
from buildnet.node.api.declared import Asking, connection_of, declared_router, does
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.cookies import set_cookie
from buildnet.node.auth.logins import CODE_S
from buildnet.node.auth.people import People
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.auth.secret import forgery_token, new_secret
from buildnet.node.auth.sessions import Ended, Grant, Session
from buildnet.node.auth.tickets import TICKET_S
from buildnet.node.service import NodeService


class LoginBody(BaseModel):
    """For whom a link is. ``account``: a person's, none: the owner of this host; ``rights``: no
    more than these; ``actor``: who asks, on the node's socket."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    account: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    rights: Rights | None = None
    actor: Annotated[str, Field(min_length=1, max_length=128)] = "local"


class CodeBody(BaseModel):
    """A code of a link."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: Annotated[str, Field(min_length=1, max_length=128)]


def login_routes(service: NodeService) -> APIRouter:
    """Return the routes of logins and of one's own session."""
    router = declared_router(prefix="/api", tags=["access"])

    def people() -> People:
        return service.access.people

    @router.post("/logins", status_code=201)
    @does(Action.MANAGE_ACCESS, answer=LoginLink, tells_secret=True)
    async def make_link(body: LoginBody, asking: Asking) -> dict[str, Any]:
        """Make a link to log in with on this node, good once and for ten minutes: for an account,
        or for the owner of this host where they ask themselves. A session of a link that was made
        with a key may no more than the key, and ends with it. ``url``: for a browser on this
        host if it can, ``network_url``: for one elsewhere, null: none gets here."""
        code = people().code_for(await _grant(service, body, asking))
        expires = datetime.now(UTC) + timedelta(seconds=CODE_S)
        network = service.way_in.network_page(service.address)
        local = None if service.way_in.has_tls else service.way_in.local_page()
        page = local or network or service.address
        return {
            "url": f"{page}/login#{code}",
            "network_url": None if network is None else f"{network}/login#{code}",
            "expires_at": expires.isoformat(timespec="seconds"),
            "warning": service.way_in.warning,
        }

    @router.post("/login", status_code=201)
    @does(Action.OPEN, answer=OwnSession, tells_secret=True)
    async def log_in(body: CodeBody, request: Request, response: Response) -> dict[str, Any]:
        """Log in with the code of a link, on a page of this node: the answer sets a cookie."""
        return await _opened(service, people().redeem(body.code, request), request, response)

    @router.post("/session", status_code=201)
    @does(Action.VIEW_RESOURCES, answer=OwnSession, tells_secret=True)
    async def log_in_with_key(
        request: Request, response: Response, asking: Asking
    ) -> dict[str, Any]:
        """Log in with a key, on a page of this node; the session may what the key may, and ends
        with it. Not with one that is bound to its agent."""
        people().require_own_page(request)
        if asking.kind is not CallerKind.KEY or asking.body_sha256 is not None:
            raise UsageError(
                "only a key that is bound to no agent opens a session",
                hint="send `Authorization: Bearer KEY`; people use the link of buildnet login",
            )
        return await _opened(service, Grant(asking.actor, key=asking), request, response)

    @router.get("/session")
    @does(Action.VIEW_RESOURCES, answer=OwnSession)
    async def session(request: Request, asking: Asking) -> dict[str, Any]:
        """Who asks, and what they may do; ``csrf``: what a page of this node sends as
        ``X-BuildNet-CSRF`` with whatever changes something; null: without a cookie none is
        needed."""
        found = people().sessions.by_id(asking.credential)
        secret = people().secret_of(request) if asking.kind is CallerKind.SESSION else None
        return _view(service, asking, found, secret)

    @router.delete("/session")
    @does(Action.VIEW_RESOURCES, answer=Success)
    async def log_out(request: Request, response: Response, asking: Asking) -> dict[str, Any]:
        """Log out: end the session of this browser."""
        if asking.kind is not CallerKind.SESSION:
            raise UsageError("there is no session to end", hint="a key is revoked: buildnet key")
        own = connection_of(request)  # the answer to this is not cut off
        await people().end(asking.credential, Ended.LOGGED_OUT, but=own)
        set_cookie(response, people().name, request.url.scheme, "", 0)
        return {"success": True}

    @router.post("/ws-ticket", status_code=201)
    @does(Action.VIEW_BUILDS, answer=Ticket, tells_secret=True)  # as /ws: pages see why it refuses
    async def ticket(asking: Asking) -> dict[str, Any]:
        """A ticket for one WebSocket, as ``?ticket=…``: pages can't send more than an address, and
        cookies count for none."""
        if asking.kind is not CallerKind.SESSION:
            raise UsageError(
                "tickets are for sessions of people", hint="send the key with the WebSocket itself"
            )
        return {"ticket": people().ticket_for(asking), "good_for_s": TICKET_S}

    return router


async def _grant(service: NodeService, body: LoginBody, asking: Caller) -> Grant:
    """Return what a link gives.

    Raises:
        NotAllowedError: who asks may not give that.
        NotFoundError: there is no such account.
    """
    if asking.actions is not None or asking.workspaces is not None:
        raise NotAllowedError(
            "a key that is for some things only makes no logins",
            hint="ask with one without scopes, or on the node's own host",
        )
    if body.account is not None:
        if await service.access.people.account_rights(body.account) is None:
            raise NotFoundError(
                f"there is no account {body.account!r}",
                hint=f"buildnet account add {body.account} --rights builder",
            )
        by = service.access.people.key_of(asking)
        return Grant(body.account, account=True, rights=body.rights, linked_by=by)
    if not asking.is_owner:
        raise NotAllowedError(
            "only who owns this host logs in without an account",
            hint="name one: buildnet login --as NAME",
        )
    return Grant(asking.name(body.actor), rights=body.rights, is_owner=body.rights is None)


async def _opened(
    service: NodeService, grant: Grant, request: Request, response: Response
) -> dict[str, Any]:
    """Open a session, and set its cookie."""
    people, secret = service.access.people, new_secret()
    session, caller = await people.open(grant, request, secret)
    lifetime = session.ends - session.opened
    set_cookie(response, people.name, request.url.scheme, secret, lifetime)
    return _view(service, caller, session, secret)


def _view(
    service: NodeService, caller: Caller, session: Session | None, secret: str | None
) -> dict[str, Any]:
    return {
        "id": None if session is None else session.id,
        "kind": caller.kind.value,
        "actor": caller.actor,
        "rights": None if caller.rights is None else caller.rights.value,
        "is_owner": caller.is_owner,
        "actions": sorted(each.value for each in Action if caller.may(each)),
        "since": None if session is None else _moment(session.opened),
        "ends": None if session is None else _moment(session.ends),
        "idle_s": service.config.sessions.idle,
        "csrf": None if secret is None else forgery_token(secret),
        "node": {"id": service.key.node_id, "name": service.name},
        "warning": service.way_in.warning,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
