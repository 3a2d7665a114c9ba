"""Checks keys, on this node alone: by the cluster's member list and what was revoked.

A key is a token (:mod:`~buildnet.node.auth.token`) that an admin's node signed. The cluster's id is
signed with it, though not sent as such, so no other cluster takes it.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from blake3 import blake3

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import MemberList, Rights
from buildnet.node.auth.actions import Action
from buildnet.node.auth.claims import Claims
from buildnet.node.auth.moment import milliseconds, shown
from buildnet.node.auth.refusal import (
    KeyElsewhereError,
    KeyExpiredError,
    KeyInvalidError,
    KeyRevokedError,
)
from buildnet.node.auth.register import Register
from buildnet.node.auth.scope import Scope
from buildnet.node.auth.token import SignedToken, TokenError, signed_token

MOST_AHEAD_S = 300.0
"""So far ahead of this host's clock may be that of the node where a key was made."""
MOST_KNOWN = 4096
"""Keys whose signature was checked and need not be again."""
_PURPOSE = b"buildnet key 1\0"


@dataclass(frozen=True, slots=True)
class Key:
    """A key whose signature is right; whether it still counts, :meth:`Keys.problem` tells."""

    claims: Claims
    scope: Scope
    actions: frozenset[Action] | None
    issuer: bytes
    issued_ms: int
    expires_s: float
    stands_on: tuple[str, ...]
    """Its own id and those of the keys that it was made with."""

    @classmethod
    def of(cls, claims: Claims) -> Key:
        """Return what is looked at each time."""
        scope = Scope.read(claims.scope)
        return cls(
            claims,
            scope,
            scope.allowed,
            bytes.fromhex(claims.issuer),
            milliseconds(claims.issued.timestamp()),
            claims.expires.timestamp(),
            (claims.id, *claims.parents),
        )


class Keys:
    """``members``: the list as it is now; ``me``: this node's public key as it is now;
    ``register``: that of the cluster as it is now; ``clock``: seconds since 1970."""

    def __init__(
        self,
        members: Callable[[], MemberList],
        me: Callable[[], bytes],
        register: Callable[[], Register],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._members = members
        self._me = me
        self._register = register
        self._clock = clock
        self._known: OrderedDict[bytes, Key] = OrderedDict()

    def key(self, token: str) -> Key:
        """Return the key that a token is.

        Raises:
            KeyInvalidError: it is none of this cluster.
            KeyExpiredError, KeyRevokedError, KeyElsewhereError: it counts no more, or not here.
        """
        # By a hash: how long a look-up takes tells nothing of keys that are known.
        name = blake3(token.encode()).digest()
        key = self._known.get(name) or self._checked(token)
        if (problem := self.problem(key)) is not None:
            raise problem
        self._known[name] = key  # none that does not count: anybody may sign those
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return key

    def problem(self, key: Key) -> BuildNetError | None:
        """Tell why a key does not count now; None: it does."""
        claims, members, register, now = (
            key.claims,
            self._members(),
            self._register(),
            self._clock(),
        )
        if claims.cluster != members.cluster_id.hex():
            return _of_another_cluster()
        if register.problem is not None:
            return KeyRevokedError(
                "no key counts on this node now",
                cause=f"which ones were revoked is not known: {register.problem}",
                hint="its owner restores the file from a backup, or moves it away and starts anew",
            )
        if register.revocations.cover(key.stands_on, key.issued_ms):
            return KeyRevokedError(
                f"the key {claims.name} ({claims.id}) was revoked",
                hint="ask an admin for another one: buildnet key create",
            )
        if key.expires_s <= now:
            return KeyExpiredError(
                f"the key {claims.name} ({claims.id}) expired at {shown(claims.expires)}",
                hint="ask an admin for another one: buildnet key rotate",
            )
        if key.issued_ms > milliseconds(now + MOST_AHEAD_S):
            return KeyExpiredError(
                f"the key {claims.name} ({claims.id}) is from the future",
                hint="check the clocks of this host and of the one where it was made",
            )
        if not self._is_admins(key, members, register):
            return KeyRevokedError(
                f"the key {claims.name} ({claims.id}) was made by a node that is no admin's",
                hint="ask an admin for another one: buildnet key create",
            )
        if key.scope.nodes and not key.scope.nodes.intersection(_ids(members, self._me())):
            return KeyElsewhereError(
                f"the key {claims.name} ({claims.id}) is not for this node",
                hint="ask a node that it is for: buildnet key show",
            )
        return None

    def _is_admins(self, key: Key, members: MemberList, register: Register) -> bool:
        """Tell whether the node that made a key is an admin's. Of a key that it has no more it
        counts what is known to have been made with it: a thief of it makes no others."""
        if members.is_admin(key.issuer):
            return True
        is_successor = key.issuer not in members.revoked and members.is_admin(
            members.current(key.issuer)
        )
        return is_successor and register.knows(key.claims, key.issued_ms)

    def _checked(self, token: str) -> Key:
        """Return a key of which this cluster's id and the signature are right."""
        members = self._members()
        try:
            signed = SignedToken.read(token)
            claims = Claims.decode(signed.message)
        except TokenError as error:
            raise KeyInvalidError(
                "this is no key", cause=str(error), hint="send it as buildnet key create wrote it"
            ) from error
        if claims.cluster != members.cluster_id.hex():
            raise _of_another_cluster()
        implicit = implicit_of(members.cluster_id)
        if signed.footer or not signed.is_signed_by(bytes.fromhex(claims.issuer), implicit):
            raise KeyInvalidError(
                "this is no key",
                cause="its signature is wrong",
                hint="send it as buildnet key create wrote it",
            )
        return Key.of(claims)


def make_token(claims: Claims, sign: Callable[[bytes], bytes]) -> str:
    """Return a key that says ``claims``; ``sign``: with the key that they name as the issuer."""
    return signed_token(claims.encode(), sign, implicit=implicit_of(bytes.fromhex(claims.cluster)))


def implicit_of(cluster_id: bytes) -> bytes:
    """Return what is signed with every key of a cluster."""
    return _PURPOSE + cluster_id


def is_within(rights: Rights, most: Rights) -> bool:
    """Tell whether ``rights`` allow no more than ``most``."""
    order = (Rights.OBSERVER, Rights.BUILDER, Rights.ADMIN)
    return order.index(rights) <= order.index(most)


def _ids(members: MemberList, me: bytes) -> frozenset[str]:
    """Return the ids of this node: that of its key, and of those that it rotated before."""
    before = [key for key in members.former if members.current(key) == me]
    return frozenset(node_id_of(key) for key in (me, *before))


def _of_another_cluster() -> KeyInvalidError:
    return KeyInvalidError(
        "this key is of another cluster", hint="ask a node of the cluster that it was made in"
    )
