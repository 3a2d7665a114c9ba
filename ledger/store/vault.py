"""Encryption at rest of what entries say: XChaCha20-Poly1305 under a key that is not in the file.

Encrypted are the signed bytes of entries, evidence and drafts, and the private columns of derived
tables. What stays visible to who has the file but not the key: the nodes' keys, sequences, clocks,
types, sizes, seals, and of derived tables the ids, states, roles, quantities and times. Entities,
actors, correlations, builds and requests are looked up by hashes that need the key.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import nacl.bindings as sodium
from blake3 import blake3

from buildnet.ledger.store.disk import sync
from buildnet.ledger.store.errors import LedgerDamagedError, LedgerError

KEY_BYTES = 32
_NONCE_BYTES = 24
_CONTEXT = "buildnet ledger vault 2026-11 "


class VaultError(LedgerError):
    """The key of the ledger's file is missing or another one."""

    code = "LEDGER_KEY"


@dataclass(frozen=True)
class Vault:
    """Encrypts and decrypts; without a ``key`` everything stays as it is."""

    key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        key = self.key or b"no key"
        object.__setattr__(self, "_lookup", _derive("lookup", key))
        object.__setattr__(self, "_nonces", _derive("nonces", key))
        object.__setattr__(self, "_cipher", _derive("cipher", key))

    _lookup: bytes = field(init=False, repr=False)
    _nonces: bytes = field(init=False, repr=False)
    _cipher: bytes = field(init=False, repr=False)

    @property
    def mark(self) -> bytes:
        """Tells whether a file was written with this key, without telling the key."""
        return _derive("mark", self.key) if self.key is not None else b""

    def close(self, plain: bytes) -> bytes:
        """Return what is stored for ``plain``. The same bytes give the same, so derived tables
        that are built again are the same ones."""
        if self.key is None:
            return plain
        nonce = blake3(plain, key=self._nonces).digest(length=_NONCE_BYTES)
        box = sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(plain, None, nonce, self._cipher)
        return nonce + bytes(box)

    def open(self, stored: bytes) -> bytes:
        """Return what was closed.

        Raises:
            LedgerDamagedError: it is not what was stored.
        """
        if self.key is None:
            return stored
        nonce, box = stored[:_NONCE_BYTES], stored[_NONCE_BYTES:]
        try:
            plain = sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                box, None, nonce, self._cipher
            )
        except Exception as error:  # its own error, or too few bytes
            raise LedgerDamagedError("encrypted bytes are not what was stored") from error
        return bytes(plain)

    def close_text(self, plain: str | None) -> str | None:
        """Return what is stored for a text."""
        if self.key is None or plain is None:
            return plain
        return self.close(plain.encode()).hex()

    def open_text(self, stored: str | None) -> str | None:
        """Return the text that was closed.

        Raises:
            LedgerDamagedError: it is not what was stored.
        """
        if self.key is None or stored is None:
            return stored
        try:
            return self.open(bytes.fromhex(stored)).decode()
        except ValueError as error:
            raise LedgerDamagedError("an encrypted text is not what was stored") from error

    def number_of(self, kind: bytes, value: bytes) -> int:
        """Return the 64 bits by which a value of a kind is looked up."""
        found = blake3(kind + b"\0" + value, key=self._lookup).digest(length=8)
        return int.from_bytes(found, "big", signed=True)


def _derive(purpose: str, key: bytes) -> bytes:
    return blake3(key, derive_key_context=_CONTEXT + purpose).digest()


def load_key(path: Path, *, create: bool = False) -> bytes:
    """Read a key file: 64 hexadecimal digits, mode 0600. ``create``: make one if there is none.

    Raises:
        VaultError: there is none, it holds no key, or others may read it.
    """
    if create and not path.exists():
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(os.urandom(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        sync(path.parent)
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise VaultError(f"others may read the ledger's key {path}", hint=f"chmod 600 {path}")
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as error:
        raise VaultError(
            f"the ledger's key {path} can't be read",
            cause=str(error),
            hint="put the key file back from where you keep a copy of it (if there never was one: "
            "buildnet ledger make-key FILE); without it an encrypted ledger can't be read, and the "
            "node has to fetch it from its peers into a new file",
        ) from error
    if len(key) != KEY_BYTES:
        raise VaultError(f"{path} holds no key", hint="it is 64 hexadecimal digits")
    return key
