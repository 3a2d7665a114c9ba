"""Doubles for tests and for the simulator: cheap signatures, clocks that are set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3

from buildnet.mesh.identity import NodeKey

MIDNIGHT_MS = 1_790_000_000_000
"""Where the clocks of tests begin: a day in September 2026, in milliseconds since 1970 UTC."""


@dataclass(frozen=True, slots=True)
class CheapSignatures:
    """Signatures that cost a microsecond: BLAKE3 of the message, keyed with the public key.

    They fail for another message and for another key, as real ones do; but anybody can make them,
    so they show mistakes, not attacks.
    """

    key: bytes

    @property
    def public_key(self) -> bytes:
        """The key again: so it stands for a key pair, too."""
        return self.key

    def sign(self, message: bytes) -> bytes:
        """Return this node's 64-byte signature of ``message``."""
        return blake3(message, key=self.key).digest(length=64)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is ``key``'s of ``message``."""
        return len(key) == 32 and blake3(message, key=key).digest(length=64) == signature


@dataclass(slots=True)
class ManualClock:
    """A wall clock that moves when told to: pass it as a hybrid clock's ``wall``."""

    milliseconds: int = field(default=MIDNIGHT_MS)

    def __call__(self) -> int:
        """Return milliseconds since 1970 UTC."""
        return self.milliseconds

    def advance(self, seconds: float) -> None:
        """Move on, or back where ``seconds`` is negative."""
        self.milliseconds += round(seconds * 1000)


def key_number(number: int) -> NodeKey:
    """Return the same key pair for the same number, everywhere and every time."""
    return NodeKey.from_seed(blake3(b"buildnet test key %d" % number).digest())
