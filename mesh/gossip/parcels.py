"""Parcels: records and marks put into messages that a link carries."""

from __future__ import annotations

from collections.abc import Sequence

from buildnet.mesh.gossip.record_book import RecordBook, mark_of
from buildnet.mesh.gossip.records import Record
from buildnet.mesh.messages.gossip import MAX_OWNERS, MAX_RECORDS, Digest, OwnerMarks, Records

MESSAGE_BYTES = 56 * 1024
FIRST, LAST = bytes(32), b"\xff" * 32
"""The least and the greatest key."""


def in_messages(records: Sequence[Record]) -> list[Records]:
    """Put records into as few messages as they fit in."""
    messages: list[Records] = []
    part: list[Record] = []
    size = 0
    for record in records:
        if part and (size + record.size_bytes > MESSAGE_BYTES or len(part) == MAX_RECORDS):
            messages.append(Records(tuple(part)))
            part, size = [], 0
        part.append(record)
        size += record.size_bytes
    return [*messages, Records(tuple(part))] if part else messages


def offers(records: Sequence[Record]) -> list[Digest]:
    """Name records, sorted by owner, in digests that are not complete."""
    owners: dict[bytes, list[Record]] = {}
    for record in records:
        owners.setdefault(record.owner, []).append(record)
    marks = [
        OwnerMarks(owner, tuple(mark_of(record) for record in of_owner))
        for owner, of_owner in owners.items()
    ]
    return [Digest(False, FIRST, LAST, tuple(part)) for part in _in_parts(marks)]


def whole_digest(book: RecordBook) -> list[Digest]:
    """Name all that is held, in messages that each cover a range of owners."""
    parts = _in_parts([book.marks_of(owner) for owner in book.owners()])
    digests: list[Digest] = []
    first = FIRST
    for number, part in enumerate(parts):
        last = LAST if number == len(parts) - 1 else part[-1].owner
        digests.append(Digest(True, first, last, tuple(part)))
        first = _successor(last)
    return digests or [Digest(True, FIRST, LAST, ())]


def _in_parts(owners: Sequence[OwnerMarks]) -> list[list[OwnerMarks]]:
    """Split marks so that each part fits into a message."""
    parts: list[list[OwnerMarks]] = []
    size = MESSAGE_BYTES
    for of_owner in owners:
        needs = 40 + sum(len(mark.topic.encode()) + 32 for mark in of_owner.marks)
        if size + needs > MESSAGE_BYTES or len(parts[-1]) == MAX_OWNERS:
            parts.append([])
            size = 0
        parts[-1].append(of_owner)
        size += needs
    return parts


def _successor(key: bytes) -> bytes:
    """Return the next key in order."""
    return (int.from_bytes(key) + 1).to_bytes(33)[-32:]
