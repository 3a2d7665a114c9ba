"""Terms of this host and of others: said here by its owner, and by admins to any node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Received
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import MemberList, Rights
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import Guest, GuestEvent
from buildnet.node.in_force import InForce
from buildnet.node.pool_results import name_of
from buildnet.node.recording import OpenLedger, Record
from buildnet.node.terms import Terms
from buildnet.pool.messages.hosts import HostAnswer, HostAsk

ANSWER_S = 5.0
_TEXT_CHARACTERS = 1024


class ServerRefusedError(BuildNetError):
    """Another node does not take the terms that it was asked to take."""

    code = "SERVER_REFUSED"
    exit_code = 4
    http_status = 403


class ServerSilentError(BuildNetError):
    """Another node can't be asked, or does not answer."""

    code = "SERVER_SILENT"
    exit_code = 3
    http_status = 504


@dataclass(frozen=True, slots=True)
class InFlight:
    """What goes on at a host: ``leases`` granted to others, ``running`` commands on them, and
    ``builds`` that it drives itself."""

    draining: bool
    leases: int
    running: int
    builds: int


@dataclass(frozen=True, slots=True)
class TermsChanged:
    """Terms of this host were said, for the ledger: an entry for each that is another one now.
    ``node``: what people call its node; None: it is in no cluster now."""

    actor: Actor
    node: str | None
    before: Terms
    after: Terms
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        before, after = self.before.model_dump(mode="json"), self.after.model_dump(mode="json")
        node_id = node_id_of(ledger.key)
        return [
            EntryDraft(
                "system.setting",
                self.actor,
                entity=f"node:{node_id}",
                request=self.request + bytes([number]),
                data={
                    "node": self.node or node_id,
                    "name": name,
                    "old": before[name],
                    "new": after[name],
                },
            )
            for number, name in enumerate(after)
            if before[name] != after[name]
        ]


class Hosts:
    """See the module's text. ``in_flight`` tells what goes on here; ``record`` is the ledger's."""

    def __init__(
        self,
        in_force: InForce,
        in_flight: Callable[[], InFlight],
        record: Callable[[Record], None],
    ) -> None:
        self._in_force = in_force
        self._in_flight = in_flight
        self._record = record
        self._cluster: Cluster | None = None
        self._asked: dict[bytes, tuple[bytes, asyncio.Future[HostAnswer]]] = {}

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[Guest]:
        """Take part in a cluster until the context ends."""
        self._cluster = cluster
        try:
            yield self
        finally:
            self._cluster = None

    async def say(self, key: bytes | None, change: Terms, actor: str) -> InFlight:
        """Change the terms of a host and return what goes on there. ``key``: of its node, None:
        this one, whose owner asks; ``actor``: who, for the ledger.

        Raises:
            TermsError: they are more than the owner of this host gives.
            TermsWriteError: they can't be kept.
            ServerRefusedError: the other node does not take them.
            ServerSilentError: it can't be asked, or does not answer.
        """
        if key is None:
            self._take(change, Actor(actor, actor, ActorKind.USER.value))
            return self._in_flight()
        answer = await self._ask(key, change, actor)
        if answer.refused is not None:
            raise ServerRefusedError(answer.refused, hint=answer.hint or None)
        return InFlight(answer.draining, answer.leases, answer.running, answer.builds)

    async def _ask(self, key: bytes, change: Terms, actor: str) -> HostAnswer:
        cluster = self._cluster
        name = node_id_of(key)[:12] if cluster is None else name_of(cluster.local.members, key)
        if cluster is None or key not in cluster.local.links:
            raise ServerSilentError(
                f"this node has no link with {name} now",
                hint="ask on that host itself, or once buildnet pool nodes shows it online",
            )
        request = os.urandom(16)
        future = asyncio.get_running_loop().create_future()
        self._asked[request] = key, future
        try:
            said = change.model_dump_json(include=set(change.given))
            cluster.say(key, HostAsk(request, said, actor[:128]))
            async with asyncio.timeout(ANSWER_S):
                answer: HostAnswer = await future
                return answer
        except TimeoutError as error:
            raise ServerSilentError(
                f"{name} does not answer",
                cause=f"nothing was heard for {ANSWER_S:.0f} s; whether it did it is not known",
                hint="ask again: to say it twice changes nothing",
            ) from error
        finally:
            del self._asked[request]

    def take(self, event: GuestEvent) -> None:
        """Take note of what others say."""
        match event:
            case Received(sender, HostAsk() as ask):
                if self._cluster is not None:
                    self._cluster.say(sender, self._answer(self._cluster, sender, ask))
            case Received(sender, HostAnswer() as answer):
                asked = self._asked.get(answer.request)
                if asked is not None and asked[0] == sender and not asked[1].done():
                    asked[1].set_result(answer)

    def _answer(self, cluster: Cluster, sender: bytes, ask: HostAsk) -> HostAnswer:
        refused: str | None = None
        hint = ""
        try:
            change = Terms.read(ask.change)
            self._check_may(cluster.local.members, sender, change)
            members = cluster.local.members
            who = node_actor(sender, f"{ask.actor}@{name_of(members, sender)}"[:128])
            self._take(change, who)
        except BuildNetError as error:
            refused, hint = error.message[:_TEXT_CHARACTERS], (error.hint or "")[:_TEXT_CHARACTERS]
        now = self._in_flight()
        return HostAnswer(
            ask.request, refused, hint, now.draining, now.leases, now.running, now.builds
        )

    def _check_may(self, members: MemberList, sender: bytes, change: Terms) -> None:
        """See that a member may change that.

        Raises:
            ServerRefusedError: it may not.
        """
        member = members.members.get(sender) if members.is_member(sender) else None
        if member is None or member.rights is not Rights.ADMIN:
            raise ServerRefusedError(
                "only admins of the cluster may change another node's terms",
                hint="ask its owner, or an admin for the rights: buildnet rights list",
            )
        self.require_consent(change)

    def require_consent(self, change: Terms) -> None:
        """See that the owner of this host lets others change that.

        Raises:
            ServerRefusedError: it does not.
        """
        if not change.only_drains and not self._in_force.config.scheduling.accept_changes:
            raise ServerRefusedError(
                "its owner lets nobody else change its tags and limits",
                hint="on that host: buildnet server update, or scheduling.accept_changes: true in "
                "its node.yaml",
            )

    def _take(self, change: Terms, actor: Actor) -> None:
        before = self._in_force.say(change)
        if self._in_force.terms != before:
            local = None if self._cluster is None else self._cluster.local
            name = None if local is None else name_of(local.members, local.key)
            self._record(TermsChanged(actor, name, before, self._in_force.terms))
