"""Settings of a node that are allowed, but do not do on this host what they seem to say."""

from __future__ import annotations

import os

from buildnet.node.config import CpuLimitSettings, NodeConfig
from buildnet.node.scan.cgroup import parse_cpu_list
from buildnet.node.scan.cpu import affinity
from buildnet.node.scan.host import HostFiles

_PRESENT = "/sys/devices/system/cpu/present"
_SHOWN = 8


def warnings_of(config: NodeConfig, host: HostFiles | None = None) -> list[str]:
    """Return what to tell the owner, in words. Reads a small file."""
    present = parse_cpu_list((host or HostFiles()).read(_PRESENT) or "")
    return reserved_warnings(
        config.resource_limits.cpu, present or frozenset(range(os.cpu_count() or 1)), affinity()
    )


def reserved_warnings(
    settings: CpuLimitSettings, present: frozenset[int], usable: frozenset[int] | None
) -> list[str]:
    """Return what is strange about the reserved CPUs of a host. ``usable``: those that this process
    may run on; None: all."""
    reserved = frozenset(settings.reserved_cores)
    name, found = "resource_limits.cpu.reserved_cores", []
    if missing := sorted(reserved - present):
        few = ", ".join(map(str, missing[:_SHOWN])) + (" …" if len(missing) > _SHOWN else "")
        found.append(
            f"{name} has CPUs that this host does not have: {few} (it has {min(present)} to "
            f"{max(present)})"
        )
    if reserved and reserved >= (usable or present):
        found.append(f"{name} has every CPU that may be used: one is used all the same")
    return found
