"""Who asks, found out before any route is looked at; closed to those who are nobody.

The unix socket (mode 0600) gives its user full rights over this node; a credential that is brought
along counts in their place. Over the network a request without one gets to open routes only, and
does not learn which others there are. What a caller may do each route declares (``declared.py``).
"""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.declared import action_of
from buildnet.node.api.problems import problem_of
from buildnet.node.auth.actions import Action
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, Caller

_POLICY_VIOLATION = 1008


class Gate:
    """ASGI middleware that tells the application who asks, or refuses; ``routes``: all that the
    application has; ``otherwise``: who asks without a credential."""

    def __init__(
        self,
        application: ASGIApp,
        routes: Sequence[BaseRoute],
        authenticator: Authenticator,
        otherwise: Caller,
    ) -> None:
        self._application = application
        self._open = [route for route in routes if action_of(route) is Action.OPEN]
        self._otherwise = otherwise
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        caller = self._otherwise
        if caller is not NOBODY or not self._is_open(scope):
            try:
                caller = await self._authenticator.caller(HTTPConnection(scope), caller)
                if caller is NOBODY:
                    NOBODY.require(Action.VIEW_RESOURCES)
            except BuildNetError as refusal:
                await _refuse(refusal, scope, receive, send)
                return
        scope.setdefault("state", {})["caller"] = caller
        await self._application(scope, receive, send)

    def _is_open(self, scope: Scope) -> bool:
        return any(route.matches(scope)[0] is Match.FULL for route in self._open)


async def _refuse(refusal: BuildNetError, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await problem_of(refusal)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
