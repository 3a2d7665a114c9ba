"""Makes, replaces, revokes and lists keys; what is signed here is signed by an admin's node."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from blake3 import blake3

from buildnet.ledger.entry import Actor, ActorKind
from buildnet.ledger.facts import REVOKED
from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError
from buildnet.mesh.identity import NodeKey, is_public_key, node_id_of
from buildnet.mesh.members.member_list import Member, MemberList, Rights
from buildnet.mesh.service.administration import NotAdminError
from buildnet.mesh.suggest import did_you_mean
from buildnet.node.auth import actors
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.claims import (
    DEFAULT_RATE,
    KEY_NAME,
    MAX_PARENTS,
    MAX_RATE,
    Claims,
    new_key_id,
)
from buildnet.node.auth.key_facts import KeyFact, KeyFacts
from buildnet.node.auth.keys import Key, Keys, is_within, make_token
from buildnet.node.auth.moment import milliseconds, shown, shown_s
from buildnet.node.auth.refusal import KeyElsewhereError, KeyRevokedError, NotAllowedError
from buildnet.node.auth.register import Made, Register
from buildnet.node.auth.register_file import KeysWriteError, RegisterFile
from buildnet.node.auth.revocations import FOR_EVER_MS
from buildnet.node.auth.scope import Scope
from buildnet.node.auth.spreading import KeySpreading
from buildnet.node.auth.uses import Uses
from buildnet.pool.messages.keys import MAX_CLAIMS_CHARACTERS, KeyEnded, KeyMade

DEFAULT_VALID_S = 30 * 86400.0
LEAST_VALID_S = 60.0
MOST_VALID_S = 366 * 86400.0
_A_DAY_MS = 86400 * 1000
_PUBLIC_KEY = re.compile(r"[0-9a-f]{64}")
_REASON_CHARACTERS = 200


class KeyExistsError(BuildNetError):
    """There is a key of this name that counts."""

    code = "KEY_EXISTS"
    exit_code = 2
    http_status = 409


@dataclass(frozen=True, slots=True)
class Wish:
    """What a key is to be. ``scope``: see :class:`~buildnet.node.auth.scope.Scope`; ``bound``:
    public key of the agent, hexadecimal; ``rate``: requests a minute."""

    name: str
    rights: Rights
    scope: tuple[str, ...] = ()
    valid_s: float = DEFAULT_VALID_S
    bound: str | None = None
    rate: int = DEFAULT_RATE


class KeyDesk:
    """``members``, ``key`` and ``register`` are those of the node and its cluster as they are
    now; ``on_revoked`` is told at once."""

    def __init__(
        self,
        members: Callable[[], MemberList],
        key: Callable[[], NodeKey],
        file: RegisterFile,
        spreading: KeySpreading,
        keys: Keys,
        uses: Uses,
        facts: KeyFacts,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._members = members
        self._key = key
        self._file = file
        self._spreading = spreading
        self._keys = keys
        self._uses = uses
        self._facts = facts
        self._clock = clock

    @property
    def signs(self) -> bool:
        """Whether this node is an admin's, whose key signs keys."""
        return self._members().is_admin(self._key().public_key)

    def signers(self) -> list[Member]:
        """Return the members that are, by name."""
        members = self._members()
        found = [one for one in members.members.values() if members.is_admin(one.key)]
        return sorted(found, key=lambda one: one.name)

    async def create(self, wish: Wish, asking: Caller, actor: str) -> dict[str, Any]:
        """Make a key; the answer holds it, and nothing else ever will.

        Raises:
            UsageError, NotFoundError: the wish has no meaning.
            KeyExistsError: another key of this name counts.
            NotAllowedError: it is more than who asks has.
            NotAdminError: this node is no admin's.
        """
        members = self._require_admin()
        _actor(actor)
        register, now = self._register(), self._now()
        scope = self._checked(wish, members)
        for made in register.made.values():
            if made.claims.name == wish.name and self._keys.problem(Key.of(made.claims)) is None:
                raise KeyExistsError(
                    f"there is a key {wish.name} already: {made.claims.id}",
                    hint="choose another name, or buildnet key rotate",
                )
        parents, until = self._bounds(asking, wish.rights)
        expires = now + timedelta(seconds=wish.valid_s)
        claims = Claims(
            id=new_key_id(),
            name=wish.name,
            cluster=members.cluster_id.hex(),
            issuer=self._key().public_key.hex(),
            issued=now,
            expires=expires if until is None else min(expires, until),
            rights=wish.rights,
            scope=scope.said(),
            bound=wish.bound,
            rate=wish.rate,
            parents=parents,
        )
        return await self._make(claims, actor, "key.created")

    async def rotate(self, name: str, asking: Caller, actor: str) -> dict[str, Any]:
        """Make a key anew, with the same id, rights and length of life; what was issued of it
        before counts no more.

        Raises:
            NotFoundError: there is no such key.
            NotAllowedError: it was revoked, or is more than who asks has.
            NotAdminError: this node is no admin's.
        """
        members = self._require_admin()
        _actor(actor)
        register = self._register()
        made = self._find(name)
        old = made.claims
        parents, until = self._bounds(asking, old.rights)
        if register.revocations.cover((old.id, *old.parents), made.issued_ms):
            raise NotAllowedError(
                f"the key {old.name} ({old.id}) was revoked",
                hint="make another: buildnet key create",
            )
        parents = tuple(dict.fromkeys((*old.parents, *parents)))
        if len(parents) > MAX_PARENTS:
            raise _too_many_parents()
        now = max(self._now(), old.issued + timedelta(milliseconds=1))
        expires = now + (old.expires - old.issued)
        claims = old.model_copy(
            update={
                "cluster": members.cluster_id.hex(),
                "issuer": self._key().public_key.hex(),
                "issued": now,
                "expires": expires if until is None else min(expires, until),
                "parents": parents,
            }
        )
        answer = await self._make(claims, actor, "key.modified")
        issued_ms = milliseconds(claims.issued.timestamp())
        forget = milliseconds(old.expires.timestamp()) + _A_DAY_MS
        await self._end(old.id, issued_ms - 1, max(forget, issued_ms), actor, "made anew")
        return answer

    async def revoke(self, name: str, reason: str, actor: str) -> dict[str, Any]:
        """Revoke a key for ever, and those that were made with it. A whole id will do where the
        key is not known here.

        Raises:
            NotFoundError: there is no such key.
            NotAdminError: this node is no admin's.
            KeysWriteError: it can't be kept, so the key counts on.
        """
        self._require_admin()
        _actor(actor)
        now_ms = milliseconds(self._clock())
        forget = now_ms + milliseconds(MOST_VALID_S) + _A_DAY_MS
        known = self._known(name)
        if known is None and re.fullmatch("[0-9a-f]{16}", name):
            key_id = name
        else:
            key_id = self._find(name).claims.id
        await self._end(key_id, FOR_EVER_MS, forget, actor, reason[:_REASON_CHARACTERS])
        named = None if known is None else {"name": known.claims.name}
        self._facts.put(KeyFact(key_id, REVOKED, named, _actor(actor), reason))
        return {"success": True, "id": key_id, "reason": reason}

    def all(self) -> list[dict[str, Any]]:
        """Return all keys that are known here, by name."""
        made = sorted(
            self._register().made.values(), key=lambda one: (one.claims.name, one.claims.id)
        )
        return [self._view(one) for one in made]

    def one(self, name: str) -> dict[str, Any]:
        """Return a key by its name, its id or the beginning of that.

        Raises:
            NotFoundError: there is none, or several.
        """
        return self._view(self._find(name))

    # --- what they need ------------------------------------------------------------------------

    def _register(self) -> Register:
        return self._file.of(self._members().cluster_id)

    def _now(self) -> datetime:
        """Return now, to the millisecond, as a key has it."""
        return datetime.fromtimestamp(milliseconds(self._clock()) / 1000, UTC)

    def _require_admin(self) -> MemberList:
        members = self._members()
        if not members.is_admin(self._key().public_key):
            admins = sorted(
                one.name for one in members.members.values() if members.is_admin(one.key)
            )
            raise NotAdminError(
                "keys are made and revoked on the node of an admin, which signs that",
                hint=f"ask on one of: {', '.join(admins[:5]) or 'none is left'}",
            )
        if (problem := self._register().problem) is not None:
            raise NotAllowedError(
                "no key is made while it is not known which ones were revoked",
                hint=f"{problem}: restore it, or move it away and start anew",
            )
        return members

    def _checked(self, wish: Wish, members: MemberList) -> Scope:
        """Return the scope of a wish, in which nodes are named by id."""
        if not re.fullmatch(KEY_NAME, wish.name):
            raise UsageError(
                f"{wish.name!r:.80} is no name of a key",
                hint="1 to 64 letters, digits, points, - and _, beginning with a letter or digit",
            )
        if not LEAST_VALID_S <= wish.valid_s <= MOST_VALID_S:
            raise UsageError(
                "a key counts for a minute to a year", hint="--expires 30d, or 12h, or 365d"
            )
        if not 1 <= wish.rate <= MAX_RATE:
            raise UsageError("the rate is no number that makes sense", hint=f"1 to {MAX_RATE}")
        if wish.bound is not None and not _PUBLIC_KEY.fullmatch(wish.bound):
            raise UsageError(
                "this is no public key", hint="64 hexadecimal digits: Ed25519, as openssl makes it"
            )
        if wish.bound is not None and not is_public_key(bytes.fromhex(wish.bound)):
            raise UsageError(
                "these are 64 digits, but no public key of Ed25519 that anybody signs with",
                hint="take that of the agent as it was made, or let one be made: --bind new",
            )
        scope = Scope.read(wish.scope)
        nodes = frozenset(_node_id(name, members) for name in scope.nodes)
        scope = Scope(nodes, scope.workspaces, scope.actions)
        if sum(map(len, scope.said())) > MAX_CLAIMS_CHARACTERS // 2:
            raise UsageError("too many scopes", hint="make several keys of it")
        return scope

    def _bounds(self, asking: Caller, rights: Rights) -> tuple[tuple[str, ...], datetime | None]:
        """Return with which keys a key is made, and until when it may count at most: nobody makes
        more than they have."""
        if asking.kind is CallerKind.OWNER:
            return (), None
        if not asking.is_owner and (asking.rights is None or not is_within(rights, asking.rights)):
            raise NotAllowedError(
                f"{asking.actor} has the rights {asking.rights} and makes no key with {rights}",
                hint="ask for no more than you have",
            )
        if asking.actions is not None or asking.workspaces is not None:
            raise NotAllowedError(
                f"the key of {asking.actor} has a scope, and makes none without",
                hint="ask an admin whose key has none",
            )
        key = asking.credential if asking.kind is CallerKind.KEY else asking.linked_by
        if not key:
            return (), None
        with_it = self._register().made.get(key)
        if with_it is None:
            raise NotAllowedError(
                f"the key of {asking.actor} is not known here yet", hint="try again in a minute"
            )
        if with_it.claims.scope:
            raise NotAllowedError(
                f"the key of {asking.actor} has a scope, and makes none without",
                hint="ask an admin whose key has none",
            )
        parents = (with_it.claims.id, *with_it.claims.parents)
        if len(parents) > MAX_PARENTS:
            raise _too_many_parents()
        return parents, with_it.claims.expires

    async def _make(self, claims: Claims, actor: str, kind: str) -> dict[str, Any]:
        key, register = self._key(), self._register()
        token = make_token(claims, key.sign)
        digest = blake3(token.encode()).digest()
        record = KeyMade.unsigned(claims=claims.encode().decode(), by=actor[:128], digest=digest)
        self._spreading.tell(record.signed(register.cluster_id, key.public_key, key.sign))
        await self._spreading.keep(register)
        value = {
            "name": claims.name,
            "role": claims.rights.value,
            "scope": list(claims.scope),
            "key_hash": digest.hex(),
            "expires_at": milliseconds(claims.expires.timestamp()),
            "bound": claims.bound,
            "rate": claims.rate,
            "made_with": list(claims.parents),
        }
        self._facts.put(KeyFact(claims.id, kind, value, _actor(actor)))
        return {**_said(claims), "key": token}

    async def _end(self, key: str, until_ms: int, forget_ms: int, actor: str, reason: str) -> None:
        mine, register = self._key(), self._register()
        record = KeyEnded.unsigned(
            id=key,
            until_ms=until_ms,
            at_ms=milliseconds(self._clock()),
            forget_ms=forget_ms,
            by=actor[:128],
            reason=reason,
        )
        self._spreading.tell(record.signed(register.cluster_id, mine.public_key, mine.sign))
        if not register.revocations.cover((key,), until_ms):
            raise KeysWriteError(
                f"that {key} counts no more could not be kept: nothing was changed",
                cause="the node changes its cluster, or has no room for more of them",
                hint="ask again in a moment, or on the node of another admin",
            )
        await self._spreading.keep(register)

    def _known(self, name: str) -> Made | None:
        """Return a key by its name, its id or the beginning of that; one that counts, if any."""
        made = self._register().made
        if name in made:
            return made[name]
        found = [one for one in made.values() if one.claims.name == name]
        if not found and len(name) >= 4:
            found = [one for key, one in made.items() if key.startswith(name)]
            if len(found) > 1:
                raise UsageError(f"several keys begin with {name}", hint="give more digits")
        return max(found, key=lambda one: one.issued_ms, default=None)

    def _find(self, name: str) -> Made:
        found = self._known(name)
        if found is None:
            known = [one.claims.name for one in self._register().made.values()]
            raise NotFoundError(
                f"there is no key {name!r:.80}",
                hint=did_you_mean(name, known) or "buildnet key list shows them",
            )
        return found

    def _view(self, made: Made) -> dict[str, Any]:
        claims, used = made.claims, self._uses.last_used(made.claims.id)
        problem = self._keys.problem(Key.of(claims))
        if isinstance(problem, KeyElsewhereError):
            problem = None
        revoked = isinstance(problem, KeyRevokedError)
        ended = self._register().ended.get(claims.id) if revoked else None
        return {
            **_said(claims),
            "status": "valid" if problem is None else "revoked" if revoked else "expired",
            "problem": None if problem is None else problem.message,
            "made_by": made.record.by,
            "issuer": node_id_of(self._members().current(bytes.fromhex(claims.issuer))),
            "made_with": list(claims.parents),
            "revoked_by": None if ended is None else ended.by,
            "revoked_at": None if ended is None else shown_s(ended.at_ms / 1000),
            "reason": None if ended is None else ended.reason or None,
            "used_here_at": None if used is None else shown_s(used),
        }


def _said(claims: Claims) -> dict[str, Any]:
    return {
        "id": claims.id,
        "name": claims.name,
        "rights": claims.rights.value,
        "scope": list(claims.scope),
        "issued_at": shown(claims.issued),
        "expires_at": shown(claims.expires),
        "bound": claims.bound,
        "rate": claims.rate,
    }


def _node_id(name: str, members: MemberList) -> str:
    """Return the id of a node by its name or id.

    Raises:
        NotFoundError: it is no member.
    """
    for member in members.members.values():
        if name in (member.name, member.node_id):
            return member.node_id
    known = [member.name for member in members.members.values()]
    raise NotFoundError(
        f"there is no node {name!r:.80}",
        hint=did_you_mean(name, known) or "buildnet node list shows them",
    )


def _actor(name: str) -> Actor:
    kind = ActorKind.AGENT if name.startswith(actors.AGENT) else ActorKind.USER
    try:
        return Actor(name[:128], name[:128], kind.value)
    except ValueError as error:
        raise UsageError(f"{name!r:.80} can't be an actor", cause=str(error)) from error


def _too_many_parents() -> NotAllowedError:
    return NotAllowedError(
        "this key was made with a key that was made with a key, and so on",
        hint="make keys on the node of an admin",
    )
