"""Small blobs that travel in the message which speaks of them: nobody has to ask for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from buildnet.mesh.digest import Digest
from buildnet.node.store import Hold
from buildnet.pool.messages.work import (
    MAX_ENCLOSED,
    MAX_ENCLOSED_BYTES,
    MAX_MESSAGE_BYTES,
)

ENCLOSED_BYTES = 16 * 1024
"""Together; what is more is fetched, many blobs at once, beside what others have to say."""

_HEAD_BYTES = 5  # of one as CBOR


def enclosed(blobs: Iterable[bytes], message_bytes: int) -> tuple[bytes, ...]:
    """Return the first blobs that may travel in a message, which has so many bytes without them."""
    left_bytes = min(ENCLOSED_BYTES, MAX_MESSAGE_BYTES - message_bytes - _HEAD_BYTES)
    found: list[bytes] = []
    for blob in blobs:
        if len(blob) > MAX_ENCLOSED_BYTES:
            continue
        left_bytes -= len(blob) + _HEAD_BYTES
        if left_bytes < 0 or len(found) == MAX_ENCLOSED:
            break
        found.append(blob)
    return tuple(found)


def small_blobs(digests: Iterable[Digest], hold: Hold) -> Iterator[bytes]:
    """Yield each blob that is small enough to travel so, once. Blocks.

    Raises:
        MissingBlobError: the store does not have it.
    """
    for digest in dict.fromkeys(digests):
        if digest.size_bytes <= MAX_ENCLOSED_BYTES:
            yield hold.get(digest)
