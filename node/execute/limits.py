"""What one command may use of the host."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from buildnet.pool.requirements import Requirements

PROCESSES_MAX = 4096
DISK_MAX_BYTES = 64 << 30
FILES_MAX = 500_000

_LOOK_AT_GROWTH = 8  # parts of what is allowed


@dataclass(frozen=True, slots=True)
class ActionLimits:
    """Limits of one command; None: there is none.

    ``memory_bytes`` and ``processes`` count all processes of the command together. ``disk_bytes``
    and ``files`` bound what it writes to its stage, and what it may leave as outputs; one file may
    not become larger than ``disk_bytes`` either, holes included. ``cores`` are the CPUs it may run
    on.
    """

    memory_bytes: int | None = None
    processes: int | None = PROCESSES_MAX
    disk_bytes: int = DISK_MAX_BYTES
    files: int = FILES_MAX
    cores: tuple[int, ...] | None = None


DEFAULT_LIMITS = ActionLimits()


def limits_of(
    needed: Requirements, defaults: ActionLimits, cores: tuple[int, ...] | None
) -> ActionLimits:
    """Return the limits of a command: what it asks for, the defaults where it does not."""
    return ActionLimits(
        memory_bytes=needed.memory_bytes or defaults.memory_bytes,
        processes=needed.processes or defaults.processes,
        disk_bytes=needed.disk_bytes or defaults.disk_bytes,
        files=defaults.files,
        cores=cores or defaults.cores,
    )


class DiskWatch:
    """Tells when a stage takes more of the disk than it may.

    Adding up a stage takes long when it is large, so that is done only if the volume as a whole has
    lost an eighth of what is allowed since the last time.
    """

    def __init__(self, stage: Path, limits: ActionLimits) -> None:
        self._stage = stage
        self._limits = limits
        self._free_bytes, self._free_files = self._free()

    def __call__(self) -> str | None:
        """Return "disk" if the stage is beyond its limits."""
        free_bytes, free_files = self._free()
        limits = self._limits
        if (
            self._free_bytes - free_bytes < limits.disk_bytes // _LOOK_AT_GROWTH
            and self._free_files - free_files < limits.files // _LOOK_AT_GROWTH
        ):
            return None
        self._free_bytes, self._free_files = free_bytes, free_files
        used_bytes, files = _used(str(self._stage))
        return "disk" if used_bytes > limits.disk_bytes or files > limits.files else None

    def _free(self) -> tuple[int, int]:
        volume = os.statvfs(self._stage)
        return volume.f_bavail * volume.f_frsize, volume.f_ffree


def _used(directory: str) -> tuple[int, int]:
    """Return the bytes and files of a directory that may change meanwhile."""
    used_bytes = files = 0
    waiting = [directory]
    while waiting:
        try:
            entries = os.scandir(waiting.pop())
        except OSError:
            continue
        with entries:
            for entry in entries:
                try:
                    used_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                except OSError:
                    continue
                files += 1
    return used_bytes, files
