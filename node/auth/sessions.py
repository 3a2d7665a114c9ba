"""Sessions of people who logged in: which there are, and when each is over. A pure core.

Times are seconds since 1970 UTC: a session outlives the node's process, so it goes by a clock that
does. Of a session's secret only the hash is here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth import actors
from buildnet.node.auth.caller import Caller
from buildnet.node.auth.secret import hash_of

MOST_SESSIONS = 1000
"""Of all people of one node."""


class Ended(StrEnum):
    """Why a session is over."""

    LOGGED_OUT = "logged out"
    IDLE = "unused for too long"
    EXPIRED = "its time is over"
    ANEW = "logged in anew"
    TOO_MANY = "too many sessions"
    KICKED = "ended by an admin"
    ACCOUNT = "its account is no more"
    KEY = "its key counts no more"


@dataclass(frozen=True, slots=True)
class Grant:
    """What a login gives. ``actor``: the name that its work goes under, or, ``account``, of the
    account whose rights it has; ``rights``: the most that it has of them;
    ``is_owner``: it is the owner of this host; ``key``: who asked with the key that it was opened
    with, for all that such a session may do is what its key may; ``linked_by``: who asked with the
    key that its link was made with, for it may no more than that one, and ends with it."""

    actor: str
    account: bool = False
    rights: Rights | None = None
    is_owner: bool = False
    key: Caller | None = None
    linked_by: Caller | None = None

    @property
    def known_as(self) -> str:
        """The name that its work goes under."""
        return actors.account(self.actor) if self.account else self.actor

    @property
    def stands_on(self) -> Caller | None:
        """Who asked with the key that it ends with; None: it ends with none."""
        return self.key or self.linked_by

    def __post_init__(self) -> None:
        if not (self.account or self.is_owner or self.key or self.rights):
            raise ValueError("a login gives something, and says how much")


@dataclass(frozen=True, slots=True)
class Session:
    """``id``: for people, no secret; ``secret``: hash of what the browser shows; ``ends``: at the
    latest; ``address``, ``agent``: who opened it, as it was told."""

    id: str
    secret: bytes
    grant: Grant
    opened: float
    seen: float
    ends: float
    address: str = ""
    agent: str = ""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """In seconds: ``idle``: the longest pause between two requests; ``lifetime``: of a session at
    all; ``per_actor``: how many one may have at once."""

    idle: float = 12 * 3600.0
    lifetime: float = 7 * 86400.0
    per_actor: int = 16


class Sessions:
    """The sessions of one node; ``limits`` may be changed at any time."""

    def __init__(self, limits: SessionLimits, known: Iterable[Session] = ()) -> None:
        self.limits = limits
        self._by_secret = {each.secret: each for each in known}

    def all(self) -> list[Session]:
        """Return them, those opened first before the others."""
        return sorted(self._by_secret.values(), key=lambda each: (each.opened, each.id))

    def open(
        self,
        name: str,
        secret: str,
        grant: Grant,
        now: float,
        *,
        ends: float | None = None,
        address: str = "",
        agent: str = "",
    ) -> tuple[Session, list[Session]]:
        """Open one under the id ``name``; ``ends``: when it ends at the latest, besides its
        lifetime. Return it, and those that had to make room: the ones used least recently."""
        most = now + self.limits.lifetime
        ends = most if ends is None else min(ends, most)
        session = Session(name, hash_of(secret), grant, now, now, ends, address, agent)
        mine = [each for each in self._by_secret.values() if each.grant.known_as == grant.known_as]
        gone = _least_used(mine, self.limits.per_actor - 1)
        others = [each for each in self._by_secret.values() if each not in gone]
        gone += _least_used(others, MOST_SESSIONS - 1)
        for each in gone:
            del self._by_secret[each.secret]
        self._by_secret[session.secret] = session
        return session, gone

    def find(self, secret: str, now: float) -> Session | None:
        """Return the session of a secret; None: there is none, or it is over."""
        found = self._by_secret.get(hash_of(secret))
        return None if found is None or self._over(found, now) is not None else found

    def by_id(self, session_id: str) -> Session | None:
        """Return the session of an id; None: there is none."""
        return next((each for each in self._by_secret.values() if each.id == session_id), None)

    def has(self, session: Session) -> bool:
        """Tell whether a session was not ended."""
        return session.secret in self._by_secret

    def use(self, session: Session, now: float) -> Session:
        """Take note that one is in use, and return it as it is now."""
        used = replace(session, seen=max(now, session.seen))
        if session.secret in self._by_secret:
            self._by_secret[session.secret] = used
        return used

    def end(self, session_id: str) -> Session | None:
        """End one; return it as it was, None: there is none of this id."""
        for each in self._by_secret.values():
            if each.id == session_id:
                return self._by_secret.pop(each.secret)
        return None

    def over(self, now: float) -> list[tuple[Session, Ended]]:
        """Take out those whose time is over, and tell why."""
        found = []
        for each in self.all():
            why = self._over(each, now)
            if why is not None:
                del self._by_secret[each.secret]
                found.append((each, why))
        return found

    def _over(self, session: Session, now: float) -> Ended | None:
        # The limits of today count, and those that it was opened under.
        if now >= min(session.ends, session.opened + self.limits.lifetime):
            return Ended.EXPIRED
        if now >= session.seen + self.limits.idle:
            return Ended.IDLE
        return None


def _least_used(sessions: Iterable[Session], keep: int) -> list[Session]:
    """Return all but the ``keep`` that were used last."""
    ordered = sorted(sessions, key=lambda each: (each.seen, each.opened, each.id))
    return ordered[: max(0, len(ordered) - keep)]
