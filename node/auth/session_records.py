"""What the ledger is told of people: that somebody logged in, and how their session ended."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.node.auth.sessions import Ended, Session
from buildnet.node.recording import OpenLedger


@dataclass(frozen=True, slots=True)
class SessionTold:
    """Something about somebody's session. ``actor``: who did it; ``kind``: what they are."""

    type: str
    actor: str
    entity: str
    data: Mapping[str, Any]
    kind: ActorKind = ActorKind.USER
    reason: str = ""
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        name = self.actor[:128] or "local"
        return (
            EntryDraft(
                self.type,
                Actor(name, name, self.kind.value),
                self.reason[:1000],
                entity=self.entity,
                request=self.request,
                data=self.data,
            ),
        )


def opened(session: Session, rights: str | None) -> SessionTold:
    """Return the record of a login."""
    by_key = session.grant.key is not None
    kind = ActorKind.AGENT if by_key else ActorKind.USER
    data = {
        "kind": kind.value,
        "address": session.address,
        "how": "key" if by_key else "link",
        "rights": "owner" if session.grant.is_owner else rights,
    }
    actor = session.grant.known_as
    return SessionTold("session.opened", actor, f"session:{session.id}", data, kind)


def ended(session: Session, why: Ended) -> SessionTold:
    """Return the record of a session's end that nobody else wanted."""
    of_itself = why in (Ended.IDLE, Ended.EXPIRED)
    return SessionTold(
        "session.expired" if of_itself else "session.closed",
        session.grant.known_as,
        f"session:{session.id}",
        {"reason": why.value},
    )


def kicked(name: str, whose: str, by: str, reason: str) -> SessionTold:
    """Return the record of somebody being sent away."""
    data = {"whose": whose, "reason": reason[:1000]}
    return SessionTold("session.kicked", by, f"session:{name}", data, reason=reason)


def handed_over(build: str, whose: str, to: str, by: str) -> SessionTold:
    """Return the record of a build that is somebody else's from now on."""
    return SessionTold("build.handed_over", by, f"build:{build}", {"from": whose, "to": to})
