"""HEAD is answered as GET would be, without the body (RFC 9110, 9.3.2), by every route."""

from __future__ import annotations

from starlette.types import Message, Scope, Send


def is_head(scope: Scope) -> bool:
    """Tell whether a request asks for the head of an answer alone."""
    return bool(scope["type"] == "http" and scope["method"] == "HEAD")


def as_get(scope: Scope) -> Scope:
    """Return what routes take a request for: HEAD for GET, any other for what it is."""
    return {**scope, "method": "GET"} if is_head(scope) else scope


def head_of(scope: Scope, send: Send) -> Send:
    """Return what sends the answer to a request, or its head alone where that is asked for. An
    answer that would go on for long is over with it: the server tells whoever makes it that the
    client is gone."""
    if not is_head(scope):
        return send

    async def head_alone(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body", "body": b""})

    return head_alone
