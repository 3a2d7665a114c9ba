"""Who uses the nodes: the channel ``sessions``, for those who manage access.

It tells only that somebody came, went or does something else now, and which route to ask. This node
looks at its own users each second. Others don't tell theirs unasked: they are asked every few
seconds while somebody listens here, and at once when the ledger tells of a login or its end.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from buildnet.ledger.query import Query
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.events.channel import Channel
from buildnet.node.events.hub import Hub
from buildnet.node.events.service import Ready
from buildnet.node.events.view import Kinds
from buildnet.pool.messages.people import LIST

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

KINDS = Kinds("sessions_changed", "sessions_changed", "sessions_changed")
SESSIONS = "sessions"
ASK = "/api/sessions"
LOOK_EVERY_S = 1.0
OTHERS_EVERY_S = 5.0
LASTING_S = 2
"""A connection that is open for so long counts as one: a single request does not."""
_DRIFTING = frozenset({"requests", "last", "connections", "left_ms", "running"})
_TENS_OF_SECONDS = len("2026-11-22T07:45:0")


class SessionSource:
    """Looks at who uses the nodes."""

    channels = frozenset({Channel.SESSIONS})

    def __init__(self, service: NodeService, hub: Hub) -> None:
        self._service = service
        self._hub = hub
        self._heard = asyncio.Event()
        self._was: object = None
        self._changes = -1

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        board = self._service.access.board
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hear())
            while True:
                self._heard.clear()
                here = node_id_of(self._service.mesh.key)
                told = await board.everywhere(LIST)
                others = [one for one in told.found if one.get("node_id", here) != here]
                until = time.monotonic() + OTHERS_EVERY_S
                while not self._heard.is_set() and time.monotonic() < until:
                    own = await board.here(LIST, "", "", "", "")
                    self.show([*own, *others], told.silent, time.time())
                    ready(Channel.SESSIONS)
                    with suppress(TimeoutError):
                        async with asyncio.timeout(LOOK_EVERY_S):
                            await self._heard.wait()

    async def _hear(self) -> None:
        """Note what the ledger tells of logins, on whichever node; without it, time does."""
        parts = self._service.tail.parts(
            Query(types=("session.*",)), cursor=None, last=0, ended=asyncio.Event(), rest_s=0.5
        )
        with suppress(BuildNetError):
            async with aclosing(parts):
                async for part in parts:
                    if part:
                        self._heard.set()

    def show(self, found: Sequence[Mapping[str, Any]], silent: object, now: float) -> None:
        """Take in who is there now."""
        seen = sorted((settled(one, now) for one in found), key=str), silent
        if seen != self._was:
            self._was, self._changes = seen, self._changes + 1
            item = {"ask": ASK, "changes": self._changes}
            self._hub.put(Channel.SESSIONS, SESSIONS, item, KINDS, now)


def settled(one: Mapping[str, Any], now: float) -> dict[str, Any]:
    """Return what is worth telling of somebody: whether they have a connection open, else in which
    ten seconds they were heard last. What other nodes tell may have any form."""
    kept: dict[str, Any] = _without_drift(one)
    lasting = datetime.fromtimestamp(now - LASTING_S, UTC).isoformat(timespec="seconds")
    connections = one.get("connections")
    kept["connected"] = any(
        isinstance(each, dict) and str(each.get("since")) <= lasting
        for each in (connections if isinstance(connections, list) else ())
    )
    if not kept["connected"]:
        kept["heard"] = str(one.get("last"))[:_TENS_OF_SECONDS]
    return kept


def _without_drift(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_drift(each) for key, each in value.items() if key not in _DRIFTING}
    if isinstance(value, list):
        return [_without_drift(each) for each in value]
    return value
