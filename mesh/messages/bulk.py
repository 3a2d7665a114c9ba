"""What is said on a bulk connection: frames of one byte, the kind's number, and the rest.

70, 71 and 73 are records as everywhere; 72 is a chunk, whose bytes follow its number as they are
(at most :data:`CHUNK_BYTES`). There are no envelopes: the handshake has proven both ends, and the
frames' cipher keeps order and integrity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import MAX_COUNTER, Counter, Hash, Key, Limit, RandomId, Wire

CHUNK = 72
CHUNK_BYTES = 256 * 1024
MAX_REQUEST_BYTES = 1024
"""A frame of the requester, opened."""


@message(
    70,
    priority=Priority.OTHER,
    sender="requester",
    receiver="holder",
    effect="sends the blob in chunks, after those asked for before; or refuses",
)
@dataclass(frozen=True, slots=True)
class BulkFetch(Message):
    """Send a blob, named by its BLAKE3 hash and size, from ``offset``, which is below the size."""

    hash: Hash
    size_bytes: Counter
    offset: Counter

    def __post_init__(self) -> None:
        if self.offset >= self.size_bytes:
            raise ValueError("nothing is left to fetch")


@message(
    71,
    priority=Priority.OTHER,
    sender="requester",
    receiver="holder",
    effect="sends that many bytes more",
)
@dataclass(frozen=True, slots=True)
class BulkCredit(Message):
    """The requester has room for ``bytes`` more."""

    bytes: Annotated[int, Limit(1, MAX_COUNTER)]


@message(
    73,
    priority=Priority.OTHER,
    sender="holder",
    receiver="requester",
    effect="gives up the fetch whose turn it is; the next one's turn comes",
)
@dataclass(frozen=True, slots=True)
class BulkRefused(Message):
    """The fetch whose turn it is ends here. ``code`` is :data:`MISSING` or :data:`FAILED`."""

    code: Annotated[str, Limit(1, 64)]
    detail: Annotated[str, Limit(0, 256)]


MISSING = "BLOB_MISSING"
FAILED = "BLOB_UNREADABLE"


@dataclass(frozen=True, slots=True)
class BulkVisit(Wire):
    """What the handshake of a bulk connection brings (``extra``) where not the two ends talk yet.

    With ``target``: connect me with that member, whom you shall call with this ``ticket``. Without:
    I was called (:class:`~buildnet.mesh.messages.relay.BulkOffer`) and come for this ticket. After
    the handshake both connections are spliced and the ends run their own handshake inside.
    """

    ticket: RandomId
    target: Key | None
