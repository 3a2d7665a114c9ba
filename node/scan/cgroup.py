"""The limits that control groups (version 1, 2 or both) put on this process."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.mounts import Mount, parse_mountinfo

# Version 1 says "no limit" with the largest page-aligned number; no host has an exbibyte.
_NO_LIMIT_BYTES = 1 << 60


@dataclass(frozen=True, slots=True)
class CgroupLimits:
    """What control groups grant; None where nothing limits.

    ``memory_available_bytes`` is what the tightest group has left, page cache that the kernel would
    drop counted as free.
    """

    quota_cores: float | None = None
    cpu_ids: frozenset[int] | None = None
    memory_limit_bytes: int | None = None
    memory_available_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class _Memory:
    limit: str
    usage: str
    reclaimable: str


_MEMORY_V1 = _Memory("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_MEMORY_V2 = _Memory("memory.max", "memory.current", "inactive_file")


def cgroup_limits(host: HostFiles) -> CgroupLimits:
    """Read the limits of this process's groups and of all groups around them."""
    mounts = parse_mountinfo(host.read("/proc/self/mountinfo") or "")
    groups = parse_groups(host.read("/proc/self/cgroup") or "")
    quotas: list[float | None] = []
    cpu_sets: list[frozenset[int] | None] = []
    memory: list[tuple[int, int | None]] = []
    for directory in _levels(mounts, groups, ""):
        quotas.append(parse_cpu_max(host.read(directory / "cpu.max") or ""))
        cpu_sets.append(parse_cpu_list(host.read(directory / "cpuset.cpus.effective") or ""))
        memory.extend(_memory(host, directory, _MEMORY_V2))
    for directory in _levels(mounts, groups, "cpu"):
        quotas.append(_quota_v1(host, directory))
    for directory in _levels(mounts, groups, "cpuset"):
        text = host.read(directory / "cpuset.effective_cpus") or host.read(
            directory / "cpuset.cpus"
        )
        cpu_sets.append(parse_cpu_list(text or ""))
    for directory in _levels(mounts, groups, "memory"):
        memory.extend(_memory(host, directory, _MEMORY_V1))
    sets = [cpus for cpus in cpu_sets if cpus]
    return CgroupLimits(
        quota_cores=min((quota for quota in quotas if quota), default=None),
        cpu_ids=frozenset.intersection(*sets) if sets else None,
        memory_limit_bytes=min((limit for limit, _ in memory), default=None),
        memory_available_bytes=min((free for _, free in memory if free is not None), default=None),
    )


def parse_groups(text: str) -> dict[str, str]:
    """Return controller -> path from ``/proc/self/cgroup``; version 2 is the controller ``""``."""
    groups: dict[str, str] = {}
    for line in text.splitlines():
        _, first, rest = line.partition(":")
        controllers, second, path = rest.partition(":")
        if first and second:
            for controller in controllers.split(","):
                groups[controller] = path
    return groups


def parse_cpu_max(text: str) -> float | None:
    """Return the cores that version 2's ``cpu.max`` ("150000 100000", "max 100000") grants."""
    parts = text.split()
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return None
    quota, period = (int(part) for part in parts)
    return quota / period if quota > 0 and period > 0 else None


def parse_cpu_list(text: str) -> frozenset[int] | None:
    """Return the CPUs of a list such as ``0-3,8,10-11``; None if it is empty or of another form."""
    cpus: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        bounds = (first, last) if dash else (first, first)
        if not all(bound.isascii() and bound.isdigit() and len(bound) < 6 for bound in bounds):
            return None
        cpus.update(range(int(bounds[0]), int(bounds[1]) + 1))
    return frozenset(cpus) or None


def _levels(
    mounts: list[Mount], groups: dict[str, str], controller: str
) -> Iterator[PurePosixPath]:
    """Yield the directory of this process's group, then those of the groups around it."""
    path = groups.get(controller)
    if path is None:
        return
    for mount in mounts:
        if mount.file_system != ("cgroup" if controller else "cgroup2"):
            continue
        if controller and controller not in mount.super_options:
            continue
        base = PurePosixPath(mount.mount_point)
        shown = PurePosixPath(mount.root)
        group = PurePosixPath(path)
        # In a container without a namespace of its own, the path is the host's and only the part
        # below the mount's root can be seen.
        below = group.relative_to(shown) if group.is_relative_to(shown) else PurePosixPath()
        if ".." in below.parts:
            below = PurePosixPath()
        here = base / below
        yield here
        while here != base:
            here = here.parent
            yield here
        return


def _quota_v1(host: HostFiles, directory: PurePosixPath) -> float | None:
    quota = host.read_int(directory / "cpu.cfs_quota_us")
    period = host.read_int(directory / "cpu.cfs_period_us")
    return quota / period if quota and period and quota > 0 and period > 0 else None


def _memory(
    host: HostFiles, directory: PurePosixPath, names: _Memory
) -> Iterator[tuple[int, int | None]]:
    limit = host.read_int(directory / names.limit)
    if limit is None or not 0 < limit < _NO_LIMIT_BYTES:
        return
    usage = host.read_int(directory / names.usage)
    if usage is None:
        yield limit, None
        return
    statistics = host.read(directory / "memory.stat") or ""
    reclaimable = re.search(rf"^{names.reclaimable} (\d+)$", statistics, re.MULTILINE)
    cached = int(reclaimable.group(1)) if reclaimable else 0
    yield limit, max(0, limit - max(0, usage - cached))
