"""Where the port answers TLS, requests that come without it from other hosts are turned away.

What they brought along was readable on the way already; so nobody gets used to it. Links between
nodes encrypt by themselves, and whether a node lives is no secret.
"""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.entrance import is_loopback
from buildnet.node.api.gate import refuse

_WITHOUT = frozenset({"/health", "/ready", "/mesh", "/bulk"})


class TlsRequiredError(BuildNetError):
    """A request came without TLS."""

    code = "TLS_REQUIRED"
    exit_code = 2
    http_status = 403


class EncryptedOnly:
    """ASGI middleware in front of the gate of a port that has TLS."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("scheme") in ("https", "wss") or _may_do_without(scope):
            await self._application(scope, receive, send)
        else:
            error = TlsRequiredError(
                "this node takes requests from other hosts with TLS only",
                hint="begin the address with https://",
            )
            await refuse(error, scope, receive, send)


def _may_do_without(scope: Scope) -> bool:
    if scope.get("path") in _WITHOUT:
        return True
    client = scope.get("client")
    return client is not None and is_loopback(client[0])
