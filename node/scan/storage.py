"""Storage: the volumes where files can be kept, how large, how full, and of what kind."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath

from buildnet.node.config import StorageLimitSettings
from buildnet.node.scan import macos
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.macos_volumes import macos_volumes
from buildnet.node.scan.mounts import Mount, parse_mountinfo
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.volume import NETWORK_FILE_SYSTEMS, ask_size, volume_size
from buildnet.pool.resources import StorageClass, StorageVolume

_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})
_IMAGE_FILE_SYSTEMS = frozenset({"squashfs", "iso9660", "udf", "erofs", "cramfs"})
# tmpfs for the system's own bookkeeping, not for anybody's files
_SYSTEM_DIRECTORIES = ("/proc", "/sys", "/dev", "/run", "/var/run", "/boot", "/snap", "/etc")
_USEFUL_BYTES = 64 * 1024 * 1024
# Disks that only a virtual machine sees: "rotational" there is a default, not a measurement.
_VIRTUAL_DISK = re.compile(r"^(vd|xvd|ubd)[a-z]")
_VIRTUAL_MODEL = re.compile(r"QEMU|VMware|Virtual|VBOX|PersistentDisk|Msft|Xen", re.IGNORECASE)
_MAX_DEPTH = 8


def scan_storage(
    host: HostFiles,
    prober: Prober,
    settings: Sequence[StorageLimitSettings],
    memory_available_bytes: int | None = None,
) -> tuple[StorageVolume, ...]:
    """Return the volumes, those with a purpose first as the owner listed them.

    ``memory_available_bytes`` caps what RAM disks offer: they live in the memory that builds use.
    Network volumes are asked in a process of their own, so that a dead server cannot hang this.
    """
    if macos.IS_MACOS:
        volumes = macos_volumes(prober)
    else:
        volumes = linux_volumes(host, prober, memory_available_bytes)
    return with_purposes(volumes, settings)


def linux_volumes(
    host: HostFiles, prober: Prober, memory_available_bytes: int | None
) -> list[StorageVolume]:
    """List the real volumes of mountinfo, each device once."""
    volumes: list[StorageVolume] = []
    for mount in real_mounts(parse_mountinfo(host.read("/proc/self/mountinfo") or "")):
        network = mount.file_system in NETWORK_FILE_SYSTEMS
        if not network and not host.path(mount.mount_point).is_dir():
            continue  # a single file bound over another, as containers do with /etc/hosts
        if network:
            size = ask_size(prober, mount.mount_point)
        else:
            size = volume_size(host, mount.mount_point)
        memory = mount.file_system in _MEMORY_FILE_SYSTEMS
        if memory and (size.total_bytes or 0) < _USEFUL_BYTES:
            continue
        available = size.available_bytes
        if memory and available is not None and memory_available_bytes is not None:
            available = min(available, memory_available_bytes)
        volumes.append(
            StorageVolume(
                path=mount.mount_point,
                mount_point=mount.mount_point,
                total_bytes=size.total_bytes,
                available_bytes=available,
                storage_class=storage_class(host, mount),
                file_system=mount.file_system,
                device=mount.source if mount.source.startswith("/dev/") or network else None,
                problem=size.problem,
            )
        )
    return _without_overlaid(volumes)


def real_mounts(mounts: Iterable[Mount]) -> list[Mount]:
    """Leave out what holds no files of people, and further views of the same device."""
    on_top = {mount.mount_point: mount for mount in mounts}  # the last mount hides those below
    chosen: dict[str, Mount] = {}
    for mount in on_top.values():
        if not _is_real(mount):
            continue
        key = _device_key(mount)
        present = chosen.get(key)
        if present is None or _preference(mount) < _preference(present):
            chosen[key] = mount
    return sorted(chosen.values(), key=lambda mount: mount.mount_point)


def _is_real(mount: Mount) -> bool:
    if mount.mount_point == "/":
        return True
    if mount.read_only or mount.file_system in _IMAGE_FILE_SYSTEMS:
        return False
    if mount.file_system in NETWORK_FILE_SYSTEMS:
        return True
    point = PurePosixPath(mount.mount_point)
    if any(point.is_relative_to(directory) for directory in _SYSTEM_DIRECTORIES):
        return mount.mount_point == "/dev/shm"
    if mount.file_system in _MEMORY_FILE_SYSTEMS or mount.file_system in {"zfs", "virtiofs"}:
        return True
    return mount.source.startswith("/dev/")


def _device_key(mount: Mount) -> str:
    """Return what two views of the same space have in common."""
    if mount.file_system == "zfs":
        return f"zfs {mount.source.partition('/')[0]}"  # data sets share their pool's space
    if mount.file_system == "btrfs":
        return f"btrfs {mount.source}"  # subvolumes have device numbers of their own
    return mount.device_number


def _preference(mount: Mount) -> tuple[bool, bool, int, str]:
    """Order views of one device: the root first, whole file systems, short paths."""
    point = mount.mount_point
    return point != "/", mount.root != "/", len(point), point


def _without_overlaid(volumes: list[StorageVolume]) -> list[StorageVolume]:
    """Drop the device behind a container's root: both show the same space, to the byte.

    The root keeps its path and takes over the class and the device.
    """
    root = next((one for one in volumes if one.mount_point == "/"), None)
    if root is None or root.file_system != "overlay":
        return volumes
    same = [
        one
        for one in volumes
        if one is not root
        and one.storage_class != "ramdisk"
        and one.total_bytes == root.total_bytes
        and root.total_bytes
    ]
    if not same:
        return volumes
    known = {"storage_class": same[0].storage_class, "device": same[0].device}
    kept = [one for one in volumes if one is not root and one not in same]
    return [root.model_copy(update=known), *kept]


def storage_class(host: HostFiles, mount: Mount) -> StorageClass:
    """Return the kind of medium that a mount stands on."""
    if mount.file_system in NETWORK_FILE_SYSTEMS:
        return "network"
    if mount.file_system in _MEMORY_FILE_SYSTEMS:
        return "ramdisk"
    number = mount.device_number
    if number.startswith("0:"):  # btrfs and others have no device of their own
        number = _device_number(mount.source) or number
    device = host.path(f"/sys/dev/block/{number}")
    try:
        return _device_class(host, device.resolve(strict=True), _MAX_DEPTH)
    except (OSError, RuntimeError):
        return "unknown"


def _device_number(source: str) -> str | None:
    if not source.startswith("/dev/"):
        return None
    try:
        found = Path(source).stat()
    except OSError:
        return None
    if not stat.S_ISBLK(found.st_mode):
        return None
    return f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"


def _device_class(host: HostFiles, device: Path, depth: int) -> StorageClass:
    """Return the class of a block device in sysfs; of a stacked one that of its slowest part."""
    if (device / "partition").exists():
        device = device.parent
    name = device.name
    parts = sorted((device / "slaves").iterdir()) if (device / "slaves").is_dir() else []
    if parts and depth:
        classes = {_device_class(host, part.resolve(strict=True), depth - 1) for part in parts}
        slowest_first: tuple[StorageClass, ...] = ("unknown", "network", "hdd", "ssd", "nvme")
        return next((one for one in slowest_first if one in classes), "unknown")
    if name.startswith(("zram", "ram")):
        return "ramdisk"
    if name.startswith("nvme"):
        return "nvme"
    if name.startswith(("nbd", "rbd", "drbd")):
        return "network"
    if name.startswith("loop"):
        return "unknown"  # a file on another volume
    rotational = _text(device / "queue" / "rotational")
    if rotational == "0":
        return "ssd"
    model = f"{_text(device / 'device' / 'vendor')} {_text(device / 'device' / 'model')}"
    virtual = _VIRTUAL_DISK.match(name) or _VIRTUAL_MODEL.search(model)
    return "hdd" if rotational == "1" and not virtual else "unknown"


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def with_purposes(
    volumes: Sequence[StorageVolume], settings: Sequence[StorageLimitSettings]
) -> tuple[StorageVolume, ...]:
    """Put the owner's directories before the volumes; a volume that has one is not listed again.

    ``max_gb`` bounds what a directory offers; its volume may have less.
    """
    chosen: list[StorageVolume] = []
    used: set[str] = set()
    for wanted in settings:
        path = str(wanted.path)
        volume = _holding(volumes, path)
        if volume is not None and volume.storage_class != "network":
            # Following links on a dead server's volume would never end.
            volume = _holding(volumes, os.path.realpath(path))
        if volume is None:
            continue
        remote = volume.storage_class == "network"
        used.add(volume.mount_point)
        limit = wanted.max_bytes
        chosen.append(
            volume.model_copy(
                update={
                    "path": path,
                    "purpose": wanted.purpose,
                    "max_bytes": limit,
                    "total_bytes": _smaller(volume.total_bytes, limit),
                    "available_bytes": _smaller(volume.available_bytes, limit),
                    "problem": volume.problem or (None if remote else _directory_problem(path)),
                }
            )
        )
    return (*chosen, *(one for one in volumes if one.mount_point not in used))


def _holding(volumes: Sequence[StorageVolume], path: str) -> StorageVolume | None:
    """Return the volume that a path is on: the one with the longest mount point above it."""
    above = [one for one in volumes if PurePosixPath(path).is_relative_to(one.mount_point)]
    return max(above, key=lambda one: len(one.mount_point), default=None)


def _smaller(value: int | None, limit: int | None) -> int | None:
    return value if limit is None or value is None else min(value, limit)


def _directory_problem(path: str) -> str | None:
    try:
        found = Path(path).stat()
    except FileNotFoundError:
        return "the directory does not exist"
    except OSError as error:
        return error.strerror or str(error)
    return None if stat.S_ISDIR(found.st_mode) else "is not a directory"
