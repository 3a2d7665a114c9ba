"""Who asks, found out before any route is looked at; closed to those who are nobody.

The unix socket (mode 0600) gives its user full rights over this node; a credential that is brought
along counts in their place. Over the network a request without one gets to open routes only, and
does not learn which others there are. What a caller may do each route declares (``declared.py``).
An answer that goes on for long is cut off once the credential counts no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from starlette.requests import HTTPConnection
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.cut_off import POLICY_VIOLATION, Answer
from buildnet.node.api.declared import action_of
from buildnet.node.api.head import as_get
from buildnet.node.api.problems import problem_of
from buildnet.node.api.short_paths import whole_path
from buildnet.node.auth.actions import Action
from buildnet.node.auth.authenticator import Authenticator
from buildnet.node.auth.caller import NOBODY, Caller, CallerKind
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.refusal import TooManyConnectionsError
from buildnet.node.http_guard import WELCOME


class Gate:
    """ASGI middleware that tells the application who asks, or refuses; ``routes``: all that the
    application has; ``otherwise``: who asks without a credential; ``connections``: keeps those that
    are open."""

    def __init__(
        self,
        application: ASGIApp,
        routes: Sequence[BaseRoute],
        authenticator: Authenticator,
        otherwise: Caller,
        connections: Connections,
    ) -> None:
        self._application = application
        self._open = [route for route in routes if action_of(route) is Action.OPEN]
        self._otherwise = otherwise
        self._authenticator = authenticator
        self._connections = connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return
        # Here, and not at the port: a request that another node sent on bears the path that its
        # agent signed.
        scope["path"] = whole_path(scope["path"])
        caller = self._otherwise
        if caller is not NOBODY or not self._is_open(scope):
            try:
                caller = await self._authenticator.caller(HTTPConnection(scope), caller)
                if caller is NOBODY:
                    NOBODY.require(Action.VIEW_RESOURCES)
                _introduce(caller, scope)
            except BuildNetError as refusal:
                await refuse(refusal, scope, receive, send)
                return
        scope.setdefault("state", {})["caller"] = caller
        if caller is NOBODY or caller.kind is CallerKind.NODE:  # which is cut off with its link
            await self._application(scope, receive, send)
        else:
            await self._answer(caller, scope, receive, send)

    async def _answer(self, caller: Caller, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer for as long as the caller's credential counts."""
        task, answer = asyncio.current_task(), Answer(scope, receive, send)
        assert task is not None
        what = f"{scope.get('method', 'WebSocket')} {scope['path']}"

        def end(why: str) -> None:
            task.cancel(why)

        with self._connections.track(caller, end, what) as connection:
            scope["state"]["connection"] = connection.number
            try:
                await self._application(scope, receive, answer.send)
            except asyncio.CancelledError:
                if connection.ended is None or task.uncancel() > 0:
                    raise
        if connection.ended is not None:
            await answer.cut_off(connection.ended)

    def _is_open(self, scope: Scope) -> bool:
        asked = as_get(scope)
        return any(route.matches(asked)[0] is Match.FULL for route in self._open)


def _introduce(caller: Caller, scope: Scope) -> None:
    """Tell the guard of the connection who this is.

    Raises:
        TooManyConnectionsError: they have too many.
    """
    guard = scope.get("extensions", {}).get(WELCOME)
    if guard is not None and caller.credential and not guard["know"](caller.counted_as):
        raise TooManyConnectionsError(
            f"{caller.actor} has too many connections open", hint="close some, or use them again"
        )


async def refuse(refusal: BuildNetError, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or close a WebSocket, with why it is turned away."""
    if scope["type"] == "http":
        await problem_of(refusal)(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": POLICY_VIOLATION})
