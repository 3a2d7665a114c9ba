"""The other members of the cluster that this node is in now, as durable builds see them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from typing import ParamSpec

from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.genesis import Role
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.service.cluster import Cluster
from buildnet.node.pool_results import may_ask, name_of
from buildnet.pool.durable import ranked
from buildnet.pool.warrant import Warrant

P = ParamSpec("P")


class Circle:
    """See the module's text. Without a cluster there is nobody, and what is said is lost."""

    def __init__(self) -> None:
        self.cluster: Cluster | None = None
        self.gone: set[bytes] = set()
        """Members that are believed dead."""

    def candidates(self, build: str) -> list[bytes]:
        """Return who could stand in for a build, best first; nobody does for an observer."""
        if self.cluster is None or not self.may_ask(self.cluster.local.key):
            return []
        local = self.cluster.local
        return ranked(
            build,
            (
                peer
                for peer in local.links
                if local.alive(peer)
                and may_ask(local.members, peer)
                and local.members.members[peer].role is Role.WORKER
            ),
        )

    @property
    def only_looks(self) -> bool:
        """Whether the others tell this node nothing of their builds."""
        return self.cluster is not None and not self.may_ask(self.cluster.local.key)

    @property
    def workers(self) -> dict[bytes, bool]:
        """All other members that may go on with builds of this node; whether they are there."""
        if self.cluster is None:
            return {}
        local = self.cluster.local
        return {
            key: key in local.links or local.alive(key)
            for key, member in local.members.members.items()
            if key != local.key and member.role is Role.WORKER and may_ask(local.members, key)
        }

    @property
    def linked(self) -> tuple[bytes, ...]:
        """All members that this node is linked with."""
        return () if self.cluster is None else tuple(self.cluster.local.links)

    def may_ask(self, sender: bytes) -> bool:
        """Tell whether a member may ask for anything here."""
        return self.cluster is not None and may_ask(self.cluster.local.members, sender)

    def is_now(self, member: bytes, node: str) -> bool:
        """Tell whether a member is the node with this id, or is what that one became when it
        changed its key."""
        if node_id_of(member) == node:
            return True
        if self.cluster is None:
            return False
        members = self.cluster.local.members
        return any(
            node_id_of(key) == node and members.current(key) == member for key in members.former
        )

    def grant(self, held: Warrant, holder: bytes, attempt: int) -> Warrant:
        """Return the warrant by which another node may drive a build of which this one holds
        ``held``; there is a cluster."""
        assert self.cluster is not None
        local = self.cluster.local
        return held.granted(local.key, holder, attempt, local.signatures.sign)

    def is_granted(self, warrant: Warrant, build: str, attempt: int, granter: bytes) -> bool:
        """Tell whether a warrant lets this node drive a build, by the word of ``granter``."""
        if self.cluster is None:
            return False
        me = self.cluster.local.key
        return warrant.is_to(me, granter, self._is_same) and self.is_proven(
            warrant, build, attempt, me
        )

    def is_proven(self, warrant: Warrant | None, build: str, attempt: int, claimant: bytes) -> bool:
        """Tell whether a member may say that a build goes on under ``attempt``."""
        if warrant is None or self.cluster is None:
            return False
        return warrant.proves(build, claimant, attempt, self._is_signed, self._is_same)

    def _is_signed(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether one who is or was a member, and is not revoked, signed something."""
        assert self.cluster is not None
        members = self.cluster.local.members
        if key in members.revoked or not (key in members.members or key in members.former):
            return False
        return self.cluster.local.signatures.verify(key, message, signature)

    def _is_same(self, one: bytes, other: bytes) -> bool:
        """Tell whether two keys are one node's, which may have changed its key."""
        assert self.cluster is not None
        members = self.cluster.local.members
        return members.current(one) == members.current(other)

    def name_of(self, node: bytes) -> str:
        """Return what people call a member."""
        if self.cluster is None:
            return node_id_of(node)
        return name_of(self.cluster.local.members, node)

    def say(self, to: bytes, message: Message) -> None:
        """Say something to a member."""
        if self.cluster is not None:
            self.cluster.say(to, message)

    def say_all(self, message: Message) -> None:
        """Say something to all that this node is linked with."""
        for peer in self.linked:
            self.say(peer, message)

    def spawn(
        self,
        work: Callable[P, Coroutine[None, None, None]],
        *arguments: P.args,
        **named: P.kwargs,
    ) -> None:
        """Do something as long as this node is in the cluster."""
        if self.cluster is not None:
            self.cluster.spawn(partial(work, *arguments, **named))
