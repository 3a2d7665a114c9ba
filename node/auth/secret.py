"""Secrets that a node hands out and knows again by their hashes: cookies, login codes, tickets."""

from __future__ import annotations

import hashlib
import secrets

_BYTES = 32
_MOST_CHARACTERS = 128
_FORGERY = b"buildnet forgery token 1\0"


def new_secret() -> str:
    """Return 256 random bits, as text that fits into URLs, headers and cookies."""
    return secrets.token_urlsafe(_BYTES)


def hash_of(secret: str) -> bytes:
    """Return what is kept in a secret's place: SHA-256, which is enough where nobody could guess
    what was hashed. What is looked up by it tells by its time nothing of the secret. What is longer
    than any secret is not hashed as a whole."""
    return hashlib.sha256(secret[:_MOST_CHARACTERS].encode("utf-8", "replace")).digest()


def forgery_token(secret: str) -> str:
    """Return the token that a page of the node's own sends along with changes: it follows from the
    session's secret, which no other page can read, and tells nothing of it."""
    return hashlib.sha256(_FORGERY + secret.encode("utf-8", "replace")).hexdigest()
