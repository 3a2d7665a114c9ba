"""One WebSocket that is told events; it may subscribe again, to something else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.auth.caller import Caller
from buildnet.node.events.channel import Channel, Wanted, require_channels
from buildnet.node.events.event import encoded
from buildnet.node.events.service import Events, Subscription
from buildnet.pool.wording import fault

MESSAGE_MAX_CHARACTERS = 4096
MESSAGES_A_SECOND, MESSAGES_AT_ONCE = 10.0, 100.0
"""What a client may say: each message may have the whole state sent to it."""
ALIVE_EVERY_S = 25.0
SEND_S = 20.0
"""So long one message may take to be sent; who takes longer does not read."""
SUBSCRIBE_WITHIN_S = 30.0
_CLOSE_S = 1.0
GOING_AWAY, POLICY, TOO_BIG, TRY_AGAIN = 1001, 1008, 1009, 1013
_REASON_MAX_BYTES = 120


class Subscribe(BaseModel):
    """What a client asks for; see :class:`~buildnet.node.events.channel.Wanted`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["subscribe"]
    channels: Annotated[frozenset[Channel], Field(min_length=1)]
    cursor: Annotated[str | None, Field(max_length=64)] = None
    build: Annotated[str, Field(max_length=64)] = ""


class Ping(BaseModel):
    """Asks whether the node is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["ping"]


_MESSAGES: TypeAdapter[Subscribe | Ping] = TypeAdapter(
    Annotated[Subscribe | Ping, Field(discriminator="type")]
)


class EventSocket:
    """Serves one connection."""

    def __init__(self, socket: WebSocket, caller: Caller, events: Events) -> None:
        self._socket = socket
        self._caller = caller
        self._events = events
        self._scope = asyncio.timeout(SUBSCRIBE_WITHIN_S)
        self._over = (POLICY, f"nothing was subscribed to within {SUBSCRIBE_WITHIN_S:.0f} s")

    def _end(self, reason: str, code: int = POLICY) -> None:
        self._over = (code, reason)
        self._scope.reschedule(asyncio.get_running_loop().time())

    async def serve(self) -> None:
        """Serve until either side has had enough."""
        await self._socket.accept()
        try:
            async with self._scope, asyncio.TaskGroup() as group:
                await self._listen(group)
        except TimeoutError:
            await self._close()

    async def _close(self) -> None:
        code, reason = self._over
        short = reason.encode()[:_REASON_MAX_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(_CLOSE_S):
                await self._socket.close(code, short)
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            return  # the other side was quicker, or reads nothing

    async def _listen(self, group: asyncio.TaskGroup) -> None:
        """Take what the client says, until it goes."""
        telling: asyncio.Task[None] | None = None
        clock = asyncio.get_running_loop().time
        allowed = Allowance(MESSAGES_A_SECOND, MESSAGES_AT_ONCE, clock())
        while True:
            message = await self._socket.receive()
            if message["type"] != "websocket.receive":
                if telling is not None:
                    telling.cancel()
                return
            if not allowed.take(1, clock()):
                self._end(f"more than {MESSAGES_A_SECOND:.0f} messages a second came")
                continue
            text = message.get("text")
            if text is None or len(text) > MESSAGE_MAX_CHARACTERS:
                self._end(f"a message is text, of at most {MESSAGE_MAX_CHARACTERS}", TOO_BIG)
                continue
            try:
                said = self._understood(text)
            except BuildNetError as error:
                await self._answer(encoded({"type": "error", **error.as_dict()}))
                continue
            if isinstance(said, Ping):
                await self._answer(encoded({"type": "pong", "cursor": self._events.hub.cursor}))
                continue
            if telling is not None:
                telling.cancel()
                await asyncio.wait([telling])
            self._scope.reschedule(None)
            telling = group.create_task(self._tell(said))

    def _understood(self, text: str) -> Subscribe | Ping:
        """Return what a client says, if it may say that.

        Raises:
            UsageError: it makes no sense.
            NotAllowedError: the caller may not see one of the channels.
        """
        try:
            said = _MESSAGES.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            what = fault(first, first["loc"][1:], "the message")  # the first: its type
            raise UsageError(
                f"this message can't be understood: {what}",
                hint='such as {"type": "subscribe", "channels": ["builds"]}',
            ) from error
        if isinstance(said, Subscribe):
            require_channels(self._caller, said.channels)
        return said

    async def _answer(self, text: str) -> None:
        with self._while_it_reads():
            await self._send(text)

    async def _tell(self, said: Subscribe) -> None:
        try:
            wanted = Wanted(said.channels, said.build)
            async with self._events.open(wanted, said.cursor) as subscription:
                with self._while_it_reads():
                    await self._send(subscription.opening.text)
                    await self._tell_all(subscription)
        except BuildNetError as error:
            self._end(error.message, TRY_AGAIN)

    async def _tell_all(self, subscription: Subscription) -> None:
        while subscription.over is None:
            batch = await subscription.next(ALIVE_EVERY_S)
            if batch:
                await self._send(self._events.message(batch))
            elif subscription.over is None:
                await self._send(encoded({"type": "alive", "cursor": self._events.hub.cursor}))
        self._end(subscription.over, TRY_AGAIN)

    @contextmanager
    def _while_it_reads(self) -> Iterator[None]:
        """Let go of a client that takes no more of what is sent to it."""
        try:
            yield
        except (WebSocketDisconnect, RuntimeError):
            return  # it has gone: whoever listens is told so
        except TimeoutError:
            self._end(f"too slow: a message was not taken for {SEND_S:.0f} s", TRY_AGAIN)

    async def _send(self, text: str) -> None:
        message: dict[str, Any] = {"type": "websocket.send", "text": text}
        async with asyncio.timeout(SEND_S):
            await self._socket.send(message)
