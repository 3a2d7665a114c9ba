"""The same events as server-sent ones, for who has no WebSocket: ``curl``, scripts."""

from __future__ import annotations

import asyncio

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.events.channel import Wanted
from buildnet.node.events.event import encoded
from buildnet.node.events.joined import sse
from buildnet.node.events.service import Events
from buildnet.node.events.socket import ALIVE_EVERY_S, SEND_S

EVENT_STREAM = "text/event-stream"


class EventStream(Response):
    """An answer that goes on until either side has had enough."""

    media_type = EVENT_STREAM

    def __init__(self, wanted: Wanted, cursor: str | None, events: Events) -> None:
        super().__init__(headers={"cache-control": "no-store", "x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._wanted = wanted
        self._cursor = cursor
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell events until either side has had enough."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            until_gone = asyncio.timeout(None)
            watching = group.create_task(_watch(receive, until_gone))
            try:
                async with until_gone:
                    why = await self._tell(send)
                over = encoded({"type": "over", "reason": why})
                await _say(send, f"event: over\ndata: {over}\n\n", more=False)
            except TimeoutError:
                return  # it has gone, or reads nothing
            finally:
                watching.cancel()

    async def _tell(self, send: Send) -> str:
        """Tell events for as long as there are any; return why there are no more."""
        try:
            async with self._events.open(self._wanted, self._cursor) as subscription:
                opening = subscription.opening
                first = "resumed" if opening.resumed else "snapshot"
                await _say(send, f"id: {opening.cursor}\nevent: {first}\ndata: {opening.text}\n\n")
                while subscription.over is None:
                    batch = await subscription.next(ALIVE_EVERY_S)
                    await _say(send, sse(batch) if batch else ": alive\n\n")
                return subscription.over
        except BuildNetError as error:
            return error.message


async def _say(send: Send, text: str, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_S):
        await send({"type": "http.response.body", "body": text.encode(), "more_body": more})


async def _watch(receive: Receive, until_gone: asyncio.Timeout) -> None:
    """Note when the other side hangs up."""
    while (await receive())["type"] != "http.disconnect":
        continue
    until_gone.reschedule(asyncio.get_running_loop().time())
