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
from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.peer_questions import Question, Questions
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
_log = logging.getLogger("buildnet.pool")


@dataclass(slots=True, kw_only=True)
class _Question(Question):
    blobs: Sequence[Digest]
    holders: dict[Digest, list[bytes]] = field(default_factory=dict)


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
        self._questions: Questions[_Question] = Questions()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        async with self._questions.joined(cluster):
            yield self

    def take(self, event: GuestEvent) -> None:
        """Take note of a message, or of a peer that is gone."""
        match event:
            case Received(sender, HoldersAsk() as ask):
                self._asked(sender, ask)
            case Received(sender, HoldersAnswer(request, has)):
                question = self._questions.of(request, sender)
                if question is not None:
                    for place in has:
                        if place < len(question.blobs):
                            question.holders.setdefault(question.blobs[place], []).append(sender)
                    question.peers.discard(sender)
                    question.settle()
            case LinkDown(peer):
                self._questions.gone(peer)

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
        cluster = self._questions.cluster
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
        question = _Question(peers=set(peers), blobs=blobs)
        await self._questions.ask(cluster, ask.request, ask, question, ANSWER_S)
        return question.holders

    def _asked(self, sender: bytes, ask: HoldersAsk) -> None:
        cluster = self._questions.cluster
        if cluster is None or not may_ask(cluster.local.members, sender):
            return
        if self._questions.may_answer(cluster, sender, "HoldersAsk"):
            self._questions.answer(cluster, sender, lambda: self._answer(cluster, sender, ask))

    async def _answer(self, cluster: Cluster, sender: bytes, ask: HoldersAsk) -> None:
        blobs = [each.digest for each in ask.blobs]
        lacking = set(await asyncio.to_thread(self._store.missing, blobs))
        has = tuple(place for place, blob in enumerate(blobs) if blob not in lacking)
        cluster.say(sender, HoldersAnswer(ask.request, has))


async def _nothing() -> None:
    return None
