"""Work that takes its time, told as JSON lines while it goes on; it ends if who asked hangs up."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.discretion import discreet, is_told_all

Event = dict[str, Any]
Tell = Callable[[Event], None]
_log = logging.getLogger("buildnet.api")


class WorkResponse(Response):
    """Does ``work`` while it is sent: what that tells, and its outcome, are the answer's lines; an
    error is the last of them, with type ``error``."""

    media_type = "application/x-ndjson"

    def __init__(self, work: Callable[[Tell], Awaitable[Event]]) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._work = work
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._do(HTTPConnection(scope)))
            watching = group.create_task(hung_up(receive))
            telling = group.create_task(self._tell(send))
            await asyncio.wait({watching, telling}, return_when=asyncio.FIRST_COMPLETED)
            for task in (working, watching, telling):
                task.cancel()

    async def _do(self, connection: HTTPConnection) -> None:
        try:
            event = await self._work(self._events.put_nowait)
        except BuildNetError as error:
            told = discreet(connection, error)
            event = {"type": "error", **told.as_dict(), "exit_code": told.exit_code}
        except Exception as error:
            _log.exception("what was asked for failed")
            cause = str(error) if is_told_all(connection) else None
            unknown = BuildNetError("the node met an error that it does not know", cause=cause)
            event = {"type": "error", **unknown.as_dict(), "exit_code": unknown.exit_code}
        self._events.put_nowait(event)
        self._events.put_nowait(None)

    async def _tell(self, send: Send) -> None:
        while (event := await self._events.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def hung_up(receive: Receive) -> None:
    """Return once who asked has hung up."""
    while (await receive())["type"] != "http.disconnect":
        pass
