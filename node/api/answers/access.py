"""Keys, logins and sessions."""

from __future__ import annotations

from typing import Literal

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.answers.answer import Answer, Page, Success
from buildnet.node.auth.activity import Way
from buildnet.node.auth.caller import CallerKind


class KeyClaims(Answer):
    """What a key says."""

    id: str
    name: str
    rights: Rights
    scope: list[str]
    issued_at: str
    expires_at: str
    bound: str | None
    rate: int


class NewKey(KeyClaims):
    """A key that was made; ``key`` is a secret, and stands nowhere else."""

    key: str


class KnownKey(KeyClaims):
    """A key, and what is known of it."""

    status: Literal["valid", "expired", "revoked"]
    problem: str | None
    made_by: str
    issuer: str
    made_with: list[str]
    revoked_by: str | None
    revoked_at: str | None
    reason: str | None
    used_here_at: str | None


class Keys(Page):
    """All keys, by name."""

    keys: list[KnownKey]


class RevokedKey(Success):
    """A key that was revoked."""

    id: str
    reason: str


class LoginLink(Answer):
    """A link to log in with; a secret."""

    url: str
    network_url: str | None
    expires_at: str
    warning: str | None


class ThisNode(Answer):
    """The node that was asked."""

    id: str
    name: str


class OwnSession(Answer):
    """Who asks, and what they may do."""

    id: str | None
    kind: CallerKind
    actor: str
    rights: Rights | None
    is_owner: bool
    actions: list[str]
    since: str | None
    ends: str | None
    idle_s: float
    csrf: str | None
    node: ThisNode
    warning: str | None


class Ticket(Answer):
    """A ticket for one WebSocket; a secret."""

    ticket: str
    good_for_s: float


class OpenConnection(Answer):
    """What somebody asks for just now."""

    what: str
    since: str


class BuildInShort(Answer):
    """How far a build is."""

    build_id: str
    workspace: str
    actor: str
    since: str
    running: int
    left_ms: float | None
    waits_for: str | None
    node: str | None = None
    node_id: str | None = None


class Presence(Answer):
    """Somebody who uses a node."""

    id: str
    way: Way
    actor: str
    rights: Rights | None
    is_owner: bool
    address: str
    agent: str
    since: str
    last: str
    ends: str | None
    requests: int
    connections: list[OpenConnection]
    builds: list[BuildInShort]
    node: str | None = None
    node_id: str | None = None


class SilentNode(Answer):
    """A node that did not tell, and why."""

    node: str
    why: str


class Presences(Page):
    """Who uses the nodes; ``left_out``: how many more there are than were told."""

    sessions: list[Presence]
    silent: list[SilentNode]
    left_out: int


class EndedSessions(Success):
    """Those that were ended."""

    sessions: list[Presence]


class HandedOver(Success):
    """The builds that are another actor's now. ``warning``: what was not known of that one."""

    to: str
    builds: list[BuildInShort]
    warning: str | None = None
