"""The ring of keys: all members in the order of their keys, the last one beside the first.

Keys are spread evenly, so neighbours on the ring are no neighbours anywhere else.
"""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

FAN_OUT = 3


def next_on_ring(key: bytes, others: Sequence[bytes]) -> bytes:
    """Return who follows ``key`` among ``others`` (sorted, not empty)."""
    return others[bisect_right(others, key) % len(others)]


def fingers(key: bytes, others: Sequence[bytes]) -> list[bytes]:
    """Return those of ``others`` (sorted) that stand 1, 2, 4, 8 … places from ``key``, both ways.

    The relation is symmetric. With offsets 1 and 2 the graph of all fingers stays connected
    whoever of them dies, and with the powers of two no way is longer than log2 of their number
    (as in Chord, Stoica et al. 2001).
    """
    ring = sorted({*others, key})
    size, place = len(ring), bisect_left(ring, key)
    found: set[bytes] = set()
    offset = 1
    while offset <= size // 2:
        found |= {ring[(place + offset) % size], ring[(place - offset) % size]}
        offset *= 2
    return sorted(found - {key})


def drawn_peers(key: bytes, linked: Iterable[bytes], lots: random.Random) -> list[bytes]:
    """Return whom ``key`` tells its news: the next linked peer on the ring, and two by lot.

    If each node that hears some news tells it on, the ring alone brings it to all; the lots make
    it fast.
    """
    others = sorted(linked)
    if len(others) <= FAN_OUT:
        return others
    following = next_on_ring(key, others)
    others.remove(following)
    return sorted([following, *lots.sample(others, FAN_OUT - 1)])
