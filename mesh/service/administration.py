"""What a member's owner may do: let others in, hand the office over, change who may do what."""

from __future__ import annotations

import asyncio
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError
from buildnet.mesh.members import invitation
from buildnet.mesh.members.changes import (
    MAX_PRIORITY,
    MAX_USES,
    Admit,
    ChangeBody,
    CloseInvitation,
    Remove,
    Revoke,
    SetPriority,
    SetRights,
)
from buildnet.mesh.members.invitation import new_token
from buildnet.mesh.members.member_list import Invitation, Member, Rights, Role
from buildnet.mesh.members.proposals import NoQuorum
from buildnet.mesh.service.cluster import ChangeTimeoutError, Cluster
from buildnet.mesh.service.finding import find_one
from buildnet.mesh.service.opening import MeshSettings
from buildnet.mesh.service.state import StateDirectory
from buildnet.mesh.service.view import RequestView
from buildnet.mesh.suggest import did_you_mean

MAX_INVITATION_S = 30 * 24 * 3600.0
_PROMOTED_S = 5.0
_THIS_HOST = ("http://127.", "http://[::1]", "http://localhost")
_OWN_ADDRESSES, _OTHER_ADDRESSES = 5, 3  # in a token
_LISTED_BY = "buildnet node list"


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
    told_names: Callable[[], Mapping[bytes, str]]
    """By key, the names that members told of themselves later than the member list's, as far as
    they are fit to find somebody by; whoever reads what members tell sets it."""

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

    def find(self, node: str) -> Member:
        """Return the member that ``node`` means, under the name that it bears now.

        Its id or the beginning of one (4 characters) wins over anybody's name. By name a member is
        found under the one that it joined with and the one that it tells now.

        Raises:
            NotFoundError, UsageError: none or several answer to it.
        """
        told = self.told_names()
        members = self.cluster.local.members.members.values()
        found = find_one(
            node,
            members,
            ids=lambda one: (one.node_id,),
            names=lambda one: (one.name, told.get(one.key, one.name)),
            what="members",
            listed_by=_LISTED_BY,
        )
        if found is None:
            known = {one.name for one in members} | set(told.values())
            raise NotFoundError(
                f"there is no member {node!r}",
                hint=did_you_mean(node, sorted(known)) or f"{_LISTED_BY} shows the members",
            )
        return replace(found, name=told.get(found.key, found.name))

    async def invite(
        self,
        *,
        valid_s: float = 3600,
        uses: int = 1,
        role: Role = Role.WORKER,
        rights: Rights = Rights.BUILDER,
    ) -> InvitationView:
        """Make a token that lets in ``uses`` nodes within ``valid_s`` seconds: 1 second to 30 days.

        Raises:
            NotAdminError, BuildNetError: it could not be made.
        """
        self._check_admin("invite")
        if not 1 <= valid_s <= MAX_INVITATION_S:
            raise UsageError(
                f"an invitation works for 1 second to {MAX_INVITATION_S / 86_400:g} days",
                cause=f"{valid_s:.10g} seconds were asked for",
                hint="choose a time between: buildnet node invite --expires 24h",
            )
        if not 1 <= uses <= MAX_USES:
            raise UsageError(
                f"an invitation lets in 1 to {MAX_USES} nodes",
                cause=f"{uses} were asked for",
                hint="choose a number between: buildnet node invite --uses 10",
            )
        token = new_token(
            self.cluster.local.members.cluster_id,
            secret=os.urandom(invitation.SECRET_BYTES),
            expires=int(time.time() + valid_s),
            addresses=self._ways_in(),
        )
        what = invitation.invite(token, uses=uses, role=role, rights=rights)
        await self.cluster.change(what)
        return InvitationView(token.text, token.id, float(token.expires), uses, role, rights)

    def _ways_in(self) -> tuple[str, ...]:
        """Return where to join: at this node first, then at the members that would coordinate
        soonest of those that are there."""
        local, gossip = self.cluster.local, self.cluster.machine.gossip
        ranked = sorted(local.members.members, key=local.members.rank, reverse=True)
        others = [
            address
            for key in ranked
            if key != local.key and local.members.is_member(key) and local.alive(key)
            for address in gossip.addresses(key)[:1]
        ]
        own = self._settings.addresses[:_OWN_ADDRESSES]
        if not all(address.startswith(_THIS_HOST) for address in own):
            others = [each for each in others if not each.startswith(_THIS_HOST)]
        return tuple(dict.fromkeys((*own, *others[:_OTHER_ADDRESSES])))

    def invitations(self) -> tuple[Invitation, ...]:
        """Return the invitations that still let somebody in, those that end first, first."""
        now = milliseconds_of(self.cluster.local.clock.now())
        known = self.cluster.local.members.invitations.values()
        still = [one for one in known if one.uses_left > 0 and milliseconds_of(one.expires) > now]
        return tuple(sorted(still, key=lambda one: (one.expires, one.id)))

    async def withdraw(self, invitation: str) -> Invitation:
        """Let nobody else in by an invitation; ``invitation`` is its id or the beginning of it.

        Raises:
            NotFoundError, NotAdminError, BuildNetError: it could not be done.
        """
        self._check_admin("withdraw invitations")
        listed_by = "buildnet node invite --list"
        found = find_one(
            invitation,
            self.invitations(),
            ids=lambda one: (one.id,),
            names=lambda one: (),
            what="invitations",
            listed_by=listed_by,
        )
        if found is None:
            raise NotFoundError(
                f"no invitation {invitation!r} is open", hint=f"{listed_by} shows them"
            )
        await self.cluster.change(CloseInvitation(found.key))
        return found

    async def approve(self, request: str, *, rights: Rights = Rights.BUILDER) -> RequestView:
        """Let in who waits; ``request`` is the request's id, the node's id or its name.

        Raises:
            NotFoundError, NotAdminError, BuildNetError: it could not be done.
        """
        self._check_admin("approve")
        found = self._request(request)
        await self.cluster.change(Admit(found.key, found.name, found.role, rights.value))
        return found

    async def reject(self, request: str) -> RequestView:
        """Send away who waits; see :meth:`approve`."""
        self._check_admin("reject")
        found = self._request(request)
        self.cluster.desk.reject(found.id)
        return found

    def _request(self, request: str) -> RequestView:
        found = find_one(
            request,
            self.requests(),
            ids=lambda one: (one.id, one.node_id),
            names=lambda one: (one.name,),
            what="requests",
            listed_by="buildnet node requests",
        )
        if found is None:
            raise NotFoundError(
                f"nobody waits with {request!r}", hint="buildnet node requests lists them"
            )
        return found

    async def promote(self, node: str, *, keep: bool = False) -> Member:
        """Hand the office of the coordinator over to a member; return who it is.

        ``keep``: it also gets a priority above all others, else one that is more entitled has the
        office again half a minute later.

        Raises:
            NotFoundError, PromotionError, BuildNetError: it did not take it.
        """
        self._check_admin("promote")
        member = self.find(node)
        key, cluster = member.key, self.cluster
        self._check_quorum()
        cluster.driver.request(lambda now: cluster.machine.promote(key, now))

        def taken() -> bool:
            office = cluster.local.office
            return office is not None and office.coordinator == key and office.quorum

        if not await self._until(taken, _PROMOTED_S):
            self._check_quorum()
            raise PromotionError(
                f"{member.name} ({member.node_id}) did not become coordinator within "
                f"{_PROMOTED_S:g} s",
                hint="see that it is an alive worker and a majority of voters is reachable: "
                "buildnet pool health",
            )
        if keep:
            await self._put_first(member)
        return member

    async def _put_first(self, member: Member) -> None:
        """Give a member a priority that makes it more entitled to coordinate than all others."""
        members = self.cluster.local.members
        others = [key for key in members.members if key != member.key and members.stands(key)]
        first = max(others, key=members.rank, default=None)
        if first is None or members.rank(first) < members.rank(member.key):
            return
        priority = members.members[first].priority + 1
        if priority > MAX_PRIORITY:
            raise PromotionError(
                f"{member.name} coordinates now, and can't be put first: "
                f"{members.members[first].name} has the highest priority that there is",
                hint=f"lower that: buildnet node set-priority {members.members[first].name} 0",
            )
        await self.cluster.change(SetPriority(member.key, priority))

    async def revoke(self, node: str, *, reason: str = "") -> tuple[Member, bool]:
        """Declare a member's key lost, for ever; effective at once where it is known.

        Returns:
            Who it is, and whether that is final; if not, it will be once a majority is back.
        """
        self._check_admin("revoke")
        member = self.find(node)
        try:
            change = Revoke(member.key, reason)
        except ValueError as error:
            raise UsageError(
                f"{reason!r:.80} can't be a reason", hint="one line of text, without spaces around"
            ) from error
        try:
            await self.cluster.change(change)
        except (NoQuorum, ChangeTimeoutError):
            if member.key not in self.cluster.local.members.revoked:
                raise
            return member, False
        return member, True

    async def remove(self, node: str) -> Member:
        """End the membership of one that is gone for good; with its key it may join again."""
        return await self._administer("remove", node, Remove)

    async def set_priority(self, node: str, priority: int) -> Member:
        """Give a member a priority to coordinate; greater is sooner, -1000 to 1000, usually 0."""
        if abs(priority) > MAX_PRIORITY:
            raise UsageError(f"a priority is a number from -{MAX_PRIORITY} to {MAX_PRIORITY}")
        return await self._administer(
            "set a priority", node, lambda key: SetPriority(key, priority)
        )

    async def set_rights(self, node: str, rights: Rights) -> Member:
        """Change what a member's owner may do."""
        return await self._administer("set rights", node, lambda key: SetRights(key, rights.value))

    async def recover(self, voters: tuple[str, ...]) -> tuple[Member, ...]:
        """Reopen a cluster whose majority is gone for good: ``voters`` decide from now on.

        Raises:
            NotAdminError, BuildNetError: it may not be done here.
        """
        cluster = self.cluster
        author = self._state.recovery_key(cluster.local.members.genesis.cluster_key)
        if author is None:
            self._check_admin("recover")
            author = cluster.key
        members = tuple(self.find(voter) for voter in voters)
        keys = tuple(sorted({member.key for member in members}))
        if not keys:
            raise UsageError("who shall vote?", hint="name the voters: --new-voters NODE,NODE")
        await cluster.propose(cluster.sign(cluster.machine.log.recovery(keys), author))
        return members

    async def _administer(
        self, action: str, node: str, what: Callable[[bytes], ChangeBody]
    ) -> Member:
        self._check_admin(action)
        member = self.find(node)
        await self.cluster.change(what(member.key))
        return member

    def _check_quorum(self) -> None:
        office = self.cluster.local.office
        if office is None or not office.quorum:
            raise NoQuorum(
                "the office can't be handed over now",
                cause="no coordinator reaches a majority of the voters",
                hint="see who is missing: buildnet pool health",
            )

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
