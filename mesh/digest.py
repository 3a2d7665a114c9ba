"""Content addresses: the BLAKE3 digest and the size of some bytes."""

from __future__ import annotations

from typing import NamedTuple

from blake3 import blake3


class Digest(NamedTuple):
    """Address of a blob: 64 lower-case hexadecimal digits of BLAKE3, and the size in bytes.

    The same pair as the Remote Execution API's ``Digest`` message.
    """

    hash: str
    size_bytes: int

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the address of ``data``."""
        return cls(blake3(data).hexdigest(), len(data))

    def __str__(self) -> str:
        return f"{self.hash}/{self.size_bytes}"


EMPTY = Digest.of(b"")
