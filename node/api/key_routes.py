"""Keys for agents: make, look at, make anew, revoke."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.answers.access import (
    Keys,
    KnownKey,
    NewKey,
    RevokedKey,
)
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.auth.actions import Action
from buildnet.node.auth.claims import DEFAULT_RATE
from buildnet.node.auth.desk import DEFAULT_VALID_S, Wish
from buildnet.node.auth.scope import MAX_SCOPES
from buildnet.node.service import NodeService

_WhoAsks = Annotated[str, Field(min_length=1, max_length=128)]


class KeyBody(BaseModel):
    """A key to make. ``scope``: what it is for, each ``node:NAME``, ``workspace:NAME`` or
    ``action:ACTION``, none: all that its rights allow; ``valid_s``: for how many seconds it counts
    (a minute to a year); ``bound``: public key (Ed25519, hexadecimal) of the agent that has to sign
    each request; ``rate``: requests a minute."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=64)]
    rights: Rights
    scope: Annotated[
        tuple[Annotated[str, Field(max_length=256)], ...], Field(max_length=MAX_SCOPES)
    ] = ()
    valid_s: float = DEFAULT_VALID_S
    bound: Annotated[str, Field(max_length=64)] | None = None
    rate: int = DEFAULT_RATE
    actor: _WhoAsks = "local"


class RotateBody(BaseModel):
    """Who asks."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actor: _WhoAsks = "local"


class RevokeBody(RotateBody):
    """Who asks, and why."""

    reason: Annotated[str, Field(max_length=200)] = ""


def key_routes(service: NodeService) -> APIRouter:
    """Return the routes of keys."""
    router = declared_router(prefix="/api/keys", tags=["access"])

    @router.post("", status_code=201)
    @does(Action.MANAGE_ACCESS, answer=NewKey, by_admin=True, tells_secret=True)
    async def create(body: KeyBody, asking: Asking) -> dict[str, Any]:
        """Make a key; this answer is the only place where it stands, as `key`. The node of an admin
        signs it; others send a request with a key there. Who asks with a key makes none with more
        rights, nor one that counts longer."""
        wish = Wish(body.name, body.rights, body.scope, body.valid_s, body.bound, body.rate)
        return await service.access.desk.create(wish, asking, asking.name(body.actor))

    @router.get("")
    @does(Action.MANAGE_ACCESS, answer=Keys)
    async def keys(paged: Paged) -> dict[str, Any]:
        """All keys that this node knows of, by name, also for 30 days after their time is over;
        `status` is valid, expired or revoked."""
        found, following = paged.part(service.access.desk.all(), lambda one: str(one["id"]))
        return {"keys": found, "next": following}

    @router.get("/{name}")
    @does(Action.MANAGE_ACCESS, answer=KnownKey)
    async def key(name: str) -> dict[str, Any]:
        """One key by its name, its id or the beginning of that."""
        return service.access.desk.one(name)

    @router.post("/{name}/rotate")
    @does(Action.MANAGE_ACCESS, answer=NewKey, by_admin=True, tells_secret=True)
    async def rotate(name: str, body: RotateBody, asking: Asking) -> dict[str, Any]:
        """Make a key anew under its id: the one from before counts no more, at once here and within
        a second on every node that is connected."""
        return await service.access.desk.rotate(name, asking, asking.name(body.actor))

    @router.post("/{name}/revoke")
    @does(Action.MANAGE_ACCESS, answer=RevokedKey, by_admin=True)
    async def revoke(name: str, body: RevokeBody, asking: Asking) -> dict[str, Any]:
        """Revoke a key for ever, and those that were made with it: at once here, within a second on
        every node that is connected, on others once they are. Whoever is connected with it is cut
        off. No quorum is needed."""
        return await service.access.desk.revoke(name, body.reason, asking.name(body.actor))

    return router
