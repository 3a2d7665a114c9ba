"""The vocabulary of resources: what one host has, what of it BuildNet may use, and how busy it is.

The JSON of :class:`NodeResources` is the ``resources`` object of ``pool status``. A value that the
host does not tell is null; nothing here is a guess. ``cores`` and ``total_bytes`` are what may be
used here (limits of the host and of the owner applied); what the machine has stands beside them.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

StorageClass = Literal["nvme", "ssd", "hdd", "ramdisk", "network", "unknown"]


class ResourceModel(BaseModel):
    """Base of every model here: immutable, and strange fields are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class CpuLimits(ResourceModel):
    """What keeps BuildNet from using every logical CPU; null where nothing limits."""

    affinity_cores: int | None = None
    """CPUs that the process may run on (affinity mask, cpuset); null where it cannot be asked."""
    cgroup_quota_cores: float | None = None
    """CPU time per time that the control group grants, for example 1.5."""
    max_cores: int | None = None
    reserved_cores: tuple[int, ...] = ()


class CpuResources(ResourceModel):
    """The processors. ``cores`` is how many may be used at once; it is at least 1."""

    cores: int
    logical: int
    physical: int | None = None
    model: str | None = None
    architecture: str
    frequency_mhz: int | None = None
    """The highest frequency that the host tells."""
    features: tuple[str, ...] = ()
    limits: CpuLimits = CpuLimits()


class MemoryLimits(ResourceModel):
    """What keeps BuildNet from using all memory, in bytes; null where nothing limits."""

    cgroup_bytes: int | None = None
    max_bytes: int | None = None
    reserved_bytes: int | None = None


class MemoryResources(ResourceModel):
    """Memory. ``total_bytes`` is what may be used here, ``available_bytes`` what is free of it."""

    total_bytes: int
    available_bytes: int
    installed_bytes: int
    """What the operating system sees, before any limit."""
    memory_type: str | None = None
    speed_mts: int | None = None
    """Mega-transfers a second, the number that vendors print as "MHz"."""
    limits: MemoryLimits = MemoryLimits()


class StorageVolume(ResourceModel):
    """A place for files: a mounted volume, or a directory of one that the owner gave a purpose."""

    path: str
    mount_point: str
    total_bytes: int | None = None
    """What is in use and what is available to the node's user together, as ``df`` counts for its
    percentage; or the owner's limit if that is smaller."""
    available_bytes: int | None = None
    storage_class: StorageClass = "unknown"
    file_system: str
    device: str | None = None
    purpose: str | None = None
    max_bytes: int | None = None
    problem: str | None = None


class Program(ResourceModel):
    """A tool or a runtime that can be started here.

    ``problem`` says why there is no version (it hung, was ended by a signal, printed no version).
    """

    name: str
    version: str | None = None
    path: str
    capabilities: tuple[str, ...] = ()
    problem: str | None = None


class NetworkInterface(ResourceModel):
    """A network interface other than the loopback one."""

    name: str
    addresses: tuple[str, ...] = ()
    speed_mbps: int | None = None
    up: bool


class Gpu(ResourceModel):
    """A graphics processor, as the vendor's usual tool describes it."""

    name: str
    vendor: str | None = None
    memory_bytes: int | None = None
    driver: str | None = None


class OperatingSystem(ResourceModel):
    """What the host runs: ``name`` is linux or macos."""

    name: str
    version: str | None = None
    kernel: str | None = None


class NodeResources(ResourceModel):
    """Everything a scan found on one host. Viewers compute the age from ``scanned_at`` (UTC)."""

    system: OperatingSystem
    cpu: CpuResources
    memory: MemoryResources
    storage: tuple[StorageVolume, ...] = ()
    tools: tuple[Program, ...] = ()
    runtimes: tuple[Program, ...] = ()
    network: tuple[NetworkInterface, ...] = ()
    gpus: tuple[Gpu, ...] = ()
    scanned_at: datetime
    scan_duration_ms: int | None = None

    def free_storage_bytes(self, now: Utilization | None) -> int | None:
        """Return what is free where commands run: on the directory that the owner gave for builds,
        else on the emptiest volume; None: unknown. ``now``: a later measurement."""
        later = {} if now is None else {one.path: one.available_bytes for one in now.disks}
        disks = [one for one in self.storage if one.purpose == "builds"] or self.disks
        free = [
            min(one.available_bytes, later.get(one.path, one.available_bytes))
            for one in disks
            if one.available_bytes is not None
        ]
        return max(free, default=None)

    @property
    def disks(self) -> tuple[StorageVolume, ...]:
        """The volumes of disks: a RAM disk is memory, which is counted as such."""
        return tuple(one for one in self.storage if one.storage_class != "ramdisk")

    def disks_now(self, now: Utilization | None) -> Iterator[StorageVolume]:
        """Yield the volumes of disks with what is available by a later measurement."""
        later = {} if now is None else {one.path: one.available_bytes for one in now.disks}
        for one in self.disks:
            available = later.get(one.path, one.available_bytes)
            if available is not None and one.total_bytes is not None:
                available = min(available, one.total_bytes)
            yield one.model_copy(update={"available_bytes": available})


class VolumeUse(ResourceModel):
    """How full one volume is."""

    path: str
    used_percent: float
    available_bytes: int


class Utilization(ResourceModel):
    """How busy a host is, whole host, in percent of all of it; null until it was measured."""

    cpu_percent: float | None = None
    """Since the measurement before; null in the first one."""
    memory_percent: float | None = None
    load_average: tuple[float, float, float] | None = None
    """Runnable processes over 1, 5 and 15 minutes."""
    disks: tuple[VolumeUse, ...] = ()
    measured_at: datetime
