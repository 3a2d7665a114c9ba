"""How the pool stands besides its nodes and builds: the channel ``pool``.

Of the ledger it tells how far it is sealed. Of what is long, or not for everybody, it tells only
that it is different now, and which route to ask: so who shows it need not ask again and again.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from buildnet.mesh.errors import BuildNetError
from buildnet.node.events.channel import Channel
from buildnet.node.events.hub import Hub
from buildnet.node.events.service import Ready
from buildnet.node.events.view import Kinds
from buildnet.node.ledger_upkeep_view import store_view
from buildnet.pool.membership import connections
from buildnet.pool.view import Connection, connection_status

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

KINDS = Kinds("pool_changed", "pool_changed", "pool_changed")
LEDGER = "ledger"
LOOK_EVERY_S = 1.0
STORE_EVERY_S = 5.0
LINKS_EVERY_S = 10.0
_REST_S = 0.05
_REST = 10.0
"""Looking again waits so many times as long as looking took of the processor."""
_SLICE = 500
_LINK_MS = 0.5
_LINK_SHARE = 0.2
"""A round trip is another one from so much on, in milliseconds and of what it was."""
DRIFTING = frozenset(
    {
        *("age_s", "last_age_s", "last_heard_s", "status_for_s", "for_s", "latency_ms"),
        *("loop_lag_ms", "traffic", "bytes", "bytes_sent", "bytes_received", "queued"),
        *("height", "sealed_at", "unsealed", "since"),
    }
)
"""Keys whose values change all the time, and alone are no news."""


@dataclass(slots=True)
class _Look:
    """What is looked at: under which id it is told, which route has it, how often it is looked at,
    and what it was."""

    id: str
    ask: str
    every_s: float
    look: Callable[[], Awaitable[object]]
    at: float = 0.0
    was: object = None
    changes: int = -1


class StandingSource:
    """Looks at what changes without anybody saying so."""

    channels = frozenset({Channel.POOL})

    def __init__(self, service: NodeService, hub: Hub) -> None:
        self._service = service
        self._hub = hub

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        await self._service.scanned.wait()
        links = Links()
        looks = (
            _Look("health", "/api/pool/health", LOOK_EVERY_S, self._health),
            _Look("admission", "/api/node/requests", LOOK_EVERY_S, self._admission),
            _Look("dead_letters", "/api/dead-letters", LOOK_EVERY_S, self._letters),
            _Look("builds", "/api/builds", LOOK_EVERY_S, self._builds),
            _Look("store", "/api/ledger/store", STORE_EVERY_S, self._store),
            _Look("links", "/api/pool", LINKS_EVERY_S, lambda: self._links(links)),
        )
        with self._service.tail.listening() as news:
            while True:
                news.clear()
                began = time.thread_time()
                self.show_height(time.time())
                for each in looks:
                    await self._take(each)
                ready(Channel.POOL)
                await asyncio.sleep(max(_REST_S, _REST * (time.thread_time() - began)))
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_EVERY_S):
                        await news.wait()

    def show_height(self, now: float) -> None:
        """Take in how far the ledger is sealed here."""
        ledger = self._service.ledger.open_now
        last = None if ledger is None else ledger.core.last
        item = {"height": 0 if last is None else last.height}
        self._hub.put(Channel.POOL, LEDGER, item, KINDS, now)

    async def _take(self, each: _Look) -> None:
        if time.monotonic() - each.at < each.every_s and each.changes >= 0:
            return
        each.at = time.monotonic()
        try:
            found = await each.look()
        except BuildNetError as error:  # so it can't be shown now, which is news, too
            found = error.code
        if each.changes >= 0 and found == each.was:
            return
        each.was, each.changes = found, each.changes + 1
        item = {"ask": each.ask, "changes": each.changes}
        self._hub.put(Channel.POOL, each.id, item, KINDS, time.time())

    async def _health(self) -> object:
        return settled(await self._service.pool.health())

    async def _admission(self) -> object:
        mesh = self._service.mesh
        waiting = [one.id for one in mesh.requests()]
        return waiting, [(one.id, one.uses_left) for one in mesh.invitations()]

    async def _letters(self) -> object:
        return [one.id for one in self._service.dead_letters.all()]

    async def _builds(self) -> object:
        return self._service.pool_builds.version

    async def _store(self) -> object:
        ledger = self._service.ledger.open_now
        if ledger is None:
            return None
        return settled(await store_view(ledger, self._service.pool.sealing()))

    async def _links(self, links: Links) -> object:
        service = self._service
        picture = await service.pool.picture()
        rates = service.exchange.bandwidths()
        found = connections(picture.view, picture.words, service.mesh.round_trip_s, rates)
        now: dict[tuple[str, str], Connection] = {}
        for number, each in enumerate(found, 1):
            now[each.from_node, each.to_node] = each
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        return links.changes(now)


class Links:
    """Tells when links have become others: not with each measurement, but when one is new, gone, or
    clearly faster or slower."""

    def __init__(self) -> None:
        self._told: Mapping[tuple[str, str], Connection] = {}
        self._changes = 0

    def changes(self, now: Mapping[tuple[str, str], Connection]) -> int:
        """Take in the links as they are now; return how often they have become others."""
        told = self._told
        if now.keys() != told.keys() or any(_differs(told[key], one) for key, one in now.items()):
            self._told, self._changes = now, self._changes + 1
        return self._changes


def _differs(one: Connection, other: Connection) -> bool:
    if one.estimated != other.estimated or _word(one) != _word(other):
        return True
    was_ms, is_ms = one.latency_ms, other.latency_ms
    if was_ms is None or is_ms is None:
        return was_ms is not is_ms
    return abs(is_ms - was_ms) > max(_LINK_MS, _LINK_SHARE * was_ms)


def _word(one: Connection) -> str | None:
    if one.latency_ms is None:
        return None
    return connection_status(one.latency_ms, one.bandwidth_mbps)


def settled(value: Any) -> Any:
    """Return a value of JSON without what changes all the time."""
    if isinstance(value, dict):
        return {key: settled(each) for key, each in value.items() if key not in DRIFTING}
    if isinstance(value, list):
        return [settled(each) for each in value]
    return value
