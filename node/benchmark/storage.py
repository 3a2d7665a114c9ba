"""How fast the volume of the node's store is."""

from __future__ import annotations

import os
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_FILE_BYTES = 16 << 20
_PART = os.urandom(1 << 20)
_SMALL = os.urandom(4096)
_SMALL_S = 0.1
_SMALL_MOST = 200
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class StorageSpeed:
    """In MiB a second, and small writes a second that are on the device."""

    read_mib_s: float
    write_mib_s: float
    writes_per_s: float


def storage_speed(directory: Path) -> StorageSpeed | None:
    """Measure with a file of 16 MiB that is removed again; None: it can't be written. Blocks."""
    try:
        with tempfile.TemporaryFile(dir=directory, prefix=".benchmark-") as file:
            descriptor = file.fileno()
            written_s = _written_s(descriptor)
            read_s = _read_s(descriptor)
            return StorageSpeed(
                read_mib_s=_FILE_BYTES / _MIB / read_s,
                write_mib_s=_FILE_BYTES / _MIB / written_s,
                writes_per_s=_small_writes_per_s(descriptor),
            )
    except OSError:
        return None


def _written_s(descriptor: int) -> float:
    began = time.perf_counter()
    for start in range(0, _FILE_BYTES, len(_PART)):
        os.pwrite(descriptor, _PART, start)
    os.fsync(descriptor)
    return max(1e-6, time.perf_counter() - began)


def _read_s(descriptor: int) -> float:
    if hasattr(os, "posix_fadvise"):  # else what was written is read from memory
        with suppress(OSError):
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    began = time.perf_counter()
    for start in range(0, _FILE_BYTES, len(_PART)):
        os.pread(descriptor, len(_PART), start)
    return max(1e-6, time.perf_counter() - began)


def _small_writes_per_s(descriptor: int) -> float:
    began = time.perf_counter()
    for number in range(1, _SMALL_MOST + 1):
        os.pwrite(descriptor, _SMALL, number * 65536 % _FILE_BYTES)
        os.fsync(descriptor)
        spent_s = time.perf_counter() - began
        if spent_s >= _SMALL_S:
            break
    return number / max(1e-6, spent_s)
