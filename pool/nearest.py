"""From whom blobs are fetched that several hosts have: who is nearest, and of those alike in turn.
Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from buildnet.mesh.digest import Digest

_ALIKE = 2.0
_ALIKE_MS = 1.0
"""Whose round trip is at most so many times and so much longer than the shortest is as near."""


def worth_asking(latency_ms: Mapping[bytes, float], sure: bytes, most: int) -> tuple[bytes, ...]:
    """Return the hosts, the nearest first, that may have blobs which ``sure`` has and are not much
    farther than that; of one whose round trip is not known nobody is nearer."""
    known = latency_ms.get(sure)
    bound = float("inf") if known is None else _as_near(known)
    others = [host for host, ms in latency_ms.items() if host != sure and ms <= bound]
    return tuple(sorted(others, key=lambda host: (latency_ms[host], host))[:most])


def assign(
    blobs: Iterable[Digest],
    holders: Mapping[Digest, Collection[bytes]],
    sure: bytes,
    latency_ms: Mapping[bytes, float],
) -> dict[bytes, list[Digest]]:
    """Return which blobs are fetched from whom. ``sure`` has them all; ``holders`` tells who else
    has which. Of hosts that are about as near the one with the fewest bytes so far is taken."""
    load: Counter[bytes] = Counter()
    found: dict[bytes, list[Digest]] = {}
    far = max(latency_ms.values(), default=0.0)
    for blob in sorted(blobs, key=lambda blob: -blob.size_bytes):
        hosts = {sure, *holders.get(blob, ())}
        nearest = _as_near(min(latency_ms.get(host, far) for host in hosts))
        near = [host for host in hosts if latency_ms.get(host, far) <= nearest]
        host = min(near, key=lambda host: (load[host], host))
        load[host] += blob.size_bytes
        found.setdefault(host, []).append(blob)
    return found


def _as_near(latency_ms: float) -> float:
    return latency_ms * _ALIKE + _ALIKE_MS
