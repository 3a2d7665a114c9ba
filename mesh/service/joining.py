"""Joining from the side of the node that wants in: it proves itself first, and believes nobody
before the member list's chain has shown that who answers belongs to the cluster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.mesh.clock import MAX_AHEAD_MS, milliseconds_of
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.gossip.records import ADDRESS_TOPIC, Record, is_genuine
from buildnet.mesh.identity import KeySignatures, NodeKey
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameError
from buildnet.mesh.link.handshake import (
    Accepted,
    HandshakeError,
    HandshakeRefusedError,
    Initiator,
    Purpose,
)
from buildnet.mesh.link.handshaking import HANDSHAKE_S
from buildnet.mesh.link.sealed import ConversationError, SealedConnection
from buildnet.mesh.members.chain import MAX_ENTRIES, Chain, ChainError
from buildnet.mesh.members.invitation import Token, TokenError
from buildnet.mesh.members.invitation import join as join_change
from buildnet.mesh.members.member_list import MemberList, Role
from buildnet.mesh.messages.admission import (
    ChainPart,
    JoinDone,
    JoinOffer,
    JoinProposal,
    JoinWelcome,
    Neighbours,
    Ticket,
    ticket_statement,
)
from buildnet.mesh.wire import WireError

PENDING_S = 15 * 60.0
SIGN_OF_LIFE_S = 20.0
ANSWER_S = 20.0
_ASK_AGAIN = "ask for a new one: buildnet node invite"
_log = logging.getLogger("buildnet.mesh")


class JoinError(BuildNetError):
    """A node was not let in, or did not believe who answered."""

    code = "JOIN"
    exit_code = 4
    http_status = 409


class JoinBrokenOffError(JoinError):
    """It came to no decision, and the same may succeed soon: the connection broke, or the other
    side stops or has no majority."""

    code = "JOIN_BROKEN_OFF"
    exit_code = 3


class JoinUndecidedError(JoinError):
    """No admin decided on the request in time."""

    code = "JOIN_UNDECIDED"
    exit_code = 124


@dataclass(frozen=True, slots=True)
class Admission:
    """The cluster as it was handed over, this node in it."""

    chain: Chain
    members: MemberList
    addresses: tuple[Record, ...]
    """Members' own "address" records, verified."""


