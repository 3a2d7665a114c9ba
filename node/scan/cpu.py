"""The processors: what the machine has, and how much of it may be used here."""

from __future__ import annotations

import math
import os
import platform
import re
from collections.abc import Mapping, Sequence

from buildnet.node.config import CpuLimitSettings, NodeConfig
from buildnet.node.scan import macos
from buildnet.node.scan.cgroup import CgroupLimits, cgroup_limits, parse_cpu_list
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.probe import Prober
from buildnet.pool.resources import CpuLimits, CpuResources

_ARCHITECTURES = {"amd64": "x86_64", "x64": "x86_64", "arm64": "aarch64", "i686": "x86"}

# The features that decide which compiled code can run, by the names that compilers use. Linux
# writes x86's in small letters, macOS in capitals; arm's are those of the kernels' own lists.
_FEATURES: Mapping[str, str] = {
    "sse2": "sse2",
    "pni": "sse3",
    "sse3": "sse3",
    "ssse3": "ssse3",
    "sse4_1": "sse4.1",
    "sse4.1": "sse4.1",
    "sse4_2": "sse4.2",
    "sse4.2": "sse4.2",
    "sse4a": "sse4a",
    "popcnt": "popcnt",
    "aes": "aes",
    "pclmulqdq": "pclmul",
    "sha_ni": "sha",
    "avx": "avx",
    "avx1.0": "avx",
    "f16c": "f16c",
    "fma": "fma",
    "bmi1": "bmi1",
    "bmi2": "bmi2",
    "avx2": "avx2",
    "avx_vnni": "avx-vnni",
    "avx512f": "avx512f",
    "avx512bw": "avx512bw",
    "avx512cd": "avx512cd",
    "avx512dq": "avx512dq",
    "avx512vl": "avx512vl",
    "avx512_vnni": "avx512-vnni",
    "avx512_bf16": "avx512-bf16",
    "amx_tile": "amx-tile",
    "amx_int8": "amx-int8",
    "gfni": "gfni",
    "vaes": "vaes",
    "asimd": "neon",
    "advsimd": "neon",
    "asimddp": "dotprod",
    "feat_dotprod": "dotprod",
    "asimdhp": "fp16",
    "feat_fp16": "fp16",
    "atomics": "lse",
    "feat_lse": "lse",
    "crc32": "crc32",
    "feat_crc32": "crc32",
    "sha1": "sha1",
    "feat_sha1": "sha1",
    "sha2": "sha2",
    "feat_sha256": "sha2",
    "sha3": "sha3",
    "feat_sha3": "sha3",
    "feat_aes": "aes",
    "i8mm": "i8mm",
    "feat_i8mm": "i8mm",
    "bf16": "bf16",
    "feat_bf16": "bf16",
    "sve": "sve",
    "sve2": "sve2",
    "sme": "sme",
    "feat_sme": "sme",
    "neon": "neon",
}


def scan_cpu(host: HostFiles, prober: Prober, settings: CpuLimitSettings) -> CpuResources:
    """Describe the processors; blocks for as long as ``lscpu`` or ``sysctl`` take."""
    if macos.IS_MACOS:
        values = macos.sysctl(prober, "hw", "machdep.cpu")
        return macos_cpu(values, settings)
    return linux_cpu(host, prober, settings, affinity())


def allowed_cpus(config: NodeConfig, host: HostFiles | None = None) -> frozenset[int]:
    """Return the CPU ids that may be used: affinity and cpusets without the reserved ones.

    If everything is reserved, one CPU stays usable: a node without any could do nothing.
    """
    cpus = affinity() or frozenset(range(os.cpu_count() or 1))
    cpus = _within(cpus, cgroup_limits(host or HostFiles()).cpu_ids)
    return _without_reserved(cpus, config.resource_limits.cpu)


def granted_cpus(config: NodeConfig, host: HostFiles | None = None) -> tuple[int, ...]:
    """Return the CPU ids that commands may run on: of those that may be used, at most as many as
    the owner says. The last ones, for systems do their own work on the first."""
    cpus = sorted(allowed_cpus(config, host))
    return tuple(cpus[-(config.resource_limits.cpu.max_cores or len(cpus)) :])


def allowed_cores(config: NodeConfig, host: HostFiles | None = None) -> int:
    """Return how many cores may be used at once here: at least 1. Reads a few small files."""
    quota = cgroup_limits(host or HostFiles()).quota_cores
    return usable_cores(len(allowed_cpus(config, host)), quota, config.resource_limits.cpu)


def usable_cores(cpus: int, quota: float | None, settings: CpuLimitSettings) -> int:
    """Apply the quota (a fraction of a core is no core) and the owner's maximum; at least 1."""
    limits = [cpus]
    if quota is not None:
        limits.append(math.floor(quota))
    if settings.max_cores is not None:
        limits.append(settings.max_cores)
    return max(1, min(limits))


def affinity() -> frozenset[int] | None:
    """Return the CPUs that the scheduler may give this process; None where it cannot be asked."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return None


def _within(cpus: frozenset[int], limit: frozenset[int] | None) -> frozenset[int]:
    """Apply a set of CPUs; one that leaves nothing is another machine's and says nothing."""
    return (cpus & limit if limit else cpus) or cpus


def _without_reserved(cpus: frozenset[int], settings: CpuLimitSettings) -> frozenset[int]:
    return cpus.difference(settings.reserved_cores) or frozenset([max(cpus)])


