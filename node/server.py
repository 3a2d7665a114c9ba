"""Serving the application: everything on the unix socket, little on the TCP port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import uvicorn

from buildnet.node.api.gate import Gate, Origin

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
async def serving(application: Any, listener: socket.socket, origin: Origin) -> AsyncIterator[None]:
    """Serve ``application`` on ``listener`` while the context is open.

    Requests that come in are marked with ``origin``, which decides what they may ask for.
    """
    server = _Server(
        uvicorn.Config(
            Gate(application, origin),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_S,
            server_header=False,
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
