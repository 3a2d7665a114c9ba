"""This node's key and those it had before: what any of them signed is this node's own."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from buildnet.mesh.identity import IdentityError, NodeKey, is_signed_by, load_or_create

# Results are looked up again and again, and this takes longer than all the rest of it.
_is_signed_by = lru_cache(8192)(is_signed_by)


class OwnKeys:
    """The key file and, beside it, the public keys that a rotation replaced, one a line."""

    def __init__(self, key: Path, former: Path) -> None:
        """Read the key, or make one.

        Raises:
            IdentityError: one of the files is damaged or can't be read or written.
        """
        self.current: NodeKey = load_or_create(key)
        self._path = former
        self._former = _read(former)

    def remember(self) -> None:
        """Note the current key as a former one; call before it is replaced.

        Raises:
            IdentityError: the file can't be written.
        """
        if self.current.public_key in self._former:
            return
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(f"{self.current.public_key.hex()}\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise IdentityError(
                f"{self._path} can't be written",
                cause=str(error),
                hint="make the data directory writable; the key was not changed",
            ) from error
        self._former |= {self.current.public_key}

    def signed(self, public_key: bytes, message: bytes, signature: bytes) -> bool:
        """Tell whether ``public_key`` is one of this node's and signed ``message``."""
        own = public_key == self.current.public_key or public_key in self._former
        return own and _is_signed_by(public_key, message, signature)


def _read(path: Path) -> frozenset[bytes]:
    try:
        return frozenset(bytes.fromhex(line) for line in path.read_text("ascii").split())
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError) as error:
        raise IdentityError(
            f"the list of this node's former keys, {path}, can't be read",
            cause=str(error),
            hint="move it away: results that the former keys signed are then built again",
        ) from error
