"""What a member's owner may do: let others in, hand the office over, change who may do what."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError
from buildnet.mesh.members import invitation
from buildnet.mesh.members.changes import (
    MAX_PRIORITY,
    MAX_USES,
    Admit,
    ChangeBody,
    Revoke,
    SetPriority,
    SetRights,
)
from buildnet.mesh.members.invitation import new_token
from buildnet.mesh.members.member_list import Rights, Role
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.opening import MeshSettings
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.view import RequestView
from buildnet.mesh.suggest import did_you_mean

MAX_INVITATION_S = 30 * 24 * 3600.0
_PROMOTED_S = 5.0


class NotAdminError(BuildNetError):
    """Only an admin's node may do that."""

    code = "NOT_ADMIN"
    exit_code = 4
    http_status = 403


class PromotionError(BuildNetError):
    """A node did not take the office over."""

    code = "PROMOTION"
    http_status = 409


@dataclass(frozen=True, slots=True)
class InvitationView:
    """An invitation that was made: give ``token`` to who shall join. ``expires`` unix seconds."""

    token: str
    id: str
    expires: float
    uses: int
    role: Role
    rights: Rights


class Administration(ABC):
    """The part of :class:`~buildnet.mesh.service.service.MeshService` that asks for changes of its
    cluster. ``node`` is a member's name, its node id or the beginning of one."""

    _settings: MeshSettings
    _state: StateDirectory

    @property
    @abstractmethod
    def cluster(self) -> Cluster:
        """The cluster that this node takes part in now."""

    @property
    @abstractmethod
    def version(self) -> int:
        """Grows with every change."""

    @abstractmethod
    async def changed(self, seen: int) -> int:
        """Return the version once it is another one than ``seen``."""

    def requests(self) -> tuple[RequestView, ...]:
        """Return who waits to be let in, on any node, the oldest first."""
        return self.cluster.desk.requests()

    def find(self, node: str) -> bytes:
        """Return the key of the member with this name, or with an id that begins so.

        Raises:
            NotFoundError, UsageError: none or several answer to it.
        """
        members = self.cluster.local.members.members.values()
        found = [one.key for one in members if node in (one.name, one.node_id)]
        if not found and len(node) >= 2:
            found = [one.key for one in members if one.node_id.startswith(node.lower())]
        if len(found) == 1:
            return found[0]
        if found:
            raise UsageError(
                f"several members are called {node!r}", hint="give the node id: buildnet node list"
            )
        raise NotFoundError(
            f"there is no member {node!r}",
            hint=did_you_mean(node, [one.name for one in members])
            or "buildnet node list shows the members",
        )

    async def invite(
        self,
        *,
        valid_s: float = 3600,
        uses: int = 1,
        role: Role = Role.WORKER,
        rights: Rights = Rights.BUILDER,
    ) -> InvitationView:
        """Make a token that lets in ``uses`` nodes within ``valid_s`` seconds.

        Raises:
            NotAdminError, BuildNetError: it could not be made.
        """
        self._check_admin("invite")
        if not (0 < valid_s <= MAX_INVITATION_S and 1 <= uses <= MAX_USES):
            raise UsageError(
                "an invitation is valid for up to 30 days and 1000 uses",
                hint="choose less: buildnet node invite --expires 24h --uses 10",
            )
        token = new_token(
            self.cluster.local.members.cluster_id,
            secret=os.urandom(invitation.SECRET_BYTES),
            expires=int(time.time() + valid_s),
            addresses=self._settings.addresses[:8],
        )
        what = invitation.invite(token, uses=uses, role=role, rights=rights)
        await self.cluster.change(what)
        return InvitationView(token.text, token.id, float(token.expires), uses, role, rights)

    async def approve(self, request: str, *, rights: Rights = Rights.BUILDER) -> RequestView:
        """Let in who waits; ``request`` is the request's id, the node's id or its name.

        Raises:
            NotFoundError, NotAdminError, BuildNetError: it could not be done.
        """
        found = self._request(request)
        self._check_admin("approve")
        await self.cluster.change(Admit(found.key, found.name, found.role, rights.value))
        return found

    async def reject(self, request: str) -> RequestView:
        """Send away who waits; see :meth:`approve`."""
        found = self._request(request)
        self._check_admin("reject")
        self.cluster.desk.reject(found.id)
        return found

    def _request(self, request: str) -> RequestView:
        waiting = self.requests()
        found = [one for one in waiting if request in (one.id, one.node_id, one.name)]
        if not found and len(request) >= 2:
            found = [one for one in waiting if one.id.startswith(request.lower())]
        if len(found) != 1:
            what = "several requests answer to" if found else "nobody waits with"
            raise NotFoundError(f"{what} {request!r}", hint="buildnet node requests lists them")
        return found[0]

    async def promote(self, node: str) -> None:
        """Hand the office of the coordinator over to a member.

        Raises:
            NotFoundError, PromotionError, BuildNetError: it did not take it.
        """
        key = self.find(node)
        cluster = self.cluster
        self._check_admin("promote")
        cluster.driver.request(lambda now: cluster.machine.promote(key, now))

        def taken() -> bool:
            office = cluster.local.office
            return office is not None and office.coordinator == key and office.quorum

        if not await self._until(taken, _PROMOTED_S):
            raise PromotionError(
                f"{node} did not become coordinator within {_PROMOTED_S:g} s",
                hint="see that it is an alive worker and a majority of voters is reachable: "
                "buildnet pool health",
            )

    async def revoke(self, node: str, *, reason: str = "") -> None:
        """Declare a member's key lost, for ever; effective at once where it is known."""
        await self._administer("revoke", Revoke(self.find(node), reason))

    async def set_priority(self, node: str, priority: int) -> None:
        """Give a member a priority to coordinate; greater is sooner, -1000 to 1000, usually 0."""
        if abs(priority) > MAX_PRIORITY:
            raise UsageError(f"a priority is a number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
        what = SetPriority(self.find(node), priority)
        await self._administer("set a priority", what)

    async def set_rights(self, node: str, rights: Rights) -> None:
        """Change what a member's owner may do."""
        await self._administer("set rights", SetRights(self.find(node), rights.value))

    async def recover(self, voters: tuple[str, ...]) -> None:
        """Reopen a cluster whose majority is gone for good: ``voters`` decide from now on.

        Raises:
            NotAdminError, BuildNetError: it may not be done here.
        """
        keys = tuple(sorted({self.find(voter) for voter in voters}))
        if not keys:
            raise UsageError("who shall vote?", hint="name the voters: --new-voters NODE,NODE")
        cluster = self.cluster
        author = self._state.recovery_key(cluster.local.members.genesis.cluster_key)
        if author is None:
            self._check_admin("recover")
            author = cluster.key
        await cluster.propose(cluster.sign(cluster.machine.log.recovery(keys), author))

    async def _administer(self, action: str, what: ChangeBody) -> None:
        self._check_admin(action)
        await self.cluster.change(what)

    def _check_admin(self, action: str) -> None:
        members = self.cluster.local.members
        if not members.is_admin(self.cluster.local.key):
            admins = sorted(
                one.name for one in members.members.values() if members.is_admin(one.key)
            )
            raise NotAdminError(
                f"this node's owner may not {action}: its rights are not admin",
                hint=f"do it on a node of an admin: {', '.join(admins[:5])}",
            )

    async def _until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                while not holds():
                    await self.changed(self.version)
        except TimeoutError:
            return holds()
        return True
