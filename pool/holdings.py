"""Which blobs other hosts are known to have, because this node saw them get or make them. Pure.

A guess that costs nothing: a host may have lost a blob since, or have others that nobody told of.
Bounded: for each host, and of hosts, what was noted longest ago is forgotten first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest

MOST_BLOBS = 50_000
MOST_HOSTS = 64
_LOOKED_AT = 256
"""So many of an action's inputs, the largest ones, tell where the others are."""


@dataclass(slots=True)
class Holdings:
    """See the module's text. Hosts are keys."""

    _blobs: dict[bytes, dict[str, None]] = field(default_factory=dict)

    def has(self, host: bytes, blobs: Iterable[Digest]) -> None:
        """Take note that a host has some blobs."""
        known = self._blobs.pop(host, None)
        if known is None:
            known = {}
            while len(self._blobs) >= MOST_HOSTS:
                del self._blobs[next(iter(self._blobs))]
        self._blobs[host] = known
        for blob in blobs:
            known.pop(blob.hash, None)
            known[blob.hash] = None
        while len(known) > MOST_BLOBS:
            del known[next(iter(known))]

    def lacking(self, host: bytes, blobs: Iterable[Digest]) -> list[Digest]:
        """Return those of some blobs that a host is not known to have."""
        known = self._blobs.get(host, {})
        return [blob for blob in blobs if blob.hash not in known]

    def bytes_at(self, hosts: Iterable[bytes], blobs: Sequence[Digest]) -> dict[bytes, int]:
        """Return how much of some blobs each host has, where that is anything."""
        found: dict[bytes, int] = {}
        for host in hosts:
            known = self._blobs.get(host)
            if known:
                size = sum(blob.size_bytes for blob in blobs if blob.hash in known)
                if size:
                    found[host] = size
        return found


def telling(blobs: Iterable[Digest]) -> tuple[Digest, ...]:
    """Return those of an action's inputs by which its place is chosen: the largest ones."""
    unique = sorted(dict.fromkeys(blobs), key=lambda blob: blob.size_bytes, reverse=True)
    return tuple(unique[:_LOOKED_AT])
