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
from buildnet.node.certificate import Certificate
from buildnet.node.http_guard import GuardedHttp, Refused, Visitors
from buildnet.node.mixed_listener import MixedListener
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

    def protocol(self) -> asyncio.Protocol:
        """Return what serves a connection that somebody else accepted."""
        made: asyncio.Protocol = self.config.http_protocol_class(  # type: ignore[call-arg]
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return made

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def serving(
    application: ASGIApp,
    listener: socket.socket,
    strangers: Refused | None = None,
    certificate: Certificate | None = None,
) -> AsyncIterator[None]:
    """Serve ``application`` on ``listener`` while the context is open.

    ``strangers`` is told the reason and the address of connections that are ended; with it they
    are bounded in number, time and room. None: who comes here may take what they like. With a
    ``certificate`` TLS is answered too.
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
            ws_per_message_deflate=False,  # the guard packs what is worth it
            ws_ping_interval=None,  # the mesh has its own
            ws_ping_timeout=None,
        )
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=[listener] if certificate is None else []))
        mixed: asyncio.Task[None] | None = None
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                await server.up.wait()
            if certificate is not None:
                refused = strangers or (lambda reason, address: None)
                accepting = MixedListener(listener, server.protocol, certificate.context, refused)
                mixed = group.create_task(accepting.run())
            yield
        finally:
            if mixed is not None:
                mixed.cancel()
            server.should_exit = True


def _protocol(strangers: Refused | None) -> Any:
    """Strangers are bounded; who has the socket may take time, as builds do."""
    if strangers is None:
        return HttpToolsProtocol
    return partial(GuardedHttp, visitors=Visitors(strangers))
