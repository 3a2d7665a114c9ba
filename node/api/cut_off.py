"""How an answer ends that is cut off: as its form allows, so that who reads it knows why."""

from __future__ import annotations

import json
from collections.abc import Mapping

from starlette.types import Message, Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.problems import problem_of

POLICY_VIOLATION = 1008
_REASON_BYTES = 120  # a close frame has room for 123
_LAST: Mapping[bytes, bytes] = {
    b"application/x-ndjson": b"%s\n",
    b"text/event-stream": b"event: error\ndata: %s\n\n",
}


class Answer:
    """Sends what an application sends, and remembers how far that is."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._last: bytes | None = None
        self._begun = False
        self._over = False
        self._within_a_line = False

    async def send(self, message: Message) -> None:
        """Send a message of the application."""
        if message["type"] == "http.response.start":
            self._begun = True
            kind = dict(message.get("headers", ())).get(b"content-type", b"")
            self._last = _LAST.get(kind.partition(b";")[0])
        elif message["type"] == "http.response.body":
            body = message.get("body", b"")
            self._within_a_line = bool(body) and not body.endswith(b"\n")
            self._over = not message.get("more_body", False)
        elif message["type"] == "websocket.close":
            self._over = True
        await self._send(message)

    async def cut_off(self, why: BuildNetError) -> None:
        """End it. An answer whose form has no room for the reason just breaks off."""
        if self._over:
            return
        if self._scope["type"] == "websocket":
            reason = why.message.encode()[:_REASON_BYTES].decode(errors="ignore")
            await self._send(
                {"type": "websocket.close", "code": POLICY_VIOLATION, "reason": reason}
            )
        elif not self._begun:
            await problem_of(why)(self._scope, self._receive, self._send)
        elif self._last is not None:
            event = {"type": "error", **why.as_dict(), "exit_code": why.exit_code}
            line = b"\n" * self._within_a_line + self._last % json.dumps(event).encode()
            await self._send({"type": "http.response.body", "body": line})
