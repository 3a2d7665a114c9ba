"""Memory: how much the machine has, how much may be used here, and what kind it is."""

from __future__ import annotations

import re

import psutil

from buildnet.node.config import MemoryLimitSettings, NodeConfig
from buildnet.node.scan import macos
from buildnet.node.scan.cgroup import CgroupLimits, cgroup_limits
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.probe import Prober
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import MemoryLimits, MemoryResources


def scan_memory(host: HostFiles, prober: Prober, settings: MemoryLimitSettings) -> MemoryResources:
    """Describe memory; blocks for as long as system_profiler takes on macOS."""
    measured = psutil.virtual_memory()
    if macos.IS_MACOS:
        kind = macos_memory_kind(macos.profile(prober, "SPMemoryDataType"))
        groups = CgroupLimits()
    else:
        kind = linux_memory_kind(host)
        groups = cgroup_limits(host)
    return limited_memory(measured.total, measured.available, kind, groups, settings)


def allowed_memory_bytes(
    installed_bytes: int, config: NodeConfig, host: HostFiles | None = None
) -> int:
    """Return how much memory may be used here. Reads a few small files."""
    groups = CgroupLimits() if macos.IS_MACOS else cgroup_limits(host or HostFiles())
    settings = config.resource_limits.memory
    return limited_memory(installed_bytes, 0, (None, None), groups, settings).total_bytes


def limited_memory(
    installed_bytes: int,
    available_bytes: int,
    kind: tuple[str | None, int | None],
    groups: CgroupLimits,
    settings: MemoryLimitSettings,
) -> MemoryResources:
    """Apply the limits of control groups and of the owner.

    ``reserved_gb`` is for the system and others. What they use now is not available anyway, so the
    reserve lowers the total and only caps what is available.
    """
    max_bytes = None if settings.max_gb is None else int(settings.max_gb * GIB)
    reserved_bytes = int(settings.reserved_gb * GIB)
    totals = [installed_bytes]
    if groups.memory_limit_bytes is not None:
        totals.append(groups.memory_limit_bytes)
    total = max(0, min(totals) - reserved_bytes)
    if max_bytes is not None:
        total = min(total, max_bytes)
    free = [available_bytes, total]
    if groups.memory_available_bytes is not None:
        free.append(groups.memory_available_bytes)
    memory_type, speed_mts = kind
    return MemoryResources(
        total_bytes=total,
        available_bytes=max(0, min(free)),
        installed_bytes=installed_bytes,
        memory_type=memory_type,
        speed_mts=speed_mts,
        limits=MemoryLimits(
            cgroup_bytes=groups.memory_limit_bytes,
            max_bytes=max_bytes,
            reserved_bytes=reserved_bytes or None,
        ),
    )


def linux_memory_kind(host: HostFiles) -> tuple[str | None, int | None]:
    """Return type and speed as udev keeps them from the firmware's table, readable by everyone."""
    return parse_udev_memory(host.read("/run/udev/data/+dmi:id") or "")


def parse_udev_memory(text: str) -> tuple[str | None, int | None]:
    """Read lines such as ``E:MEMORY_DEVICE_0_TYPE=DDR4`` of the first slot that is filled."""
    values = dict(re.findall(r"^E:MEMORY_DEVICE_(\d+_[A-Z_]+)=(.*)$", text, re.MULTILINE))
    slots = sorted({int(name.partition("_")[0]) for name in values})
    for slot in slots:
        kind = values.get(f"{slot}_TYPE", "").strip()
        speed = values.get(f"{slot}_CONFIGURED_SPEED_MTS") or values.get(f"{slot}_SPEED_MTS")
        # Virtual machines fill the table with "RAM", "Other" and "Unknown".
        named = kind if re.fullmatch(r"(LP)?DDR\d?\w*|HBM\d?", kind) else None
        if named or speed:
            return named, _number(speed or "")
    return None, None


def macos_memory_kind(items: list[dict[str, object]]) -> tuple[str | None, int | None]:
    """Read system_profiler's SPMemoryDataType: Apple's own chips list one item, Intel its slots."""
    slots: list[dict[str, object]] = []
    for item in items:
        below = item.get("_items")
        slots.extend(below if isinstance(below, list) else [item])
    for slot in slots:
        kind = str(slot.get("dimm_type", "")).strip()
        if kind and kind.lower() not in {"empty", "unknown"}:
            return kind, _number(str(slot.get("dimm_speed", "")))
    return None, None


def _number(text: str) -> int | None:
    match = re.match(r"\s*(\d{1,7})", text, re.ASCII)
    return int(match.group(1)) if match and int(match.group(1)) > 0 else None
