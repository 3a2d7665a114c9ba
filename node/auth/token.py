"""PASETO v4.public: a message that everybody can read and only one key can have signed.

Source: https://github.com/paseto-standard/paseto-spec, version 4. What is signed is the
pre-authentication encoding (PAE) of header, message, footer and implicit assertion; the last is
never sent, so a token is good only where both sides mean the same by it.
"""

from __future__ import annotations

import binascii
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass

from buildnet.mesh.identity import is_signed_by

MAX_CHARACTERS = 4096
_HEADER = "v4.public."
_SIGNATURE_BYTES = 64
_BASE64URL = re.compile(r"[A-Za-z0-9_-]+")


class TokenError(ValueError):
    """Something that is no token of this form."""


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token in its parts; nobody has looked at its signature (64 bytes) yet."""

    message: bytes
    signature: bytes
    footer: bytes

    @classmethod
    def read(cls, text: str) -> SignedToken:
        """Take a token apart.

        Raises:
            TokenError: it is none.
        """
        if len(text) > MAX_CHARACTERS or not text.startswith(_HEADER):
            raise TokenError(f"a key begins with {_HEADER}")
        body, point, footer = text.removeprefix(_HEADER).partition(".")
        signed = _decoded(body)
        if len(signed) <= _SIGNATURE_BYTES:
            raise TokenError("a key without a message")
        message, signature = signed[:-_SIGNATURE_BYTES], signed[-_SIGNATURE_BYTES:]
        return cls(message, signature, _decoded(footer) if point else b"")

    def is_signed_by(self, public_key: bytes, implicit: bytes = b"") -> bool:
        """Tell whether the owner of ``public_key`` signed it, meaning ``implicit`` too."""
        said = _statement(self.message, self.footer, implicit)
        return is_signed_by(public_key, said, self.signature)


def signed_token(
    message: bytes, sign: Callable[[bytes], bytes], *, footer: bytes = b"", implicit: bytes = b""
) -> str:
    """Return ``message`` as a token; ``sign`` returns the 64-byte Ed25519 signature of bytes."""
    signature = sign(_statement(message, footer, implicit))
    token = _HEADER + _encoded(message + signature)
    return f"{token}.{_encoded(footer)}" if footer else token


def _statement(message: bytes, footer: bytes, implicit: bytes) -> bytes:
    pieces = (_HEADER.encode(), message, footer, implicit)
    return b"".join((_length(pieces), *(_length(piece) + piece for piece in pieces)))


def _length(of: bytes | tuple[bytes, ...]) -> bytes:
    return len(of).to_bytes(8, "little")


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes:
    """Decode strictly: every token has one form, so one that was altered is another one."""
    if not _BASE64URL.fullmatch(text):
        raise TokenError("a key is letters, digits, -, _ and points")
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise TokenError("a key that was cut off") from error
    if _encoded(data) != text:
        raise TokenError("a key in another form than it was made")
    return data