@dataclass(frozen=True, slots=True)
class Applicant:
    """Who wants to join."""

    key: NodeKey
    boot: int
    name: str
    role: Role | None
    """What it insists on; None: what it is invited as."""
    hlc: Callable[[], int]
    """The hybrid clock: to tell whether this host's is wrong."""
    token: Token | None = None
    on_pending: Callable[[str], None] | None = None
    """Told what people compare, once a member has put the request before its admins."""

    async def join(self, connection: Connection) -> Admission:
        """Ask the node at the other end, and wait for the decision.

        Raises:
            JoinError, TokenError: it did not come about; the message says why.
        """
        try:
            return await self._join(connection)
        except HandshakeRefusedError as error:
            raise refused(error.refusal, error.detail) from error
        except HandshakeError as error:
            raise JoinError(
                f"who answers at {connection.remote} is no node to talk to",
                cause=error.cause or error.reason,
                hint="see that both hosts run the same version of BuildNet, and that nothing in "
                "between changes what they say",
            ) from error
        except (ConnectionClosed, TimeoutError, FrameError, ConversationError) as error:
            raise JoinBrokenOffError(
                f"the conversation with {connection.remote} broke off",
                cause=str(error) or "no answer in time",
                hint="try again; buildnet node list there shows whether it went through",
            ) from error

    async def _join(self, connection: Connection) -> Admission:
        initiator = Initiator(
            self.key, self.boot, Purpose.JOIN, cluster_id=None, extra=self._offer().encode()
        )
        accepted = await self._shake_hands(connection, initiator)
        if self.token is not None:
            self.token.check(accepted.cluster_id)
        sealed = SealedConnection(connection, initiator.session.cipher(), accepted.key)
        chain, members = await self._proven(await _hear_parts(sealed), accepted)
        me = self.key.public_key
        if members.is_member(me):
            return Admission(chain, members, await self._neighbours(sealed, members))
        if self.token is None:
            raise JoinError("the other side let this node in, but does not show it as a member")
        change = join_change(
            self.token,
            self.key,
            cluster_id=members.cluster_id,
            name=self.name,
            role=self._role_in(members, self.token),
            hlc=self._date(accepted),
        )
        await sealed.say(JoinProposal(change), ANSWER_S)
        outcome = await sealed.hear(ANSWER_S)
        if not isinstance(outcome, JoinDone):
            raise ConversationError("the other side said something unexpected")
        if outcome.code:
            raise refused(outcome.code, outcome.detail, outcome.hint)
        rest = await _hear_parts(sealed)
        chain, members = await self._proven([*chain.parts(), *rest], accepted)
        if not members.is_member(me):
            raise JoinError("the other side does not show this node as a member")
        return Admission(chain, members, await self._neighbours(sealed, members))

    def _role_in(self, members: MemberList, token: Token) -> Role:
        invitation = members.invitations.get(token.key.public_key)
        if invitation is None or invitation.role is Role.WORKER:
            return self.role or Role.WORKER
        if self.role not in (None, invitation.role):
            raise TokenError(
                f"the token admits an {invitation.role} only, and this node is to be a {self.role}",
                hint="start it without --role and without node_role in node.yaml, or ask for "
                "another token: buildnet node invite",
            )
        return invitation.role

    def _date(self, accepted: Accepted) -> int:
        """Return the other side's time, which its cluster will find neither too old nor to come."""
        try:
            theirs = JoinWelcome.decode(accepted.extra).hlc
        except WireError as error:
            raise ConversationError("the other side does not tell its time") from error
        ahead_ms = milliseconds_of(self.hlc()) - milliseconds_of(theirs)
        if abs(ahead_ms) > MAX_AHEAD_MS:
            _log.warning(
                "this host's clock is %d minutes %s that of the node it joins at: set one of them",
                abs(ahead_ms) // 60_000,
                "ahead of" if ahead_ms > 0 else "behind",
            )
        return theirs

    async def _neighbours(
        self, sealed: SealedConnection, members: MemberList
    ) -> tuple[Record, ...]:
        said = await sealed.hear(ANSWER_S)
        if not isinstance(said, Neighbours):
            raise ConversationError("the other side said something unexpected")
        signatures = KeySignatures(self.key)
        return tuple(
            record
            for record in said.records
            if record.topic == ADDRESS_TOPIC
            and record.owner != self.key.public_key
            and members.is_member(record.owner)
            and is_genuine(record, members.cluster_id, signatures)
        )

    def _offer(self) -> JoinOffer:
        token, role = self.token, (self.role or Role.WORKER).value
        if token is None:
            return JoinOffer(self.name, role, None)
        key = token.key
        said = ticket_statement(token.fingerprint, self.key.public_key, self.name, role)
        ticket = Ticket(token.fingerprint, key.public_key, key.sign(said))
        return JoinOffer(self.name, role, ticket)

    async def _shake_hands(self, connection: Connection, initiator: Initiator) -> Accepted:
        async with asyncio.timeout(HANDSHAKE_S):
            await connection.send(initiator.start())
            await connection.send(initiator.receive(await connection.receive()))
            accepted = initiator.finish(await connection.receive())
        told = False
        async with asyncio.timeout(PENDING_S + ANSWER_S):
            while accepted is None:
                if not told and self.on_pending is not None:
                    self.on_pending(initiator.short_authentication_string)
                told = True
                async with asyncio.timeout(3 * SIGN_OF_LIFE_S):
                    accepted = initiator.finish(await connection.receive())
        return accepted

    async def _proven(self, parts: list[ChainPart], accepted: Accepted) -> tuple[Chain, MemberList]:
        """Check a chain, on a thread: a long one takes a while."""
        try:
            chain = Chain.of(parts)
            if chain.genesis.cluster_id != accepted.cluster_id:
                raise ChainError("the member list is another cluster's")
            members = await asyncio.to_thread(chain.fold, KeySignatures(self.key))
        except ChainError as error:
            raise JoinError(
                "who answers can't prove the cluster that it claims",
                cause=error.cause or error.message,
                hint="do not join there; ask who gave you the address",
            ) from error
        if not members.is_member(accepted.key):
            raise JoinError(
                "who answers is no member of the cluster that it claims",
                hint="do not join there; ask who gave you the address",
            )
        return chain, members


