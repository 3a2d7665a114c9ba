"""Who may drive a build: the node that was asked for it, and who stands in by a chain of grants.

The id of a build is made of the key of the node that was asked, so everybody can tell whose build
it is. That node grants others to drive it under a number, its *attempt*, and who was granted that
may grant it on under higher ones. Nobody gives way to a number without its warrant. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

from blake3 import blake3

from buildnet.mesh import cbor
from buildnet.mesh.wire import Key, Limit, Signature, Wire

MAX_GRANTS = 32
"""So many nodes may go on with one build, one after the other."""
SALT_BYTES = 16
_ID_BYTES = 6
_ID_CONTEXT = "buildnet 2026 build id"
_GRANT_CONTEXT = b"buildnet grant of a build 1\0"

MAX_ATTEMPT = 1 << 32
Attempt = Annotated[int, Limit(0, MAX_ATTEMPT)]
HIGHEST_PROVEN = MAX_ATTEMPT // 2
"""A build is given a few. Who hears of one goes on above it, under numbers that can be said: of a
higher one nothing is believed."""
Verify = Callable[[bytes, bytes, bytes], bool]
"""Tells whether a key, if it counts at all, has signed a message: key, message, signature."""
IsSame = Callable[[bytes, bytes], bool]
"""Tells whether two keys are of one node, which may have changed its key."""


@dataclass(frozen=True, slots=True)
class Grant(Wire):
    """``granter`` lets ``holder`` drive a build under ``attempt``."""

    granter: Key
    holder: Key
    attempt: Attempt
    signature: Signature


@dataclass(frozen=True, slots=True)
class Warrant(Wire):
    """See the module's text. ``origin``: the key of the node that was asked, when it was;
    ``salt``: chance, so that each of its builds has another id; ``grants``: the first is of
    ``origin``, each further one of who holds the one before it."""

    origin: Key
    salt: Annotated[bytes, Limit(SALT_BYTES, SALT_BYTES)]
    grants: Annotated[tuple[Grant, ...], Limit(0, MAX_GRANTS)] = ()

    @property
    def build(self) -> str:
        """The id of the build."""
        digest = blake3(self.origin + self.salt, derive_key_context=_ID_CONTEXT).digest()
        return digest[:_ID_BYTES].hex()

    @property
    def is_full(self) -> bool:
        """Whether nobody can be granted it any more."""
        return len(self.grants) == MAX_GRANTS

    def granted(
        self, granter: bytes, holder: bytes, attempt: int, sign: Callable[[bytes], bytes]
    ) -> Warrant:
        """Return the warrant of ``holder``, signed by ``granter``, who has this one.

        Raises:
            ValueError: it :attr:`is_full`.
        """
        if self.is_full:
            raise ValueError(f"a build goes on at no more than {MAX_GRANTS} nodes")
        signature = sign(_signed(self.build, granter, holder, attempt))
        grant = Grant(granter, holder, attempt, signature)
        return replace(self, grants=(*self.grants, grant))

    def proves(
        self, build: str, claimant: bytes, attempt: int, verify: Verify, is_same: IsSame
    ) -> bool:
        """Tell whether ``claimant`` may say of a build that it goes on under ``attempt``: it was
        granted that, or granted it itself; the node that was asked may say any, up to
        :data:`HIGHEST_PROVEN`."""
        if self.build != build or attempt > HIGHEST_PROVEN:
            return False
        if not self.grants:
            return is_same(claimant, self.origin)
        holder, before = self.origin, 0
        for grant in self.grants:
            signed = _signed(build, grant.granter, grant.holder, grant.attempt)
            follows = is_same(grant.granter, holder) and grant.attempt > before
            if not follows or not verify(grant.granter, signed, grant.signature):
                return False
            holder, before = grant.holder, grant.attempt
        last = self.grants[-1]
        is_of = is_same(claimant, last.holder) or is_same(claimant, last.granter)
        return is_of and last.attempt == attempt

    def is_to(self, holder: bytes, granter: bytes, is_same: IsSame) -> bool:
        """Tell whether the last grant is of ``granter`` to ``holder``."""
        return bool(self.grants) and (
            is_same(self.grants[-1].holder, holder) and is_same(self.grants[-1].granter, granter)
        )


def _signed(build: str, granter: bytes, holder: bytes, attempt: int) -> bytes:
    return _GRANT_CONTEXT + cbor.encode([build, granter, holder, attempt])
