"""Records: what a node says of itself to everybody, signed by it, so that anybody may carry it.

An owner has one record a topic. Only the owner makes versions of it, and the newest wins, on every
node the same one: the greater boot, then the greater version, then (a copied key that wrote twice)
the greater signature.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.events import Fact
from buildnet.mesh.local import Local, Signatures
from buildnet.mesh.members.statement import statement
from buildnet.mesh.wire import Counter, Key, Limit, Signature, Wire

MAX_BODY_BYTES = 48 * 1024
ADDRESS_TOPIC = "address"
POSITION_TOPIC = "position"

Topic = Annotated[str, Limit(1, 32)]


@dataclass(frozen=True, slots=True)
class Record(Wire):
    """What ``owner`` says under ``topic``. ``body`` is the topic's own encoding, at most 48 KiB."""

    owner: Key
    topic: Topic
    boot: Counter
    version: Counter
    body: Annotated[bytes, Limit(0, MAX_BODY_BYTES)]
    signature: Signature

    @property
    def age_order(self) -> tuple[int, int, bytes]:
        """Comparable between records of one owner and topic; the greatest is the newest."""
        return (self.boot, self.version, self.signature[:8])

    @property
    def size_bytes(self) -> int:
        """An upper bound of what it takes in a message."""
        return len(self.body) + len(self.topic.encode()) + 144


@dataclass(frozen=True, slots=True)
class Held:
    """A record that this node verified and keeps."""

    record: Record
    received_at: float
    """When it arrived here (this node's monotonic seconds); 0.0 for one read from disk."""


def sign_record(local: Local, topic: str, version: int, body: bytes) -> Record:
    """Make this node's record of ``topic`` with its present boot number.

    Raises:
        ValueError: topic or body is too long.
    """
    if not 1 <= len(topic) <= 32:
        raise ValueError(f"a record's topic has 1 to 32 characters, not {len(topic)}")
    if len(body) > MAX_BODY_BYTES:
        raise ValueError(f"a record's body has at most {MAX_BODY_BYTES} bytes, not {len(body)}")
    signed = _signed_bytes(local.members.cluster_id, local.key, topic, local.boot, version, body)
    return Record(local.key, topic, local.boot, version, body, local.signatures.sign(signed))


def is_genuine(record: Record, cluster_id: bytes, signatures: Signatures) -> bool:
    """Tell whether its owner signed ``record``, for this cluster."""
    signed = _signed_bytes(
        cluster_id, record.owner, record.topic, record.boot, record.version, record.body
    )
    return signatures.verify(record.owner, signed, record.signature)


def _signed_bytes(
    cluster_id: bytes, owner: bytes, topic: str, boot: int, version: int, body: bytes
) -> bytes:
    return statement("record", cluster_id, owner, topic, boot, version, body)


@dataclass(frozen=True, slots=True)
class Addresses(Wire):
    """Body of the topic "address": where its owner can be dialled, best first (URLs)."""

    urls: Annotated[tuple[Annotated[str, Limit(1, 256)], ...], Limit(0, 8)]


@dataclass(frozen=True, slots=True)
class AddressFact(Fact):
    """Another member's "address" record on disk, so that a restarted cluster finds itself."""

    record: Record

    def name(self) -> str:
        """One for each owner."""
        return address_fact_name(self.record.owner)


def address_fact_name(owner: bytes) -> str:
    """Return the name of ``owner``'s :class:`AddressFact`."""
    return f"address/{owner.hex()}"
