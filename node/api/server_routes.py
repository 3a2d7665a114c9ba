"""Servers: the hosts of the pool, by the people's word for them. Add, look at, drain, change and
remove them while builds run."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from shlex import join
from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.api.answers.answer import (
    NodeDone,
)
from buildnet.node.api.answers.pool import (
    Server,
    ServerInvitation,
    Servers,
    ServerTold,
)
from buildnet.node.api.declared import caller_of, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.api.saved_routes import Document, WhoAsks
from buildnet.node.api.sending_on import send_on
from buildnet.node.auth.actions import Action
from buildnet.node.hosts import InFlight
from buildnet.node.pool_reader import Picture
from buildnet.node.service import NodeService
from buildnet.node.terms import Terms
from buildnet.pool.membership import coordinator_of
from buildnet.pool.view import completeness_view, find_node, server_view


class ServerBusyError(BuildNetError):
    """A server that is to be removed still works."""

    code = "SERVER_BUSY"
    exit_code = 3
    http_status = 409


class AddBody(BaseModel):
    """How the new server's node is to be called; None: as its host. ``valid_s``: how long the
    invitation works, 1 second to 30 days; ``terms``: the tags and limits that it comes up with, as
    PUT of a server has them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    valid_s: float = 3600
    terms: dict[str, Any] = {}


def server_routes(service: NodeService) -> APIRouter:
    """Return the routes of servers."""
    router = declared_router(prefix="/api/servers", tags=["servers"])

    async def find(wanted: str) -> tuple[Picture, bytes]:
        picture = await service.pool.picture()
        node = find_node(list(picture.nodes.values()), wanted)
        return picture, next(key for key, each in picture.nodes.items() if each is node)

    async def say(
        wanted: str, change: Terms, actor: str, request: Request
    ) -> dict[str, Any] | Response:
        asking = caller_of(request)
        picture, key = await find(wanted)
        node = picture.nodes[key]
        if key == picture.view.me:
            if not asking.is_owner:
                service.hosts.require_consent(change)
            found = await service.hosts.say(None, change, asking.name(actor))
        elif asking.is_owner:
            found = await service.hosts.say(key, change, asking.name(actor))
        else:
            return await send_on(service.access.forwarding, request, key, node.name)
        return {"success": True, "node_id": node.id, "name": node.name, **asdict(found)}

    @router.get("")
    @does(Action.VIEW_RESOURCES, answer=Servers)
    async def servers(paged: Paged) -> dict[str, Any]:
        """All hosts of the pool: whether they take work of others, why not, and for whom they
        work."""
        picture = await service.pool.picture()
        coordinator = coordinator_of(picture.view)
        found, following = paged.part(list(picture.nodes.values()), lambda node: node.id)
        return {
            "servers": [server_view(node, picture.at, coordinator) for node in found],
            "next": following,
            "view": completeness_view(picture.seen),
        }

    @router.post("", status_code=201)
    @does(Action.MANAGE_NODES, answer=ServerInvitation, by_admin=True, tells_secret=True)
    async def add(body: AddBody) -> dict[str, Any]:
        """Invite a host: ``command`` starts its node, with the ``terms`` in its node.yaml, and
        joins the cluster."""
        said = Terms.of(body.terms).as_settings()
        made = await service.mesh.invite(valid_s=body.valid_s, uses=1)
        members = service.pool.view().members
        is_taken = body.name is not None and body.name in {each.name for each in members}
        warnings = [
            f"a node is called {body.name} already: of two, people have to name one by its id"
            if is_taken
            else None,
            await service.way_in_problem(),
        ]
        peer = service.address.removeprefix("http://")
        words = ["--name", body.name] if body.name is not None else []
        for key, value in said.items():
            words += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
        words += ["--join", peer, "--token", made.token]
        return {
            "id": made.id,
            "token": made.token,
            "command": f"buildnet node start --detach {join(words)}",
            "expires_at": datetime.fromtimestamp(made.expires, UTC).isoformat(timespec="seconds"),
            "warning": "; ".join(filter(None, warnings)) or None,
        }

    @router.get("/{name}")
    @does(Action.VIEW_RESOURCES, answer=Server)
    async def server(name: str) -> dict[str, Any]:
        """One host by its node's name, id, or the unique beginning of its id."""
        picture, key = await find(name)
        return server_view(picture.nodes[key], picture.at, coordinator_of(picture.view))

    @router.post("/{name}/drain")
    @does(Action.MODIFY_RESOURCES, answer=ServerTold)
    async def drain(name: str, request: Request, actor: WhoAsks = "local") -> Any:
        """Have a host take no new work of others; what runs, runs to its end. Answers at once, with
        what is in flight there: ``leases``, ``running`` commands of others, ``builds`` of its own.
        To say it again changes nothing."""
        return await say(name, Terms(draining=True), actor, request)

    @router.post("/{name}/resume")
    @does(Action.MODIFY_RESOURCES, answer=ServerTold)
    async def resume(name: str, request: Request, actor: WhoAsks = "local") -> Any:
        """Have a host take work of others again."""
        return await say(name, Terms(draining=False), actor, request)

    @router.put("/{name}")
    @does(Action.MODIFY_RESOURCES, answer=ServerTold)
    async def update(name: str, body: Document, request: Request, actor: WhoAsks = "local") -> Any:
        """Change a host's tags and narrow its limits, in force at once: ``tags``, ``max_cores``,
        ``max_commands``, ``max_memory_gb``, ``accept_remote_builds``, ``priority_weight``,
        ``local_only_hours``; null: as its node.yaml says. Of another node only admins, and only
        where its owner allows it (``scheduling.accept_changes``)."""
        change = Terms.of(body)
        if not change.given:
            raise UsageError("nothing is to change", hint="name a tag or a limit")
        return await say(name, change, actor, request)

    @router.delete("/{name}")
    @does(Action.MANAGE_NODES, answer=NodeDone, by_admin=True)
    async def remove(name: str, force: bool = False) -> dict[str, Any]:
        """Take a host out of the pool. Without ``force`` it has to be drained, with nothing in
        flight (``SERVER_BUSY``); with it, commands that run there run elsewhere."""
        picture, key = await find(name)
        node = picture.nodes[key]
        if key == picture.view.me:
            raise UsageError(
                "this is the node that you ask: it can't remove itself",
                hint="buildnet node leave, or ask another node",
            )
        if not force:
            _check_idle(node.name, await service.hosts.say(key, Terms(), "local"))
        gone = await service.mesh.remove(node.id)
        return {"success": True, "node_id": gone.node_id, "name": gone.name}

    return router


def _check_idle(name: str, found: InFlight) -> None:
    """See that nothing goes on at a server that is to be removed.

    Raises:
        ServerBusyError: something does, or may begin at any time.
    """
    if not found.draining:
        raise ServerBusyError(
            f"{name} is not drained: it may get work at any time",
            hint=f"buildnet server drain {name}, or remove it with --force",
        )
    if found.leases or found.builds:
        raise ServerBusyError(
            f"{name} still works: {found.leases} leases, {found.builds} builds of its own",
            hint="wait until it is idle, or remove it with --force",
        )
