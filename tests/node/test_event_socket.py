"""One WebSocket of events, over a connection that is played."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from starlette.websockets import WebSocket

from buildnet.node.auth.caller import OWNER
from buildnet.node.events.service import Events
from buildnet.node.events.socket import MESSAGES_AT_ONCE, POLICY, EventSocket


class Chatter:
    """A client that says the same without end."""

    def __init__(self) -> None:
        self.answers = 0
        self.closed: tuple[int, str] | None = None

    async def accept(self) -> None:
        await asyncio.sleep(0)

    async def receive(self) -> dict[str, Any]:
        await asyncio.sleep(0)
        return {"type": "websocket.receive", "text": '{"type": "ping"}'}

    async def send(self, message: dict[str, Any]) -> None:
        self.answers += 1

    async def close(self, code: int, reason: str) -> None:
        self.closed = code, reason


def test_who_says_too_much_is_let_go() -> None:
    client = Chatter()

    async def serve() -> None:
        await EventSocket(cast(WebSocket, client), OWNER, Events()).serve()

    asyncio.run(asyncio.wait_for(serve(), 10))
    assert client.closed == (POLICY, "more than 10 messages a second came")
    assert MESSAGES_AT_ONCE <= client.answers < 2 * MESSAGES_AT_ONCE
