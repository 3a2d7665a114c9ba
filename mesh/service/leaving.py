"""Leaving a cluster for a new one of this node's own: whatever comes in between, it is finished.

All that takes the old cluster's place is on disk before anybody is told. A node that died after the
others let it go hears from them that it left, and goes on from there.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.changes import Leave
from buildnet.mesh.members.member_list import Ending, Refused
from buildnet.mesh.members.rules import check_leaving
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.opening import MeshSettings, prepare_founding
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.store import MeshStateError

SETTLE_S = 2.0
"""How often to look whether the others let go of a node whose leave was broken off."""
_ENDED = {
    "left": "left",
    "removed": "was removed",
    "revoked": "was revoked",
    "rotated": "goes on under another key",
}
_log = logging.getLogger("buildnet.mesh")


class MembershipError(BuildNetError):
    """Not possible for a node that is a member where it is."""

    code = "MEMBERSHIP"
    exit_code = 2
    http_status = 409


class Leaving(ABC):
    """The part of a node's mesh that leaves a cluster."""

    _key: NodeKey
    _settings: MeshSettings
    _state: StateDirectory
    _turn: asyncio.Lock
    _not_opened: BuildNetError | None
    """Why the cluster that this node changed to can't be opened; None: it is open."""

    @property
    @abstractmethod
    def cluster(self) -> Cluster:
        """The cluster that this node takes part in now."""

    @abstractmethod
    def _alone(self) -> AbstractAsyncContextManager[None]: ...

    @abstractmethod
    async def _change_clusters(self, plan: Callable[[], Awaitable[None]]) -> None: ...

    async def leave(self, *, force: bool = False) -> None:
        """Leave the cluster for a new one of its own. ``force``: even if the others can't be told.

        Raises:
            MembershipError: this node is alone.
            MeshStateError: what it takes can't be written, so nobody was told; or it left, and the
                new cluster's state can't be opened yet, which is tried again.
            BuildNetError: the others did not confirm it; with ``force`` that does not matter.
        """
        async with self._alone():
            cluster = self.cluster
            members = cluster.local.members
            is_member = members.is_member(self._key.public_key)
            if is_member and len(members.members) == 1:
                raise MembershipError(
                    "this node is alone in its cluster", hint="there is nothing to leave"
                )
            if is_member and not force:
                check_leaving(members, self._key.public_key)
            await prepare_founding(self._key, self._settings, self._state)
            if is_member:
                try:
                    await self._take_leave(cluster, force=force)
                except BaseException as error:
                    if isinstance(error, Refused | MembershipError):
                        self._state.discard_next()  # else it may still come about
                    cluster.remain()
                    raise
            await self._found_anew(members.cluster_id)
            if (why := self._not_opened) is not None:
                raise MeshStateError(
                    "this node left, but can't open the state of its own new cluster yet",
                    cause=why.cause or why.message,
                    hint=f"{why.hint or 'see the cause'}; the node tries again by itself",
                )

    async def _take_leave(self, cluster: Cluster, *, force: bool) -> None:
        """Hand the office over, and let the others know."""
        await cluster.resign()
        try:
            await cluster.change(Leave())
        except BuildNetError as error:
            if not force:
                out = cluster.links.turned_away
                if out is not None and not cluster.links.peers:
                    raise MembershipError(
                        "this node is no member any more: the others answer that "
                        + (f"it {_ENDED[out]}" if out in _ENDED else "it is none"),
                        hint="buildnet node leave --force ends it here as well: the node is a "
                        "cluster of its own then",
                    ) from error
                error.hint = error.hint or "buildnet node leave --force leaves anyway"
                raise
            _log.warning("leaving although: %s", error.message)

    async def _found_anew(self, old: bytes) -> None:
        async def plan() -> None:
            self._state.replace(old)

        await self._change_clusters(plan)

    async def _settle_leaves(self) -> None:
        """Finish a leave that was broken off, once it is known that the others let go."""
        while True:
            await asyncio.sleep(SETTLE_S)
            if self._turn.locked() or not self._state.leave_begun or not self._has_left():
                continue
            try:
                async with self._alone():
                    _log.info("this node left its cluster before it stopped: that is finished now")
                    await self._found_anew(self.cluster.local.members.cluster_id)
            except (BuildNetError, OSError) as error:
                _log.warning("the leave is not finished: %s", error)

    def _has_left(self) -> bool:
        """Tell whether this node left, by its own list or, where it has no link, by a member's
        proven word. It counts only for a node that had begun to leave."""
        cluster, me = self.cluster, self._key.public_key
        members = cluster.local.members
        if not members.is_member(me):
            former = members.former.get(me)
            return former is not None and former.ending is Ending.LEFT
        return cluster.links.turned_away == Ending.LEFT.value and not cluster.links.peers
