"""A node's identity: its Ed25519 key pair, kept in one small file.

The file holds two lines, the seed and the public key in hexadecimal. The second is there to notice
a damaged file: a node must never come up as somebody else.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from nacl.bindings import (
    crypto_core_ed25519_is_valid_point,
    crypto_sign_BYTES,
    crypto_sign_open,
    crypto_sign_PUBLICKEYBYTES,
)
from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey

from buildnet.mesh.errors import BuildNetError

NODE_ID_BYTES = 8
_HEADER = "buildnet node key, ed25519; keep it secret"


class IdentityError(BuildNetError):
    """The node's key file can't be used."""

    code = "IDENTITY"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class NodeKey:
    """An Ed25519 key pair; ``seed`` and ``public_key`` are 32 bytes each."""

    seed: bytes = field(repr=False)
    public_key: bytes
    _signing_key: SigningKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_signing_key", SigningKey(self.seed))

    @classmethod
    def generate(cls) -> NodeKey:
        """Make a new key pair from the system's randomness."""
        return cls.from_seed(os.urandom(32))

    @classmethod
    def from_seed(cls, seed: bytes) -> NodeKey:
        """Return the key pair of a 32-byte seed."""
        return cls(seed, bytes(SigningKey(seed).verify_key))

    @property
    def node_id(self) -> str:
        """What people see: the first 8 bytes of the public key as 16 hexadecimal digits."""
        return node_id_of(self.public_key)

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of ``message``."""
        return self._signing_key.sign(message).signature


def node_id_of(public_key: bytes) -> str:
    """Return the node id of a 32-byte public key."""
    return public_key[:NODE_ID_BYTES].hex()


def is_public_key(data: bytes) -> bool:
    """Tell whether somebody may have the secret key of this public key: not of what is no point of
    the curve, nor of the few points whose signatures anybody can make."""
    is_whole = len(data) == crypto_sign_PUBLICKEYBYTES
    return is_whole and bool(crypto_core_ed25519_is_valid_point(data))


def is_signed_by(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether ``signature`` is ``public_key``'s signature of ``message``."""
    if len(public_key) != crypto_sign_PUBLICKEYBYTES or len(signature) != crypto_sign_BYTES:
        return False  # the binding looks at no length
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class KeySignatures:
    """The real :class:`~buildnet.mesh.local.Signatures`: one node's key, anybody's signatures."""

    key: NodeKey

    def sign(self, message: bytes) -> bytes:
        """Return this node's 64-byte signature of ``message``."""
        return self.key.sign(message)

    def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is ``key``'s of ``message``."""
        return is_signed_by(key, message, signature)


def load_or_create(path: Path) -> NodeKey:
    """Return the key kept at ``path``; make and fsync a new one (mode 0600) if there is no file.

    Raises:
        IdentityError: the file is damaged or can't be read or written. It is left as it is.
    """
    try:
        return _parse(path.read_text("ascii"), path)
    except FileNotFoundError:
        return _create(path)
    except UnicodeDecodeError as error:
        raise _damaged(path, "it is not text") from error
    except OSError as error:
        raise IdentityError(
            f"the node's key {path} can't be read",
            cause=str(error),
            hint="make the file readable for the user who runs the node",
        ) from error


def _parse(text: str, path: Path) -> NodeKey:
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    try:
        seed = bytes.fromhex(fields["seed"].strip())
        public_key = bytes.fromhex(fields["public"].strip())
    except (KeyError, ValueError) as error:
        raise _damaged(path, "seed or public key is missing or is no hexadecimal number") from error
    if len(seed) != 32:
        raise _damaged(path, f"the seed has {len(seed)} bytes, not 32")
    key = NodeKey.from_seed(seed)
    if key.public_key != public_key:
        raise _damaged(path, "seed and public key do not belong together")
    return key


def _damaged(path: Path, cause: str) -> IdentityError:
    return IdentityError(
        f"the node's key {path} is damaged",
        cause=cause,
        hint="restore it from a backup; or move the file away, and the next start makes a new "
        "identity (other nodes will see a new node)",
    )


def _create(path: Path) -> NodeKey:
    key = NodeKey.generate()
    save(path, key)
    return key


def save(path: Path, key: NodeKey) -> None:
    """Write a key (mode 0600) and fsync it; a file that is there is replaced in one step.

    Raises:
        IdentityError: it can't be written.
    """
    text = f"# {_HEADER}\nseed: {key.seed.hex()}\npublic: {key.public_key.hex()}\n"
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        raise IdentityError(
            f"the node's key can't be written to {path}",
            cause=str(error),
            hint="make the data directory writable, or choose another one with BUILDNET_HOME",
        ) from error
