"""What is signed: one array that opens with its purpose and its cluster.

So a signature that was given for one purpose or one cluster never serves another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from buildnet.mesh import cbor

Sign = Callable[[bytes], bytes]
"""Gives the 64-byte signature of a message, by a key that the giver knows."""


class Signer(Protocol):
    """A key pair that can sign; :class:`~buildnet.mesh.identity.NodeKey` is one."""

    @property
    def public_key(self) -> bytes:
        """The 32-byte public key."""

    def sign(self, message: bytes) -> bytes:
        """Return the 64-byte signature of ``message``."""


def statement(purpose: str, cluster_id: bytes, *values: object) -> bytes:
    """Return the bytes to sign for ``values`` (plain values of CBOR), bound to both."""
    return cbor.encode([f"buildnet {purpose}", cluster_id, *values])
