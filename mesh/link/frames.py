"""Frames: what travels on a link after its handshake, sealed with XChaCha20-Poly1305.

The nonce is the frame's number, which never travels: a frame that was altered, dropped, repeated or
moved opens nowhere. After 2**20 frames or 2**30 bytes the key is replaced by a hash of itself, so
that a key found later opens nothing older.
"""

from __future__ import annotations

from blake3 import blake3
from nacl.bindings import (
    crypto_aead_xchacha20poly1305_ietf_decrypt,
    crypto_aead_xchacha20poly1305_ietf_encrypt,
)
from nacl.exceptions import CryptoError

from buildnet.mesh.errors import BuildNetError

OVERHEAD_BYTES = 16
MAX_CONTROL_FRAME_BYTES = 64 * 1024
"""Sealed, on the control connection."""

FRAMES_PER_KEY = 2**20
BYTES_PER_KEY = 2**30

_NONCE_BYTES = 24
_REKEY_CONTEXT = "buildnet mesh 2026-11 next frame key"


class FrameError(BuildNetError):
    """A frame that does not open, or is too large; the link it came on is of no use any more."""

    code = "MESH_FRAME"
    http_status = 400


class _Direction:
    """Key and number of the next frame, counted alike on both sides."""

    __slots__ = ("bytes_left", "frames_left", "key", "max_bytes", "number")

    def __init__(self, key: bytes, max_bytes: int) -> None:
        self.key = key
        self.max_bytes = max_bytes
        self.number = 0
        self.frames_left = FRAMES_PER_KEY
        self.bytes_left = BYTES_PER_KEY

    def _count(self, size_bytes: int) -> None:
        self.number += 1
        self.frames_left -= 1
        self.bytes_left -= size_bytes
        if self.frames_left <= 0 or self.bytes_left <= 0:
            self.key = blake3(self.key, derive_key_context=_REKEY_CONTEXT).digest()
            self.frames_left = FRAMES_PER_KEY
            self.bytes_left = BYTES_PER_KEY


class FrameSealer(_Direction):
    """The sending direction. Frames go out in the order in which they were sealed."""

    __slots__ = ()

    def seal(self, plain: bytes) -> bytes:
        """Return the next frame.

        Raises:
            FrameError: ``plain`` is too large.
        """
        size_bytes = len(plain) + OVERHEAD_BYTES
        if size_bytes > self.max_bytes:
            raise FrameError(f"a frame of {size_bytes} bytes, {self.max_bytes} at most")
        nonce = self.number.to_bytes(_NONCE_BYTES, "little")
        sealed = crypto_aead_xchacha20poly1305_ietf_encrypt(plain, b"", nonce, self.key)
        self._count(size_bytes)
        return sealed


class FrameOpener(_Direction):
    """The receiving direction. After an error it opens nothing more."""

    __slots__ = ()

    def open(self, sealed: bytes) -> bytes:
        """Return what the other side sealed as its next frame.

        Raises:
            FrameError: it is not that frame, unaltered.
        """
        size_bytes = len(sealed)
        if self.number < 0:
            raise FrameError("a frame came after one that did not open")
        if size_bytes > self.max_bytes:
            self.number = -1
            raise FrameError(f"a frame of {size_bytes} bytes, {self.max_bytes} at most")
        nonce = self.number.to_bytes(_NONCE_BYTES, "little")
        try:
            plain = crypto_aead_xchacha20poly1305_ietf_decrypt(sealed, b"", nonce, self.key)
        except (CryptoError, ValueError, TypeError) as error:
            self.number = -1
            raise FrameError("a frame was altered, lost, repeated or moved") from error
        self._count(size_bytes)
        return plain


class FrameCipher:
    """Both directions of one link; its halves may be used by one thread each."""

    __slots__ = ("opener", "sealer")

    def __init__(
        self, sending_key: bytes, receiving_key: bytes, max_bytes: int = MAX_CONTROL_FRAME_BYTES
    ) -> None:
        self.sealer = FrameSealer(sending_key, max_bytes)
        self.opener = FrameOpener(receiving_key, max_bytes)

    def seal(self, plain: bytes) -> bytes:
        """Return the next frame to send; see :meth:`FrameSealer.seal`."""
        return self.sealer.seal(plain)

    def open(self, sealed: bytes) -> bytes:
        """Return what the other side sealed; see :meth:`FrameOpener.open`."""
        return self.opener.open(sealed)
