"""How fast one core is, by processor time: other work on the host hardly shows."""

from __future__ import annotations

import hashlib
import json
import time
import zlib
from collections.abc import Callable

SLICES = 5
SLICE_S = 0.1
"""Of processor time; the best slice counts, so that what else ran on the core shows less."""
_TEXT = b"".join(b"export const value%d = compute(%d, 'text');\n" % (n, n * n) for n in range(1500))
_VALUES = [{"name": f"package-{n}", "size": n * 7919 % 1000, "needs": [n - 1]} for n in range(400)]


def _compress() -> object:
    return zlib.decompress(zlib.compress(_TEXT, 6))


def _digest() -> object:
    return [hashlib.sha256(_TEXT).digest() for _ in range(8)]


def _parse() -> object:
    return json.loads(json.dumps(_VALUES))


def _interpret() -> object:
    seen: dict[int, int] = {}
    for number in range(8000):
        seen[number * 31 % 4096] = number ^ (number >> 3)
    return sorted(seen.values())


_MIX: tuple[Callable[[], object], ...] = (_compress, _digest, _parse, _interpret)
"""What builds spend their time with: compressing, digests, reading text, interpreting."""


def cpu_units(
    slices: int = SLICES,
    slice_s: float = SLICE_S,
    clock: Callable[[], float] = time.process_time,
) -> float:
    """Return the units of one core: rounds of the mix a second. Takes that much of the calling
    process's processor time, which must do nothing else."""
    _round()  # what is only done the first time
    return max(_rounds_a_second(slice_s, clock) for _ in range(slices))


def _rounds_a_second(slice_s: float, clock: Callable[[], float]) -> float:
    began, rounds, spent_s = clock(), 0, 0.0
    while spent_s < slice_s:
        _round()
        rounds += 1
        spent_s = clock() - began
    return rounds / spent_s


def _round() -> None:
    for work in _MIX:
        work()
