"""How a cluster begins: one record, signed by the cluster key and by the founder.

The cluster id is its hash, so whoever knows the id knows the founder, and every later change is
checked from there on. The cluster key signs nothing else but a recovery.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

from blake3 import blake3

from buildnet.mesh.local import Signatures
from buildnet.mesh.members.statement import Signer, statement
from buildnet.mesh.wire import Counter, Key, Limit, Name, Signature, Wire

_NO_CLUSTER = bytes(32)  # the id is what the statement makes, so it can't be in it
_UNSIGNED = bytes(64)
_NODE_ID = re.compile("[0-9a-fA-F]{16}")


class Role(StrEnum):
    """What a node does."""

    WORKER = "worker"
    OBSERVER = "observer"


class Rights(StrEnum):
    """What a node's owner may do."""

    ADMIN = "admin"
    BUILDER = "builder"
    OBSERVER = "observer"


Word = Annotated[str, Limit(1, 16)]
"""A value of :class:`Role` or :class:`Rights` on the wire; the record checks which."""


@dataclass(frozen=True, slots=True)
class Genesis(Wire):
    """The first record of a cluster: its founder is first member, first admin and first voter."""

    name: Name
    created: Counter
    """Hybrid clock."""
    nonce: Annotated[bytes, Limit(16, 16)]
    cluster_key: Key
    founder: Key
    founder_name: Name
    founder_role: Word
    cluster_signature: Signature
    founder_signature: Signature

    def __post_init__(self) -> None:
        Role(self.founder_role)
        check_name(self.name)
        check_name(self.founder_name)
        if self.founder == self.cluster_key:
            raise ValueError("the cluster key is nobody's node key")

    @property
    def cluster_id(self) -> bytes:
        """The 32-byte BLAKE3 hash of the whole record."""
        return blake3(self.encode()).digest()

    def is_signed(self, signatures: Signatures) -> bool:
        """Tell whether both signatures are right."""
        said = _said(self)
        return signatures.verify(
            self.cluster_key, said, self.cluster_signature
        ) and signatures.verify(self.founder, said, self.founder_signature)


def found(
    cluster: Signer,
    founder: Signer,
    *,
    name: str,
    founder_name: str,
    founder_role: Role = Role.WORKER,
    created: int,
    nonce: bytes,
) -> Genesis:
    """Return the genesis of a new cluster. ``created``: hybrid clock; ``nonce``: 16 random bytes.

    Raises:
        ValueError: a name is no printable text.
    """
    bare = Genesis(
        name,
        created,
        nonce,
        cluster.public_key,
        founder.public_key,
        founder_name,
        founder_role.value,
        _UNSIGNED,
        _UNSIGNED,
    )
    said = _said(bare)
    return replace(bare, cluster_signature=cluster.sign(said), founder_signature=founder.sign(said))


def check_name(name: str) -> None:
    """Refuse names that would disturb a terminal or hide a difference from people.

    Raises:
        ValueError: it is not printable, or begins or ends with a space.
    """
    if not name.isprintable() or name != name.strip():
        raise ValueError("a name is printable text without spaces around it")


def looks_like_node_id(name: str) -> bool:
    """Tell whether a name would pass for somebody's node id; nobody is found by such a name."""
    return _NODE_ID.fullmatch(name) is not None


def _said(genesis: Genesis) -> bytes:
    return statement("genesis", _NO_CLUSTER, *genesis.as_array()[:-2])
