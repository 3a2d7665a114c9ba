"""What the two sides of a handshake compute alike: keys, and the string that people compare."""

from __future__ import annotations

from dataclasses import dataclass, field

from blake3 import blake3
from nacl.bindings import crypto_scalarmult
from nacl.exceptions import CryptoError

from buildnet.mesh.link.frames import MAX_CONTROL_FRAME_BYTES, FrameCipher

CONTEXT = "buildnet mesh 2026-11 handshake"

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's base 32: no I, L, O, U


@dataclass(frozen=True, slots=True)
class Session:
    """The keys that the handshake ends with; ``transcript`` (32 bytes) names it on both sides."""

    transcript: bytes
    sending_key: bytes = field(repr=False)
    receiving_key: bytes = field(repr=False)

    def cipher(self, max_bytes: int = MAX_CONTROL_FRAME_BYTES) -> FrameCipher:
        """Return the link's cipher; ``max_bytes`` of a sealed frame. To be called once."""
        return FrameCipher(self.sending_key, self.receiving_key, max_bytes)


@dataclass(slots=True)
class Secrets:
    """What both sides compute alike once the ephemeral keys are exchanged."""

    shared: bytes
    transcript: bytes

    @classmethod
    def agree(cls, private: bytes, ephemeral: bytes, hello: bytes, welcome: bytes) -> Secrets:
        """Combine one side's private key with the other's public one (X25519).

        Raises:
            ValueError: the public one is of small order, so the secret would be known to all.
        """
        try:
            shared = crypto_scalarmult(private, ephemeral)
        except (CryptoError, RuntimeError) as error:
            raise ValueError("a key of small order") from error
        return cls(shared, hash_of(CONTEXT.encode(), hello, welcome))

    def keys(self, purpose: str) -> tuple[bytes, bytes]:
        """Return two keys, initiator to responder and back, bound to all that was said so far."""
        derived = blake3(
            self.shared + self.transcript, derive_key_context=f"{CONTEXT} {purpose}"
        ).digest(64)
        return derived[:32], derived[32:]

    def add(self, message: bytes) -> None:
        """Go on in the transcript."""
        self.transcript = hash_of(self.transcript, message)


def hash_of(*parts: bytes) -> bytes:
    """Return BLAKE3 of parts that can't be shifted against each other."""
    hasher = blake3()
    for part in parts:
        hasher.update(len(part).to_bytes(8, "little") + part)
    return hasher.digest()


def short_authentication_string(seed: bytes) -> str:
    """Return 45 bits of ``seed`` as three groups of three characters, such as ``K7Q-2MX-9PD``."""
    number = int.from_bytes(blake3(seed, derive_key_context=f"{CONTEXT} comparison").digest(8))
    letters = [_ALPHABET[number >> shift & 31] for shift in range(0, 45, 5)]
    return "-".join("".join(letters[group : group + 3]) for group in (0, 3, 6))
