"""Events: what happens in the pool, as it happens, over a WebSocket or as server-sent events."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Response, WebSocket

from buildnet.node.api.declared import Asking, caller_of, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.auth.actions import Action
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.auth.same_site import OtherSiteError
from buildnet.node.events.channel import FOR_ALL, Channel, Wanted, require_channels
from buildnet.node.events.service import TooManyReadersError
from buildnet.node.events.socket import POLICY, EventSocket
from buildnet.node.events.stream import EventStream
from buildnet.node.service import NodeService


def event_routes(service: NodeService) -> APIRouter:
    """Return the routes of events."""
    router = declared_router(tags=["events"])

    @router.get("/events", response_class=Response, responses=answers_as("text/event-stream"))
    @does(Action.VIEW_BUILDS)
    async def stream(
        asking: Asking,
        channels: Annotated[list[Channel] | None, Query()] = None,
        build: Annotated[str, Query(max_length=64)] = "",
        cursor: Annotated[str | None, Query(max_length=64)] = None,
        last_event_id: Annotated[str | None, Header(max_length=64)] = None,
    ) -> EventStream:
        """What happens in the pool, as server-sent events; it does not end by itself. ``channels``
        may be given several times; without it, all but ``sessions`` and ``node_logs``. ``build``:
        of builds, queue and logs only what concerns the one with this id. The first event is a
        ``snapshot`` of the state, or, after ``Last-Event-ID`` (or ``cursor``), ``resumed``, if what
        came since is still known. Before the node hangs up an event ``over`` says why."""
        wanted = Wanted(frozenset(channels or FOR_ALL), build)
        require_channels(asking, wanted.channels)

        return EventStream(wanted, last_event_id or cursor, service.events)

    @router.websocket("/ws")
    @does(Action.VIEW_BUILDS)
    async def socket(socket: WebSocket) -> None:
        """The same over a WebSocket: see docs/reference/events.md."""
        caller = caller_of(socket)
        try:
            caller.require(Action.VIEW_BUILDS)
            caller.require_everything()
            if "origin" in socket.headers:  # programs send none
                service.access.people.require_own_page(socket)
            with service.events.seat(caller.counted_as):
                await EventSocket(socket, caller, service.events).serve()
        except (NotAllowedError, OtherSiteError, TooManyReadersError) as error:
            await socket.close(POLICY, error.message)  # before it was accepted

    return router
