"""How busy the host is now."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Sequence
from datetime import datetime

import psutil

from buildnet.pool.resources import StorageVolume, Utilization, VolumeUse


class UtilizationMeter:
    """Measures the host; CPU use is what happened since the measurement before.

    One meter a node, read at a steady pace: two readers would shorten each other's interval.
    """

    def __init__(self) -> None:
        self._before: tuple[float, float] | None = None
        self._lock = threading.Lock()

    async def utilization(
        self, now: datetime, volumes: Sequence[StorageVolume] = ()
    ) -> Utilization:
        """Measure in a thread; ``volumes`` are those whose fill is wanted (local ones only)."""
        return await asyncio.to_thread(self.measure, now, volumes)

    def measure(self, now: datetime, volumes: Sequence[StorageVolume] = ()) -> Utilization:
        """Measure now; takes about a millisecond."""
        return Utilization(
            cpu_percent=self._cpu_percent(),
            memory_percent=round(psutil.virtual_memory().percent, 1),
            load_average=_load_average(),
            disks=tuple(use for volume in volumes if (use := _volume_use(volume))),
            measured_at=now,
        )

    def _cpu_percent(self) -> float | None:
        times = psutil.cpu_times()
        total = sum(times)
        # Linux counts guests' time in user's and nice's too.
        total -= getattr(times, "guest", 0.0) + getattr(times, "guest_nice", 0.0)
        idle = times.idle + getattr(times, "iowait", 0.0)
        with self._lock:
            before, self._before = self._before, (total, idle)
        if before is None or total <= before[0]:
            return None
        busy = 1 - (idle - before[1]) / (total - before[0])
        return round(min(100.0, max(0.0, busy * 100)), 1)


def _load_average() -> tuple[float, float, float] | None:
    try:
        one, five, fifteen = os.getloadavg()
    except OSError:
        return None
    return round(one, 2), round(five, 2), round(fifteen, 2)


def _volume_use(volume: StorageVolume) -> VolumeUse | None:
    # A dead server would hold the thread for ever.
    if volume.storage_class == "network":
        return None
    try:
        found = os.statvfs(volume.mount_point)
    except OSError:
        return None
    used = found.f_blocks - found.f_bfree
    usable = used + found.f_bavail
    if usable <= 0:
        return None
    return VolumeUse(
        path=volume.path,
        used_percent=round(100 * used / usable, 1),
        available_bytes=found.f_bavail * found.f_frsize,
    )
