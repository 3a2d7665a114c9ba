"""Blobs from whoever has them nearest, not only from the one who is sure to have them."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Note, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.pool_results import FetchAll, may_ask
from buildnet.node.store import Store, StoreFullError
from buildnet.pool.messages.holders import MAX_BLOBS, HoldersAnswer, HoldersAsk
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.nearest import assign, worth_asking

ANSWER_S = 0.05
"""Who takes longer is not near."""
WORTH_BYTES = 1 << 20
"""Less is fetched at once: to ask would take as long."""
_SMALL_BYTES = 16 * 1024
"""Blobs that are not asked for one by one."""
_PEERS_ASKED = 8
_ASKS_AT_ONCE = 4
"""Questions of one member that are worked on; more are dropped."""
_log = logging.getLogger("buildnet.pool")


@dataclass(slots=True)
class _Question:
    blobs: Sequence[Digest]
    peers: set[bytes]
    holders: dict[Digest, list[bytes]] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event)


class NearestHolder:
    """One node's side of it, as who asks and as who answers. :meth:`guest` is for the mesh.

    ``fetch_all`` gets blobs from one member; ``latency_ms`` tells round trips to others, by key.
    """

    def __init__(
        self,
        store: Store,
        fetch_all: FetchAll,
        latency_ms: Callable[[], Mapping[bytes, float]],
    ) -> None:
        self._store = store
        self._fetch_all = fetch_all
        self._latency_ms = latency_ms
        self._cluster: Cluster | None = None
        self._questions: dict[bytes, _Question] = {}
        self._working: dict[bytes, int] = {}

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._cluster = cluster
        try:
            yield self
        finally:
            self._cluster = None
            for question in self._questions.values():
                question.over.set()

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, HoldersAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, HoldersAnswer(request, has)):
                question = self._questions.get(request)
                if question is not None and sender in question.peers:
                    for place in has:
                        if place < len(question.blobs):
                            question.holders.setdefault(question.blobs[place], []).append(sender)
                    self._answered(question, sender)
            case LinkDown(peer):
                for question in self._questions.values():
                    self._answered(question, peer)

    def _answered(self, question: _Question, peer: bytes) -> None:
        question.peers.discard(peer)
        if not question.peers:
            question.over.set()

    async def fetch_all(self, blobs: Iterable[Digest], peer: bytes) -> None:
        """Get blobs that ``peer`` has, the large ones from whoever is nearest and has them, too.
        What that one does not send after all comes from ``peer``.

        Raises:
            BuildNetError: see :meth:`BlobExchange.fetch_all`.
        """
        wanted = tuple(dict.fromkeys(blobs))
        large = sorted(
            (blob for blob in wanted if blob.size_bytes >= _SMALL_BYTES),
            key=lambda blob: -blob.size_bytes,
        )[:MAX_BLOBS]
        if sum(blob.size_bytes for blob in large) < WORTH_BYTES:
            await self._fetch_all(wanted, peer)
            return
        latency_ms = self._latency_ms()
        holders = await self._holders(large, peer, latency_ms)
        parts = assign(wanted, holders, peer, latency_ms)
        mine = parts.pop(peer, [])
        left = await asyncio.gather(
            self._fetch_all(mine, peer) if mine else _nothing(),
            *(self._some(part, host) for host, part in parts.items()),
        )
        missing = [blob for part in left if part is not None for blob in part]
        if missing:
            await self._fetch_all(missing, peer)

    async def _some(self, blobs: Sequence[Digest], host: bytes) -> Sequence[Digest]:
        """Fetch from one who said to have them; return what did not come."""
        try:
            await self._fetch_all(blobs, host)
        except StoreFullError:
            raise
        except BuildNetError as error:
            _log.info("not all came from %s, which is nearer: %s", node_id_of(host), error.message)
            lacking = await asyncio.to_thread(self._store.missing, blobs)
            return tuple(lacking)
        return ()

    async def _holders(
        self, blobs: Sequence[Digest], sure: bytes, latency_ms: Mapping[bytes, float]
    ) -> Mapping[Digest, Collection[bytes]]:
        """Ask those who are near which of the blobs they have."""
        cluster = self._cluster
        if cluster is None:
            return {}
        local = cluster.local
        near = {
            peer: latency_ms[peer]
            for peer in local.links
            if peer in latency_ms and local.alive(peer) and local.members.is_member(peer)
        }
        if sure in latency_ms:
            near[sure] = latency_ms[sure]
        peers = worth_asking(near, sure, _PEERS_ASKED)
        if not peers:
            return {}
        ask = HoldersAsk(os.urandom(16), tuple(map(WireDigest.of, blobs)))
        question = self._questions[ask.request] = _Question(blobs, set(peers))
        try:
            for peer in peers:
                cluster.say(peer, ask)
            async with asyncio.timeout(ANSWER_S):
                await question.over.wait()
        except TimeoutError:
            pass
        finally:
            del self._questions[ask.request]
        return question.holders

    def _asked(self, sender: bytes, ask: HoldersAsk) -> None:
        cluster = self._cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if self._working.get(sender, 0) >= _ASKS_AT_ONCE:
            cluster.note(Note("too many questions", sender, "HoldersAsk"))
            return
        self._working[sender] = self._working.get(sender, 0) + 1
        cluster.spawn(lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: HoldersAsk) -> None:
        blobs = [each.digest for each in ask.blobs]
        try:
            lacking = set(await asyncio.to_thread(self._store.missing, blobs))
        finally:
            self._working[sender] -= 1
            if not self._working[sender]:
                del self._working[sender]
        has = tuple(place for place, blob in enumerate(blobs) if blob not in lacking)
        cluster.say(sender, HoldersAnswer(ask.request, has))


async def _nothing() -> None:
    return None
