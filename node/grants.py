"""What of this host commands may use, from the owner's words and the host's own limits."""

from __future__ import annotations

import logging
import math
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from buildnet.mesh.digest import Digest
from buildnet.node.capacity import Capacity
from buildnet.node.config import SLOTS_MAX, NodeConfig, WorkerSettings
from buildnet.node.execute.control_groups import ControlGroups, open_groups
from buildnet.node.scan.cpu import allowed_cores, granted_cpus
from buildnet.node.scan.memory import allowed_memory_bytes
from buildnet.pool.requirements import Grant

_DISK_STEP_BYTES = 256 << 20
_log = logging.getLogger("buildnet.node")


@contextmanager
def control_groups(config: NodeConfig) -> Iterator[ControlGroups | None]:
    """Give the control groups that were left to this node; None where there are none."""
    name = config.workers.control_group
    groups: ControlGroups | None = None
    if sys.platform == "linux":
        try:
            groups = open_groups(name)
        except OSError as error:
            which = "its own control group" if name is None else f"the control group {name}"
            _log.warning("%s can't be used, so the node watches limits itself: %s", which, error)
    try:
        yield groups
    finally:
        if groups is not None:
            groups.close()


@dataclass(frozen=True, slots=True)
class Granted:
    """What commands share on this host: how many run at once, on which CPU ids (None: any), how
    much memory they may reserve together; and the most that one of them may have."""

    slots: int
    cores: tuple[int, ...] | None
    memory_bytes: int
    grant: Grant

    def capacity(self, work: Path, disk_bytes: int | None) -> Capacity[Digest]:
        """Return it as what nobody uses yet. ``work``: where commands write; ``disk_bytes``: what
        its owner gives of that volume, None: what is free."""
        most = disk_bytes if disk_bytes is not None else sys.maxsize
        return Capacity[Digest](
            self.slots, self.cores, self.memory_bytes, lambda: min(most, _free_bytes(work))
        )


def granted(config: NodeConfig) -> Granted:
    """Return what this host grants. Reads a few small files. Only Linux keeps a command on its
    cores."""
    workers = config.workers
    memory_bytes = allowed_memory_bytes(psutil.virtual_memory().total, config)
    slots = slots_of(workers, allowed_cores(config))
    cores = granted_cpus(config) if sys.platform == "linux" else None
    grant = Grant(
        cores=slots if cores is None else min(slots, len(cores)),
        memory_bytes=min(memory_bytes, workers.memory or memory_bytes),
        disk_bytes=workers.disk,
        processes=workers.processes,
    )
    return Granted(slots, cores, memory_bytes, grant)


def _free_bytes(directory: Path) -> int:
    """Return what is free on a volume, in whole steps: each change is told to others."""
    try:
        volume = os.statvfs(directory)
    except OSError:
        return 0
    return volume.f_bavail * volume.f_frsize // _DISK_STEP_BYTES * _DISK_STEP_BYTES


def slots_of(workers: WorkerSettings, cores: int) -> int:
    """Return how many commands run at once on so many cores: the redundancy factor's multiple, but
    at least ``min`` and at most ``max``; ``max`` alone means exactly that many."""
    if workers.max is not None and workers.min is None and workers.redundancy_factor is None:
        return workers.max
    wanted = math.ceil(round(cores * (workers.redundancy_factor or 1.0), 6))
    return min(max(wanted, workers.min or 1), workers.max or SLOTS_MAX)
