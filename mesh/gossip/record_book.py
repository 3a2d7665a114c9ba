"""The records that a node holds: the newest of each owner and topic, bounded for each owner."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from blake3 import blake3

from buildnet.mesh import cbor
from buildnet.mesh.gossip.records import Held, Record
from buildnet.mesh.messages.gossip import MAX_TOPICS, Mark, OwnerMarks

RecordKey = tuple[bytes, str]
"""Owner and topic."""


class RecordBook:
    """Held records, and the sums over them that two nodes compare.

    An owner who writes more than ``MAX_TOPICS`` topics keeps those that sort first: a bound that
    every node draws at the same place, so that what they hold can become equal.
    """

    def __init__(self) -> None:
        self._held: dict[RecordKey, Held] = {}
        self._topics: dict[bytes, list[str]] = {}
        self._summary: bytes | None = None

    @property
    def all(self) -> Mapping[RecordKey, Held]:
        """All held records (a live view)."""
        return MappingProxyType(self._held)

    def get(self, key: RecordKey) -> Record | None:
        """Return the record that is held."""
        held = self._held.get(key)
        return None if held is None else held.record

    def has_room_for(self, owner: bytes, topic: str) -> bool:
        """Tell whether a record of that topic would be kept, by the number of topics."""
        topics = self._topics.get(owner, [])
        return len(topics) < MAX_TOPICS or topic <= topics[-1]

    def is_newer(self, owner: bytes, mark: Mark | Record) -> bool:
        """Tell whether ``mark`` names a newer version than what is held, and has room."""
        held = self.get((owner, mark.topic))
        if held is not None:
            return mark.age_order > held.age_order
        return self.has_room_for(owner, mark.topic)

    def put(self, record: Record, now: float) -> None:
        """Hold a verified record that :meth:`is_newer`."""
        self._held[(record.owner, record.topic)] = Held(record, now)
        self._summary = None
        topics = self._topics.setdefault(record.owner, [])
        place = bisect_left(topics, record.topic)
        if place == len(topics) or topics[place] != record.topic:
            topics.insert(place, record.topic)
        if len(topics) > MAX_TOPICS:
            del self._held[(record.owner, topics.pop())]

    def drop_owner(self, owner: bytes) -> list[RecordKey]:
        """Forget all records of ``owner``; return which they were."""
        keys = [(owner, topic) for topic in self._topics.pop(owner, [])]
        for key in keys:
            del self._held[key]
        if keys:
            self._summary = None
        return keys

    def owners(self, first: bytes = b"", last: bytes = b"\xff" * 32) -> list[bytes]:
        """Return who has records here, sorted, from ``first`` to ``last``, both included."""
        owners = sorted(self._topics)
        return owners[bisect_left(owners, first) : bisect_right(owners, last)]

    def records_of(self, owner: bytes) -> Iterator[Record]:
        """Return the records of ``owner`` by topic."""
        return (self._held[(owner, topic)].record for topic in self._topics.get(owner, []))

    def marks_of(self, owner: bytes) -> OwnerMarks:
        """Return which versions of ``owner``'s records are held."""
        return OwnerMarks(owner, tuple(mark_of(record) for record in self.records_of(owner)))

    @property
    def summary(self) -> bytes:
        """8 bytes that are the same on nodes that hold the same, and hardly on others."""
        if self._summary is None:
            everything = [self.marks_of(owner).as_array() for owner in self.owners()]
            self._summary = blake3(cbor.encode(everything)).digest(length=8)
        return self._summary


def mark_of(record: Record) -> Mark:
    """Return the mark that names this version of a record."""
    return Mark(record.topic, record.boot, record.version, record.signature[:8])
