"""Serving the application: on the unix socket and on the TCP port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from buildnet.node.api.peer_routes import BULK_MAX_BYTES
from buildnet.node.http_guard import GuardedHttp, Refused, Visitors
from buildnet.node.websocket_guard import GuardedWebSocket

_START_TIMEOUT_S = 10.0
_GRACE_S = 5


class _Server(uvicorn.Server):
    """uvicorn that tells when it is up and leaves signals alone: the daemon ends its servers."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    application: ASGIApp, listener: socket.socket, strangers: Refused | None = None
) -> AsyncIterator[None]:
    """Serve ``application`` on ``listener`` while the context is open.

    ``strangers`` is told the reason and the address of connections that are ended; with it they
    are bounded in number, time and room. None: who comes here may take what they like.
    """
    server = _Server(
        uvicorn.Config(
            application,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
            http=_protocol(strangers),
            ws=GuardedWebSocket,
            ws_max_size=BULK_MAX_BYTES,
            ws_per_message_deflate=False,  # what comes is encrypted; and a bomb can't be hidden
            ws_ping_interval=None,  # the mesh has its own
            ws_ping_timeout=None,
        )
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener]))
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await server.up.wait()
            yield
        finally:
            server.should_exit = True


def _protocol(strangers: Refused | None) -> Any:
    """Strangers are bounded; who has the socket may take time, as builds do."""
    if strangers is None:
        return HttpToolsProtocol
    return partial(GuardedHttp, visitors=Visitors(strangers))