async def _hear_parts(sealed: SealedConnection) -> list[ChainPart]:
    parts: list[ChainPart] = []
    entries = 0
    while True:
        part = await sealed.hear(ANSWER_S)
        if not isinstance(part, ChainPart):
            raise ConversationError("the other side said something unexpected")
        parts.append(part)
        entries += len(part.entries)
        if entries > MAX_ENTRIES:
            raise ConversationError("the other side's member list does not end")
        if part.proof is not None:
            return parts


# What a member answers instead of letting somebody in.
TOKEN_EXPIRED = "token expired"
TOKEN_USED = "token used"
TOKEN_UNKNOWN = "token unknown"
WRONG_CLUSTER = "wrong cluster"
REVOKED = "revoked"
REJECTED = "rejected"
REQUEST_EXPIRED = "request expired"
TOO_MANY_REQUESTS = "too many requests"
ITSELF = "this node itself"
STOPPING = "stopping"
# Codes of errors that keep a change from coming about there.
NO_QUORUM = "NO_QUORUM"
CHANGE_PENDING = "CHANGE_PENDING"

_TOKEN_REFUSALS = {
    TOKEN_EXPIRED: ("the token has expired", _ASK_AGAIN),
    TOKEN_USED: ("the token was used already, as often as it may be", _ASK_AGAIN),
    TOKEN_UNKNOWN: (
        "nobody there knows the token",
        "it was withdrawn, or that node has not heard of it yet: try again, or " + _ASK_AGAIN,
    ),
    WRONG_CLUSTER: (
        "the token invites into another cluster",
        "join at the address that came with the token",
    ),
}
_REFUSALS = {
    REVOKED: (
        "this node's key was revoked in that cluster",
        "its key is void for ever; move node.key away for a new identity, and join again",
    ),
    REJECTED: ("an admin rejected the request", "talk to an admin of the cluster"),
    REQUEST_EXPIRED: (
        "nobody decided on the request in time",
        "ask an admin to look at buildnet node requests, and try again",
    ),
    TOO_MANY_REQUESTS: (
        "too many nodes wait to be let in there",
        "try again later, or ask an admin for a token: buildnet node invite",
    ),
    ITSELF: (
        "that is this node itself, or one with a copy of its key",
        "give the address of another node",
    ),
    STOPPING: (
        "that node is about to stop, or to change its cluster",
        "try again, or join at another node",
    ),
}

_KINDS = {
    REQUEST_EXPIRED: JoinUndecidedError,
    STOPPING: JoinBrokenOffError,
    NO_QUORUM: JoinBrokenOffError,
    CHANGE_PENDING: JoinBrokenOffError,
}


def refused(code: str, detail: str, advice: str = "") -> BuildNetError:
    """Return the error that says a refusal in words. ``advice``: the other side's hint."""
    if code in _TOKEN_REFUSALS:
        message, hint = _TOKEN_REFUSALS[code]
        return TokenError(message, cause=detail or None, hint=hint)
    message, hint = _REFUSALS.get(
        code,
        (
            detail or f"the other side refused: {code}",
            advice or "see the log of the node that was asked",
        ),
    )
    kind = _KINDS.get(code, JoinError)
    return kind(message, cause=code if message == detail else detail or None, hint=hint)
