"""Who may ask for what, decided before any route is looked at; closed unless opened here.

The unix socket (mode 0600) gives its user full rights over this node. Over TCP nobody has a key
yet, so only the two questions of load balancers and supervisors are answered, and other nodes are
let in to the mesh, which decides by its own handshake whom it talks to.
"""

from __future__ import annotations

from enum import StrEnum

from starlette.types import ASGIApp, Receive, Scope, Send

from buildnet.node.api.problems import problem_response

PUBLIC = frozenset({("GET", "/health"), ("GET", "/ready"), ("HEAD", "/health"), ("HEAD", "/ready")})
PUBLIC_SOCKETS = frozenset({"/mesh", "/bulk"})


class Origin(StrEnum):
    """Which way a request came in."""

    SOCKET = "socket"
    NETWORK = "network"


class Gate:
    """ASGI middleware that lets a request pass or refuses it; rights come before existence."""

    def __init__(self, application: ASGIApp, origin: Origin) -> None:
        self._application = application
        self._origin = origin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._origin is Origin.SOCKET or _is_public(scope):
            await self._application(scope, receive, send)
        elif scope["type"] == "http":
            refusal = problem_response(
                status=403,
                code="NOT_ALLOWED",
                message="over the network this node answers /health and /ready only",
                hint="ask on the node's own host, where the command line uses the node's socket",
                exit_code=4,
            )
            await refusal(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})


def _is_public(scope: Scope) -> bool:
    if scope["type"] == "http":
        return (scope["method"], scope["path"]) in PUBLIC
    return scope["type"] == "websocket" and scope["path"] in PUBLIC_SOCKETS
