"""The volumes of macOS: mount lists them, diskutil tells their kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from buildnet.node.scan.macos import disk_information
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.volume import NETWORK_FILE_SYSTEMS, ask_size
from buildnet.pool.resources import StorageClass, StorageVolume

_MOUNT = re.compile(r"^(.+?) on (/.*) \(([^()]*)\)$")
_FILE_SYSTEMS = frozenset({"apfs", "hfs", "exfat", "msdos", "tmpfs", "ufs", "zfs", "ntfs"})


class MacosMount(NamedTuple):
    """One line of ``mount``."""

    source: str
    mount_point: str
    file_system: str
    options: frozenset[str]


def macos_volumes(prober: Prober) -> list[StorageVolume]:
    """List the volumes; blocks for as long as df and diskutil take, each with a timeout."""
    return [
        _volume(prober, mount) for mount in parse_macos_mounts(prober.run(["/sbin/mount"]).output)
    ]


def _volume(prober: Prober, mount: MacosMount) -> StorageVolume:
    network = mount.file_system in NETWORK_FILE_SYSTEMS
    size = ask_size(prober, mount.mount_point, shares=mount.file_system == "apfs")
    if network:
        kind: StorageClass = "network"
    elif mount.file_system == "tmpfs":
        kind = "ramdisk"
    else:
        kind = disk_class(disk_information(prober, mount.mount_point))
    return StorageVolume(
        path=mount.mount_point,
        mount_point=mount.mount_point,
        total_bytes=size.total_bytes,
        available_bytes=size.available_bytes,
        storage_class=kind,
        file_system=mount.file_system,
        device=mount.source if network or mount.source.startswith("/dev/") else None,
        problem=size.problem,
    )


def parse_macos_mounts(text: str) -> list[MacosMount]:
    """Read ``mount``; the volumes of one APFS container share its space and count once.

    The root stays although it is sealed: its container holds everyone's files.
    """
    chosen: dict[str, MacosMount] = {}
    for line in text.splitlines():
        match = _MOUNT.match(line)
        if match is None:
            continue
        source, point, described = match.groups()
        file_system, *options = [word.strip() for word in described.split(",")]
        mount = MacosMount(source, point, file_system, frozenset(options))
        if point != "/" and (point.startswith("/System/") or "read-only" in mount.options):
            continue
        if file_system not in _FILE_SYSTEMS and file_system not in NETWORK_FILE_SYSTEMS:
            continue
        container = re.match(r"/dev/disk\d+", source) if file_system == "apfs" else None
        key = container.group() if container else source
        present = chosen.get(key)
        if present is None or (point != "/", len(point)) < (
            present.mount_point != "/",
            len(present.mount_point),
        ):
            chosen[key] = mount
    return sorted(chosen.values(), key=lambda mount: mount.mount_point)


def disk_class(information: Mapping[str, Any]) -> StorageClass:
    """Read ``diskutil info``: the bus, and whether the medium is solid state."""
    bus, solid = str(information.get("BusProtocol", "")), information.get("SolidState")
    if bus == "Disk Image":
        return "unknown"
    if solid is True:
        return "nvme" if bus in {"PCI-Express", "PCI", "Apple Fabric", "NVMe"} else "ssd"
    if solid is False and information.get("VirtualOrPhysical") != "Virtual":
        return "hdd"
    return "unknown"
