"""Envelopes: one signed message each, to one node or to all, bound to a cluster.

Shaped like COSE_Sign1 (RFC 9052, 4.2 and 4.4), with arrays only::

    [protected bytes, [], payload bytes, signature]
    signed: ["Signature1", protected bytes, external bytes, payload bytes]
    external: context, protocol, cluster id, recipient's whole key

The bytes that arrived are verified, never a re-encoding, and the payload is parsed by whoever takes
the envelope, after that. The protected header names the recipient by its node id (8 bytes) and the
signature covers its whole key: a message for one node opens at no other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NODE_ID_BYTES, is_signed_by
from buildnet.mesh.wire import Counter, Key, Limit, Wire, WireError

PROTOCOL = 1
MAX_ENVELOPE_BYTES = 64 * 1024 - 16
"""What fits into a frame of the control connection."""

ALL = b""
"""The recipient of what is said to every member."""

_CONTEXT = b"buildnet mesh envelope"


class EnvelopeError(BuildNetError):
    """An envelope that is not used. ``reason`` is a few stable words to count it by."""

    code = "MESH_ENVELOPE"
    http_status = 400

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"a message was refused: {reason}", cause=detail or None)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Envelope:
    """What was opened: ``sender`` (32 bytes) signed all of it for this node or for all."""

    sender: bytes
    recipient: bytes
    kind: int
    boot: int
    """Which start of the sender's process; later ones are greater."""
    sequence: int
    """The sender's count of messages to this recipient since then, from 1."""
    hlc: int
    term: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class _Header(Wire):
    protocol: Annotated[int, Limit(0, 255)]
    sender: Key
    recipient: Annotated[bytes, Limit(0, NODE_ID_BYTES)]
    kind: Annotated[int, Limit(0, 2**16 - 1)]
    boot: Counter
    sequence: Counter
    hlc: Counter
    term: Counter


class Signer(Protocol):
    """Who signs: a :class:`~buildnet.mesh.identity.NodeKey`."""

    @property
    def public_key(self) -> bytes:
        """Its 32-byte key."""

    def sign(self, message: bytes) -> bytes:
        """Return its 64-byte signature of ``message``."""


def seal(
    key: Signer,
    recipient: bytes | None,
    kind: int,
    payload: bytes,
    *,
    boot: int,
    sequence: int,
    hlc: int,
    term: int,
    cluster_id: bytes,
) -> bytes:
    """Sign a message of ``kind`` to the node ``recipient`` (its whole key), or to all (None).

    Raises:
        EnvelopeError: it is too large for a frame.
    """
    to = recipient or ALL
    protected = cbor.encode(
        [PROTOCOL, key.public_key, to[:NODE_ID_BYTES], kind, boot, sequence, hlc, term]
    )
    signature = key.sign(_signed(protected, payload, cluster_id, to))
    data = cbor.encode([protected, [], payload, signature])
    if len(data) > MAX_ENVELOPE_BYTES:
        raise EnvelopeError("message too large", f"{len(data)} bytes of kind {kind}")
    return data


def open_envelope(
    data: bytes, *, cluster_id: bytes, me: bytes, sender: bytes | None = None
) -> Envelope:
    """Verify an envelope that arrived at the node ``me``; ``sender`` is who may have sent it.

    Raises:
        EnvelopeError: it is damaged, forged, for somebody else or of another cluster.
    """
    protected, payload, signature = _parts(data)
    try:
        header = _Header.decode(protected)
    except WireError as error:
        raise EnvelopeError("message malformed", error.message) from error
    if header.protocol != PROTOCOL:
        raise EnvelopeError("unknown protocol", f"protocol {header.protocol}")
    if sender is not None and header.sender != sender:
        raise EnvelopeError("forged sender", f"signed as {header.sender.hex()[:16]}")
    to = me if header.recipient else ALL
    if header.recipient != to[:NODE_ID_BYTES]:
        raise EnvelopeError("for another node", f"for {header.recipient.hex()}")
    signed = _signed(protected, payload, cluster_id, to)
    if not is_signed_by(header.sender, signed, signature):
        raise EnvelopeError("bad signature", f"as {header.sender.hex()[:16]}")
    return Envelope(
        header.sender,
        to,
        header.kind,
        header.boot,
        header.sequence,
        header.hlc,
        header.term,
        payload,
    )


def _parts(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Return protected bytes, payload and signature, not verified."""
    try:
        match cbor.decode(data, max_bytes=MAX_ENVELOPE_BYTES):
            case [bytes() as protected, [], bytes() as payload, bytes() as signature]:
                return protected, payload, signature
    except cbor.CborError as error:
        raise EnvelopeError("message malformed", str(error)) from error
    raise EnvelopeError("message malformed", "no envelope")


def _signed(protected: bytes, payload: bytes, cluster_id: bytes, recipient: bytes) -> bytes:
    # Only the recipient's length varies (0 or 32), so the parts can't be shifted against another.
    external = b"".join((_CONTEXT, bytes([PROTOCOL]), cluster_id, recipient))
    return cbor.encode(["Signature1", protected, external, payload])
