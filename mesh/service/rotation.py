"""Changes of keys that this node did not hear of: of its own one, or of those that it knows.

The cluster may have made the change of its key final and the node have died before it heard of it.
Then its old key is refused everywhere, and a member shows the chain to nobody but the new one: it
is asked under that.

A node that was away while all that it knows got other keys finds nobody who is a member, as far as
it knows, and nobody whom it would believe. But to those it is a member still, so they show it the
chain as to who joins, and that proves itself: each change of a key is in it, signed by the old one.
"""

from __future__ import annotations

import asyncio
import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Received
from buildnet.mesh.identity import NodeKey, load_or_create
from buildnet.mesh.link.dialing import dial
from buildnet.mesh.link.links import close_quietly
from buildnet.mesh.members.changes import rotate
from buildnet.mesh.members.invitation import SECRET_BYTES, new_token
from buildnet.mesh.members.member_list import Refused
from buildnet.mesh.messages.gossip import Records
from buildnet.mesh.messages.member_log import Entries
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.joining import Admission, Applicant
from buildnet.mesh.service.opening import (
    MeshSettings,
    SeedFact,
    prepare_joining,
    upcoming_key_path,
)
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.store import StateClosedError

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 60.0
_ASK_S = 15.0
_log = logging.getLogger("buildnet.mesh")


class KeyRotation(ABC):
    """The part of a node's mesh that gives it a new key."""

    on_new_key: Callable[[NodeKey], None]
    """Told of a key that takes the old one's place by itself, after an interruption."""

    _key: NodeKey
    _settings: MeshSettings
    _state: StateDirectory
    _turn: asyncio.Lock

    @property
    @abstractmethod
    def cluster(self) -> Cluster:
        """The cluster that this node takes part in now."""

    @abstractmethod
    def _alone(self) -> AbstractAsyncContextManager[None]: ...

    @abstractmethod
    async def _change_clusters(self, plan: Callable[[], Awaitable[None]]) -> None: ...

    async def rotate_key(self, path: Path) -> NodeKey:
        """Give this node a new key: the old one signs it, the members confirm it, ``path`` holds it
        then. The node goes on under it."""
        async with self._alone():
            cluster = self.cluster
            upcoming = upcoming_key_path(path)
            again = upcoming.exists()  # what became of that one is not known
            new = load_or_create(upcoming)
            try:
                await cluster.change(
                    rotate(cluster.local.members.cluster_id, self._key.public_key, new)
                )
            except BuildNetError as error:
                if cluster.local.members.current(self._key.public_key) != new.public_key:
                    if isinstance(error, Refused) and not again:
                        upcoming.unlink(missing_ok=True)
                    raise
                _log.warning("rotated although: %s", error.message)

            await self._go_on_as(new, path)
            return new

    async def _go_on_as(self, new: NodeKey, path: Path) -> None:
        cluster = self.cluster

        async def plan() -> None:
            await cluster.write_identity(self._state.facts, new.public_key)
            upcoming_key_path(path).rename(path)
            self._key = new

        await self._change_clusters(plan)

    async def _settle_rotations(self, path: Path) -> None:
        """Finish a rotation whose outcome this node did not hear, once it does; while it reaches
        nobody, look whether the others have other keys by now."""
        upcoming, wait_s = upcoming_key_path(path), FIRST_WAIT_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
            if self._turn.locked():
                continue
            try:
                if not upcoming.exists():
                    await self._follow_others()
                    continue
                async with self._alone():
                    await self._settle_rotation(load_or_create(upcoming), path)
            except StateClosedError:
                continue  # the node has just left that cluster, or stops
            except (BuildNetError, OSError) as error:
                _log.warning("the rotation of this node's key is not settled: %s", error)

    async def _follow_others(self) -> None:
        """Take over the member list of whoever shows that it goes on from this node's one."""
        cluster = self.cluster
        local, key = cluster.local, self._key
        others = [one for one in local.members.members if one != local.key]
        if local.links or not others:
            return
        found = await confirmed(cluster, key, self._settings)
        if found is None or local.links or cluster is not self.cluster:
            return
        (admission, address), known = found, local.members
        if admission.members.version <= known.version:
            return
        _log.info("the members have other keys by now, as %s shows", address)
        chain = admission.chain
        said = Entries(False, 0, known.cluster_id, chain.entries, chain.proof)
        cluster.feed(Received(others[0], said))
        records = tuple(one for one in admission.addresses if one.owner != local.key)
        if records:  # under its new key nobody was dialled yet
            cluster.feed(Received(records[0].owner, Records(records)))

    async def _settle_rotation(self, new: NodeKey, path: Path) -> None:
        cluster = self.cluster
        if cluster.local.members.current(self._key.public_key) != new.public_key:
            found = None if cluster.local.links else await confirmed(cluster, new, self._settings)
            if found is None:
                return
            admission, address = found
            old, kept = cluster.local.members.cluster_id, await cluster.facts_beside_log()
            await prepare_joining(admission.chain, address, new, self._state, kept)
            await self._change_clusters(lambda: self._take_over(old, new, path))
        else:
            await self._go_on_as(new, path)
        self.on_new_key(new)
        _log.info("this node's key is rotated: the other nodes confirm it")

    async def _take_over(self, cluster_id: bytes, new: NodeKey, path: Path) -> None:
        self._state.replace(cluster_id)
        upcoming_key_path(path).rename(path)
        self._key = new


async def confirmed(
    cluster: Cluster, new: NodeKey, settings: MeshSettings
) -> tuple[Admission, str] | None:
    """Return the cluster as a member shows it to this node under its ``new`` key, and where that
    member answers; None: nobody there knows that key."""
    for address in await _addresses(cluster, settings.seeds):
        try:
            async with asyncio.timeout(_ASK_S):
                admission = await _ask(cluster, new, settings, address)
        except (BuildNetError, TimeoutError):
            continue
        known, shown = cluster.local.members, admission.members
        if (
            shown.cluster_id == known.cluster_id
            and shown.version >= known.version
            and shown.current(cluster.local.key) == new.public_key
        ):
            return admission, address
    return None


async def _ask(cluster: Cluster, new: NodeKey, settings: MeshSettings, address: str) -> Admission:
    # A token that opens nothing: without one, people would be asked where the key is unknown.
    token = new_token(
        cluster.local.members.cluster_id, secret=os.urandom(SECRET_BYTES), expires=0, addresses=()
    )
    clock = cluster.local.clock.now
    applicant = Applicant(new, cluster.local.boot, settings.name, settings.role, clock, token)
    connection = await dial(address, proxies=settings.proxies)
    try:
        return await applicant.join(connection)
    finally:
        await close_quietly(connection, "done")


async def _addresses(cluster: Cluster, seeds: Iterable[str]) -> tuple[str, ...]:
    local, gossip = cluster.local, cluster.machine.gossip
    joined_at = [
        one.address for one in await cluster.facts_beside_log() if isinstance(one, SeedFact)
    ]
    others = [
        url
        for member in local.members.members
        if member != local.key
        for url in gossip.addresses(member)
    ]
    return tuple(dict.fromkeys((*seeds, *joined_at, *others)))
