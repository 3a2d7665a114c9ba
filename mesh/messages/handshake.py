"""What the two sides of a handshake say; ``link/handshake.py`` has the order and meaning.

These come before any envelope, so they have no number of a kind.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.wire import Counter, Hash, Key, Limit, Signature, Wire

MAGIC = b"buildnet"
MAX_EXTRA_BYTES = 4 * 1024
"""What either side may bring along, such as a request to join."""

_Extra = Annotated[bytes, Limit(0, MAX_EXTRA_BYTES)]
_Magic = Annotated[bytes, Limit(len(MAGIC), len(MAGIC))]
_Version = Annotated[int, Limit(0, 255)]


@dataclass(frozen=True, slots=True)
class Hello(Wire):
    """1, initiator to responder, in the clear."""

    magic: _Magic
    least: _Version
    greatest: _Version
    ephemeral: Key
    commitment: Hash


@dataclass(frozen=True, slots=True)
class Welcome(Wire):
    """2, responder to initiator, in the clear."""

    magic: _Magic
    least: _Version
    greatest: _Version
    chosen: _Version
    """A protocol; 0: none in common."""
    ephemeral: Key
    nonce: Hash


@dataclass(frozen=True, slots=True)
class SealedClaim(Wire):
    """3, initiator to responder, sealed: who it is. All but the signature is signed."""

    nonce: Hash
    purpose: Annotated[str, Limit(1, 16)]
    identity: Key
    boot: Counter
    extra: _Extra
    signature: Signature


@dataclass(frozen=True, slots=True)
class SealedAnswer(Wire):
    """4, responder to initiator, sealed: who it is. All but the signature is signed."""

    cluster_id: Hash
    identity: Key
    boot: Counter
    extra: _Extra
    signature: Signature


@dataclass(frozen=True, slots=True)
class Refusal(Wire):
    """4, responder to initiator, sealed: no, or (``code`` empty) not decided yet."""

    code: Annotated[str, Limit(0, 64)]
    detail: Annotated[str, Limit(0, 1024)]


@dataclass(frozen=True, slots=True)
class ProvenRefusal(Wire):
    """4, responder to initiator, sealed: no, and who says so. All but the signature is signed."""

    code: Annotated[str, Limit(1, 64)]
    detail: Annotated[str, Limit(0, 1024)]
    identity: Key
    signature: Signature
