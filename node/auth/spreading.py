"""Carries what is known of keys from node to node: at once over every link, and whole where two
nodes find that they know different things. No coordinator is needed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.events import LinkDown, LinkUp, MembersChanged, Note, Received
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.auth.register import Register
from buildnet.node.auth.register_file import KeysWriteError, RegisterFile
from buildnet.pool.messages.keys import MAX_RECORDS, KeyEnded, KeyMade, KeysHeld, KeysTold

COMPARE_S = 60.0
AGAIN_S = 20.0
"""No sooner all is told to the same node again."""
_A_SECOND, _AT_ONCE = 100.0, 20_000.0
"""Records that one node may bring; each costs a look at a signature."""
_log = logging.getLogger("buildnet.node")

Record = KeyMade | KeyEnded


class KeySpreading:
    """One node's part. ``key``: this node's as it is now; ``on_news``: told once something counts
    no more that counted before, or the member list is another one."""

    def __init__(
        self,
        file: RegisterFile,
        key: Callable[[], NodeKey],
        on_news: Callable[[], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._file = file
        self._key = key
        self._on_news = on_news
        self._clock = clock
        self._cluster: Cluster | None = None
        self._told: dict[bytes, float] = {}
        self._allowed: dict[bytes, Allowance] = {}
        self._unsaved = asyncio.Event()

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._cluster = cluster
        try:
            async with asyncio.TaskGroup() as group:
                working = [group.create_task(self._save()), group.create_task(self._compare())]
                self._endorse(cluster)
                try:
                    yield self
                finally:
                    self._cluster = None
                    for task in working:
                        task.cancel()
        finally:
            self._told.clear()
            self._allowed.clear()

    def tell(self, record: Record) -> None:
        """Take a record that this node has just signed, and tell everybody."""
        cluster = self._cluster
        if cluster is None:
            return
        register = self._register(cluster)
        if register.take(record, cluster.local.members):
            self._news(cluster, [record], but=None)

    async def keep(self, register: Register) -> None:
        """Have what is known on the disk.

        Raises:
            KeysWriteError: it can't be written.
        """
        await self._file.save(register)

    def take(self, event: GuestEvent) -> None:
        """Take note of what happens in the cluster."""
        cluster = self._cluster
        if cluster is None:
            return
        match event:
            case LinkUp(peer):
                cluster.say(peer, KeysHeld(self._register(cluster).digest()))
            case LinkDown(peer):
                self._told.pop(peer, None)
                self._allowed.pop(peer, None)
            case Received(sender, KeysHeld(digest)):
                self._answer(cluster, sender, digest)
            case Received(sender, KeysTold() as told):
                self._learn(cluster, sender, told)
            case MembersChanged():
                self._endorse(cluster)
                self._on_news()

    def _register(self, cluster: Cluster) -> Register:
        return self._file.of(cluster.local.members.cluster_id)

    def _answer(self, cluster: Cluster, peer: bytes, digest: bytes) -> None:
        register, now = self._register(cluster), time.monotonic()
        if digest == register.digest() or now - self._told.get(peer, -AGAIN_S) < AGAIN_S:
            return
        self._told[peer] = now
        for told in register.told():
            cluster.say(peer, told)

    def _learn(self, cluster: Cluster, sender: bytes, told: KeysTold) -> None:
        members = cluster.local.members
        if not members.is_member(sender):
            return
        now = time.monotonic()
        allowed = self._allowed.setdefault(sender, Allowance(_A_SECOND, _AT_ONCE, now))
        records: list[Record] = [*told.ended, *told.made]
        if not allowed.take(len(records), now):
            cluster.note(Note("too many records of keys", sender))
            return
        register = self._register(cluster)
        news = [record for record in records if register.take(record, members)]
        if news:
            self._news(cluster, news, but=sender)

    def _endorse(self, cluster: Cluster) -> None:
        """Sign anew what one who is an admin no more had signed."""
        anew = self._register(cluster).endorse(cluster.local.members, self._key())
        if anew:
            self._news(cluster, anew, but=None)

    def _news(self, cluster: Cluster, records: Sequence[Record], but: bytes | None) -> None:
        self._on_news()
        self._unsaved.set()
        peers = [peer for peer in cluster.local.links if peer != but]
        for at in range(0, len(records), MAX_RECORDS):
            part = records[at : at + MAX_RECORDS]
            made = tuple(one for one in part if isinstance(one, KeyMade))
            ended = tuple(one for one in part if isinstance(one, KeyEnded))
            for peer in peers:
                cluster.say(peer, KeysTold(made, ended))

    async def _compare(self) -> None:
        while True:
            await asyncio.sleep(COMPARE_S)
            cluster = self._cluster
            if cluster is None:
                return
            register = self._register(cluster)
            if register.forget(round(self._clock() * 1000)):
                self._unsaved.set()
            held = KeysHeld(register.digest())
            for peer in cluster.local.links:
                cluster.say(peer, held)

    async def _save(self) -> None:
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            cluster = self._cluster
            if cluster is None:
                return
            try:
                await self._file.save(self._register(cluster))
            except KeysWriteError as error:
                _log.error("%s: %s", error.message, error.cause)
                self._unsaved.set()
                await asyncio.sleep(AGAIN_S)
