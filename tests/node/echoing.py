"""A server whose WebSockets are guarded, and say again what is said to them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import uvicorn

from buildnet.node.websocket_guard import GuardedWebSocket


async def application(scope: Any, receive: Any, send: Any) -> None:
    """Say again what is said."""
    assert scope["type"] == "websocket"
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.receive":
            await send({**message, "type": "websocket.send"})
    told.append((message["code"], message.get("reason")))


told: list[tuple[int, str | None]] = []
"""With what code and reason each ended."""


@contextlib.asynccontextmanager
async def served() -> AsyncIterator[str]:
    config = uvicorn.Config(
        application,
        ws=GuardedWebSocket,
        lifespan="off",
        log_config=None,
        ws_max_size=100_000,
        ws_per_message_deflate=False,
    )
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    config.load()
    server.lifespan = config.lifespan_class(config)
    await server.startup(sockets=[listener])
    try:
        yield f"ws://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        await server.shutdown(sockets=[listener])
        listener.close()
