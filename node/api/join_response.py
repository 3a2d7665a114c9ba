"""A join as it goes: the steps as JSON lines while a person waits for an admin's approval."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.service.service import Joined
from buildnet.node.service import NodeService


def joined_view(service: NodeService, joined: Joined) -> dict[str, Any]:
    """Return the JSON of ``node join``."""
    return {
        "success": True,
        "cluster": {"id": joined.cluster_id.hex(), "name": joined.cluster_name},
        "node_id": service.key.node_id,
        "members": joined.members,
        "already": joined.already,
    }


class JoinResponse(Response):
    """Joins while it is sent, and ends the attempt if who asked hangs up."""

    media_type = "application/x-ndjson"

    def __init__(self, service: NodeService, address: str | None, token: str | None) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._service = service
        self._address = address
        self._token = token
        self._events: asyncio.Queue[dict[str, Any] | None] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with asyncio.TaskGroup() as group:
            joining = group.create_task(self._join())
            watching = group.create_task(_hung_up(receive))
            telling = group.create_task(self._tell(send))
            await asyncio.wait({watching, telling}, return_when=asyncio.FIRST_COMPLETED)
            for task in (joining, watching, telling):
                task.cancel()

    async def _join(self) -> None:
        try:
            joined = await self._service.join(self._address, self._token, self._pending)
        except BuildNetError as error:
            event = {"type": "error", **error.as_dict(), "exit_code": error.exit_code}
        else:
            event = {"type": "joined", **joined_view(self._service, joined)}
        self._events.put_nowait(event)
        self._events.put_nowait(None)

    def _pending(self, code: str) -> None:
        self._events.put_nowait(
            {"type": "pending", "code": code, "node_id": self._service.key.node_id}
        )

    async def _tell(self, send: Send) -> None:
        while (event := await self._events.get()) is not None:
            line = json.dumps(event).encode() + b"\n"
            await send({"type": "http.response.body", "body": line, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
