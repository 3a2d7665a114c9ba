"""Invitation tokens: what a person carries from a member to the host that shall join.

A token holds a secret that makes an Ed25519 key pair; the member list holds the public key only.
The joiner signs its own key with it and never says the secret, so a responder, honest or not,
learns nothing that would let in anybody else.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Annotated

from blake3 import blake3

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey, node_id_of
from buildnet.mesh.members.changes import Change, Invite, Join, join_statement, sign_change
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.statement import Signer
from buildnet.mesh.wire import Counter, Limit, Wire, WireError

SECRET_BYTES = 16
FINGERPRINT_BYTES = 16
"""How much of the cluster id a token holds: too much to find another cluster that fits."""

_PREFIX = "bn1-"
_CHECK_BYTES = 4
_MAX_CHARACTERS = 4096
_CONTEXT = "buildnet 2026-11 invitation token"
_ASK_AGAIN = "ask for a new one: buildnet node invite"


class TokenError(BuildNetError):
    """A text that is no invitation token, or one that serves no more or elsewhere."""

    code = "TOKEN"
    exit_code = 2
    http_status = 400


@dataclass(frozen=True, slots=True)
class Token(Wire):
    """An invitation as its maker hands it out. It is a secret."""

    fingerprint: Annotated[bytes, Limit(FINGERPRINT_BYTES, FINGERPRINT_BYTES)]
    secret: Annotated[bytes, Limit(SECRET_BYTES, SECRET_BYTES)] = field(repr=False)
    expires: Counter
    """Unix seconds."""
    addresses: Annotated[tuple[Annotated[str, Limit(1, 255)], ...], Limit(0, 8)]
    """Where to join, as URLs."""

    @property
    def key(self) -> NodeKey:
        """The invitation's key pair."""
        return NodeKey.from_seed(blake3(self.secret, derive_key_context=_CONTEXT).digest())

    @property
    def id(self) -> str:
        """What people see of the invitation; it is no secret."""
        return node_id_of(self.key.public_key)

    @property
    def text(self) -> str:
        """The token to carry: ``bn1-`` and base32, for one word of a command line."""
        data = self.encode()
        return _PREFIX + base64.b32encode(data + _check_of(data)).decode().rstrip("=").lower()

    def belongs_to(self, cluster_id: bytes) -> bool:
        """Tell whether it invites into that cluster."""
        return cluster_id[:FINGERPRINT_BYTES] == self.fingerprint

    def check(self, cluster_id: bytes) -> None:
        """Refuse another cluster than that of the token. Whether it has expired its cluster says:
        the clock of the host that joins may be wrong.

        Raises:
            TokenError: it belongs to another cluster.
        """
        if not self.belongs_to(cluster_id):
            raise TokenError(
                "the token invites into another cluster",
                cause="who answers at this address belongs to a cluster that did not make it",
                hint="join at the address that came with the token",
            )

    @classmethod
    def parse(cls, text: str) -> Token:
        """Read a token that a person typed or pasted; case and white space do not matter.

        Raises:
            TokenError: it is none; the message says what is wrong with it.
        """
        word = "".join(text.split()).lower()
        if len(word) > _MAX_CHARACTERS:
            raise TokenError("that is too long for a token", hint="paste the token alone")
        if not word.startswith(_PREFIX):
            if word.startswith("bn") and "-" in word[:6]:
                raise TokenError(
                    "the token was made by another version of BuildNet",
                    hint="install the same version on both hosts",
                )
            raise TokenError(f"that is no token: one begins with {_PREFIX}", hint=_ASK_AGAIN)
        digits = word.removeprefix(_PREFIX).upper()
        damaged = TokenError(
            "the token is damaged or incomplete", hint="copy all of it, from bn1- to its end"
        )
        try:
            data = base64.b32decode(digits + "=" * (-len(digits) % 8))
        except (binascii.Error, ValueError):  # ValueError: no ASCII
            raise damaged from None
        body, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if check != _check_of(body):
            raise damaged
        try:
            return cls.decode(body)
        except WireError as error:
            raise damaged from error


def new_token(
    cluster_id: bytes, *, secret: bytes, expires: int, addresses: tuple[str, ...]
) -> Token:
    """Return a token. ``secret``: 16 random bytes; ``expires``: unix seconds."""
    return Token(cluster_id[:FINGERPRINT_BYTES], secret, expires, addresses)


def invite(
    token: Token,
    *,
    uses: int = 1,
    role: Role = Role.WORKER,
    rights: Rights = Rights.BUILDER,
) -> Invite:
    """Return what an admin signs so that ``token`` opens the cluster."""
    expires = (token.expires * 1000) << 16
    return Invite(token.key.public_key, expires, uses, role.value, rights.value)


def join(
    token: Token, joiner: Signer, *, cluster_id: bytes, name: str, role: Role, hlc: int
) -> Change:
    """Return the change by which ``joiner`` lets itself in; any member may propose it.

    Raises:
        TokenError: the token belongs to another cluster.
        ValueError: the name is no printable text.
    """
    if not token.belongs_to(cluster_id):
        raise TokenError("the token invites into another cluster", hint=_ASK_AGAIN)
    key = token.key
    proof = key.sign(join_statement(cluster_id, joiner.public_key, name, role.value))
    what = Join(name, role.value, key.public_key, proof)
    return sign_change(
        what, cluster_id=cluster_id, author=joiner.public_key, hlc=hlc, sign=joiner.sign
    )


def _check_of(data: bytes) -> bytes:
    return blake3(data).digest()[:_CHECK_BYTES]