def linux_cpu(
    host: HostFiles, prober: Prober, settings: CpuLimitSettings, mask: frozenset[int] | None
) -> CpuResources:
    """Describe the processors from ``/proc/cpuinfo``, sysfs and the control groups."""
    processors = parse_cpuinfo(host.read("/proc/cpuinfo") or "")
    online = (
        parse_cpu_list(host.read("/sys/devices/system/cpu/online") or "")
        or parse_cpu_list(",".join(one.get("processor", "") for one in processors))
        or frozenset(range(os.cpu_count() or 1))
    )
    groups: CgroupLimits = cgroup_limits(host)
    cpus = _within(_within(online, mask), groups.cpu_ids)
    first = processors[0] if processors else {}
    allowed = _without_reserved(cpus, settings)
    return CpuResources(
        cores=usable_cores(len(allowed), groups.quota_cores, settings),
        logical=len(online),
        physical=_physical_cores(host, online),
        model=_model(first) or _lscpu_model(prober),
        architecture=architecture(platform.machine()),
        frequency_mhz=_frequency_mhz(host, online, processors),
        features=features((first.get("flags") or first.get("Features") or "").split()),
        limits=CpuLimits(
            affinity_cores=len(cpus),
            cgroup_quota_cores=groups.quota_cores,
            max_cores=settings.max_cores,
            reserved_cores=settings.reserved_cores,
        ),
    )


def parse_cpuinfo(text: str) -> list[dict[str, str]]:
    """Return the blocks of ``/proc/cpuinfo``, one a processor."""
    blocks = []
    for block in re.split(r"\n\s*\n", text):
        fields = {}
        for line in block.splitlines():
            name, colon, value = line.partition(":")
            if colon:
                fields[name.strip()] = value.strip()
        if "processor" in fields:
            blocks.append(fields)
    return blocks


def architecture(machine: str) -> str:
    """Return one name for an architecture that systems name differently."""
    return _ARCHITECTURES.get(machine.lower(), machine.lower())


def features(flags: Sequence[str]) -> tuple[str, ...]:
    """Return the known features among a kernel's flags, by the names that compilers use."""
    known = {_FEATURES[flag.lower()] for flag in flags if flag.lower() in _FEATURES}
    return tuple(sorted(known))


def _model(processor: Mapping[str, str]) -> str | None:
    model = processor.get("model name") or processor.get("cpu model") or processor.get("cpu")
    return " ".join(model.split()) if model else None


def _lscpu_model(prober: Prober) -> str | None:
    """Ask lscpu, which knows the names behind arm's part numbers."""
    outcome = prober.run(["lscpu"])
    return parse_lscpu_model(outcome.output) if outcome.succeeded else None


def parse_lscpu_model(text: str) -> str | None:
    """Return the model name of lscpu's output; "-" stands for unknown there."""
    match = re.search(r"^\s*Model name:\s*(\S.*)$", text, re.MULTILINE)
    model = match.group(1).strip() if match else "-"
    return None if model == "-" else model


def _physical_cores(host: HostFiles, online: frozenset[int]) -> int | None:
    siblings = set()
    for cpu in online:
        topology = f"/sys/devices/system/cpu/cpu{cpu}/topology"
        names = ("core_cpus_list", "thread_siblings_list")
        text = next(filter(None, (host.read(f"{topology}/{name}") for name in names)), None)
        if text is None:
            return None
        siblings.add(text)
    return len(siblings) or None


def _frequency_mhz(
    host: HostFiles, online: frozenset[int], processors: Sequence[Mapping[str, str]]
) -> int | None:
    highest = [
        host.read_int(f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/cpuinfo_max_freq")
        for cpu in online
    ]
    kilohertz = [value for value in highest if value and value > 0]
    if kilohertz:
        return max(kilohertz) // 1000
    # Virtual machines have no cpufreq; there "cpu MHz" is the constant rate of the host's clock.
    told = []
    for processor in processors:
        try:
            told.append(float(processor.get("cpu MHz", "")))
        except ValueError:
            continue
    usual = [value for value in told if math.isfinite(value) and value > 0]
    return round(max(usual)) if usual else None


def macos_cpu(values: Mapping[str, str], settings: CpuLimitSettings) -> CpuResources:
    """Describe the processors from sysctl's ``hw`` and ``machdep.cpu`` branches."""

    def number(name: str) -> int | None:
        text = values.get(name, "")
        return int(text) if text.isascii() and text.isdigit() else None

    logical = number("hw.logicalcpu") or number("hw.ncpu") or os.cpu_count() or 1
    flags = " ".join(
        values.get(f"machdep.cpu.{name}", "") for name in ("features", "leaf7_features")
    ).split()
    prefix = "hw.optional."
    flags += [
        name.removeprefix(prefix).removeprefix("arm.")
        for name, value in values.items()
        if name.startswith(prefix) and value == "1"
    ]
    # Rosetta shows an Intel processor; the kernel's own word is the machine's.
    machine = "arm64" if values.get("hw.optional.arm64") == "1" else platform.machine()
    frequency_hz = number("hw.cpufrequency_max") or number("hw.cpufrequency")
    cpus = _without_reserved(frozenset(range(logical)), settings)
    return CpuResources(
        cores=usable_cores(len(cpus), None, settings),
        logical=logical,
        physical=number("hw.physicalcpu"),
        model=values.get("machdep.cpu.brand_string") or None,
        architecture=architecture(machine),
        frequency_mhz=frequency_hz // 1_000_000 if frequency_hz else None,
        features=features(flags),
        limits=CpuLimits(max_cores=settings.max_cores, reserved_cores=settings.reserved_cores),
    )
