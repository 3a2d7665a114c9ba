from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.config import CpuLimitSettings, NodeConfig, ResourceLimits
from buildnet.node.scan.cgroup import (
    CgroupLimits,
    cgroup_limits,
    parse_cpu_list,
    parse_cpu_max,
    parse_groups,
)
from buildnet.node.scan.cpu import (
    allowed_cores,
    allowed_cpus,
    architecture,
    features,
    granted_cpus,
    linux_cpu,
    macos_cpu,
    parse_cpuinfo,
    parse_lscpu_model,
    usable_cores,
)
from buildnet.node.scan.host import HostFiles, parse_os_release
from buildnet.node.scan.macos import parse_sysctl
from buildnet.node.scan.mounts import parse_mountinfo
from buildnet.node.scan.probe import Prober

NO_LIMITS = CpuLimitSettings()
UNLIMITED_V1 = "9223372036854771712"


def tree(root: Path, files: dict[str, str]) -> HostFiles:
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return HostFiles(root)


def mountinfo(*lines: tuple[str, str, str, str]) -> str:
    return "\n".join(
        f"30 20 0:{number} {root} {point} rw,nosuid - {kind} {kind} {options}"
        for number, (root, point, kind, options) in enumerate(lines)
    )


def version_2(group: str = "/user/work", shown: str = "/") -> dict[str, str]:
    return {
        "/proc/self/mountinfo": mountinfo((shown, "/sys/fs/cgroup", "cgroup2", "rw")),
        "/proc/self/cgroup": f"0::{group}",
    }


def version_1(group: str = "/work") -> dict[str, str]:
    base = "/sys/fs/cgroup"
    return {
        "/proc/self/mountinfo": mountinfo(
            ("/", f"{base}/cpu,cpuacct", "cgroup", "rw,cpu,cpuacct"),
            ("/", f"{base}/cpuset", "cgroup", "rw,cpuset"),
            ("/", f"{base}/memory", "cgroup", "rw,memory"),
            ("/", f"{base}/unified", "cgroup2", "rw"),
        ),
        "/proc/self/cgroup": f"4:memory:{group}\n3:cpuset:{group}\n2:cpu,cpuacct:{group}\n0::/",
    }


def test_version_2_takes_the_tightest_of_all_levels(tmp_path: Path) -> None:
    files = version_2() | {
        "/sys/fs/cgroup/user/work/cpu.max": "max 100000",
        "/sys/fs/cgroup/user/cpu.max": "150000 100000",
        "/sys/fs/cgroup/user/work/cpuset.cpus.effective": "0-3",
        "/sys/fs/cgroup/cpuset.cpus.effective": "0-15",
        "/sys/fs/cgroup/user/work/memory.max": "max",
        "/sys/fs/cgroup/user/memory.max": "1000000",
        "/sys/fs/cgroup/user/memory.current": "700000",
        "/sys/fs/cgroup/user/memory.stat": "anon 300000\ninactive_file 400000\nfile 400000",
    }
    assert cgroup_limits(tree(tmp_path, files)) == CgroupLimits(
        quota_cores=1.5,
        cpu_ids=frozenset({0, 1, 2, 3}),
        memory_limit_bytes=1_000_000,
        memory_available_bytes=700_000,
    )


def test_version_1_with_its_numbers_for_no_limit(tmp_path: Path) -> None:
    files = version_1() | {
        "/sys/fs/cgroup/cpu,cpuacct/work/cpu.cfs_quota_us": "250000",
        "/sys/fs/cgroup/cpu,cpuacct/work/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1",
        "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000",
        "/sys/fs/cgroup/cpuset/work/cpuset.cpus": "2,4-5",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": UNLIMITED_V1,
        "/sys/fs/cgroup/memory/work/memory.limit_in_bytes": "500",
        "/sys/fs/cgroup/memory/work/memory.usage_in_bytes": "400",
        "/sys/fs/cgroup/memory/work/memory.stat": "cache 1\ntotal_inactive_file 50",
    }
    assert cgroup_limits(tree(tmp_path, files)) == CgroupLimits(
        quota_cores=2.5,
        cpu_ids=frozenset({2, 4, 5}),
        memory_limit_bytes=500,
        memory_available_bytes=150,
    )


def test_a_container_sees_the_hosts_path_but_only_its_own_directory(tmp_path: Path) -> None:
    files = version_2(group="/docker/abc", shown="/docker/abc") | {
        "/sys/fs/cgroup/cpu.max": "100000 100000"
    }
    assert cgroup_limits(tree(tmp_path, files)).quota_cores == 1.0
    outside = version_2(group="/../../elsewhere") | {"/sys/fs/cgroup/cpu.max": "200000 100000"}
    assert cgroup_limits(tree(tmp_path, outside)).quota_cores == 2.0


def test_no_control_groups_no_limits(tmp_path: Path) -> None:
    assert cgroup_limits(HostFiles(tmp_path)) == CgroupLimits()


def cpu_files(count: int, threads: int = 1) -> dict[str, str]:
    block = (
        "processor : {}\nmodel name :  AMD  EPYC 7543\ncpu MHz : 2800.5\nflags : fpu avx2 sse4_2"
    )
    files = {
        "/proc/cpuinfo": "\n\n".join(block.format(cpu) for cpu in range(count)),
        "/sys/devices/system/cpu/online": f"0-{count - 1}",
    }
    for cpu in range(count):
        first = cpu - cpu % threads
        siblings = f"{first}-{first + threads - 1}" if threads > 1 else str(cpu)
        files[f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"] = siblings
    return files


@pytest.fixture
def prober() -> Prober:
    return Prober.of_process("/nonexistent")


def test_the_processors_of_a_machine(tmp_path: Path, prober: Prober) -> None:
    found = linux_cpu(tree(tmp_path, cpu_files(8, threads=2)), prober, NO_LIMITS, None)
    assert (found.cores, found.logical, found.physical) == (8, 8, 4)
    assert (found.model, found.frequency_mhz) == ("AMD EPYC 7543", 2800)
    assert found.features == ("avx2", "sse4.2")


def test_the_highest_frequency_is_better_than_the_moments(tmp_path: Path, prober: Prober) -> None:
    files = cpu_files(2) | {
        "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq": "3400000",
        "/sys/devices/system/cpu/cpu1/cpufreq/cpuinfo_max_freq": "4200000",
    }
    assert linux_cpu(tree(tmp_path, files), prober, NO_LIMITS, None).frequency_mhz == 4200


def test_affinity_quota_and_configuration_are_applied(tmp_path: Path, prober: Prober) -> None:
    files = (
        cpu_files(8)
        | version_2()
        | {
            "/sys/fs/cgroup/user/work/cpu.max": "350000 100000",
            "/sys/fs/cgroup/user/work/cpuset.cpus.effective": "0-5",
        }
    )
    host = tree(tmp_path, files)
    settings = CpuLimitSettings(max_cores=7, reserved_cores=(0, 1, 99))
    everything = frozenset(range(8))
    found = linux_cpu(host, prober, settings, everything)
    assert found.cores == 3
    assert found.limits.model_dump() == {
        "affinity_cores": 6,
        "cgroup_quota_cores": 3.5,
        "max_cores": 7,
        "reserved_cores": (0, 1, 99),
    }
    assert linux_cpu(host, prober, settings, frozenset({0, 1, 2, 3})).cores == 2
    assert linux_cpu(host, prober, CpuLimitSettings(max_cores=1), everything).cores == 1
    assert linux_cpu(host, prober, CpuLimitSettings(reserved_cores=(0, 1, 2, 3)), None).cores == 2


def test_nothing_known_is_null(tmp_path: Path, prober: Prober) -> None:
    found = linux_cpu(HostFiles(tmp_path), prober, NO_LIMITS, None)
    assert (found.physical, found.model, found.frequency_mhz, found.features) == (
        None,
        None,
        None,
        (),
    )
    assert found.cores >= 1


@pytest.mark.parametrize(
    ("cpus", "quota", "max_cores", "expected"),
    [(8, None, None, 8), (8, 0.5, None, 1), (8, 2.9, None, 2), (8, 12.0, 3, 3), (2, None, 64, 2)],
)
def test_usable_cores(cpus: int, quota: float | None, max_cores: int, expected: int) -> None:
    assert usable_cores(cpus, quota, CpuLimitSettings(max_cores=max_cores)) == expected


def test_allowed_cores_of_this_process(tmp_path: Path) -> None:
    here = (
        frozenset(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else frozenset(range(os.cpu_count() or 1))
    )
    no_groups = HostFiles(tmp_path)
    assert allowed_cpus(NodeConfig(), no_groups) == here
    assert allowed_cores(NodeConfig(), no_groups) == len(here)
    everything = CpuLimitSettings(reserved_cores=tuple(here))
    config = NodeConfig(resource_limits=ResourceLimits(cpu=everything))
    assert allowed_cores(config, no_groups) == 1
    one = NodeConfig(resource_limits=ResourceLimits(cpu=CpuLimitSettings(max_cores=1)))
    assert allowed_cores(one, no_groups) == 1
    assert granted_cpus(one, no_groups) == (max(here),)
    assert granted_cpus(NodeConfig(), no_groups) == tuple(sorted(here))


def test_arms_processors() -> None:
    text = "processor\t: 0\nBogoMIPS\t: 48.00\nFeatures\t: fp asimd atomics sve unheard_of\n"
    (block,) = parse_cpuinfo(text)
    assert features(block["Features"].split()) == ("lse", "neon", "sve")
    assert parse_lscpu_model("Vendor ID:  ARM\n  Model name:   Neoverse-N1\n") == "Neoverse-N1"
    assert parse_lscpu_model("Model name:   -\n") is None
    assert (architecture("arm64"), architecture("AMD64")) == ("aarch64", "x86_64")


MACOS_ARM = """\
hw.ncpu: 12
hw.physicalcpu: 12
hw.logicalcpu: 12
hw.optional.arm64: 1
hw.optional.neon: 1
hw.optional.arm.FEAT_DotProd: 1
hw.optional.arm.FEAT_SME: 0
hw.optional.arm.FEAT_LSE: 1
machdep.cpu.brand_string: Apple M3 Pro
"""
MACOS_INTEL = """\
hw.physicalcpu: 6
hw.logicalcpu: 12
hw.cpufrequency_max: 2600000000
machdep.cpu.brand_string: Intel(R) Core(TM) i7-9750H CPU @ 2.60GHz
machdep.cpu.features: FPU SSE4.1 SSE4.2 AVX1.0 FMA
machdep.cpu.leaf7_features: BMI1 AVX2 BMI2
"""


def test_macos() -> None:
    found = macos_cpu(parse_sysctl(MACOS_ARM), CpuLimitSettings(reserved_cores=(0, 1)))
    assert (found.cores, found.logical, found.physical) == (10, 12, 12)
    assert (found.model, found.architecture) == ("Apple M3 Pro", "aarch64")
    assert (found.frequency_mhz, found.features) == (
        None,
        ("dotprod", "lse", "neon"),
    )
    intel = macos_cpu(parse_sysctl(MACOS_INTEL), CpuLimitSettings(max_cores=4))
    assert (intel.cores, intel.logical, intel.physical, intel.frequency_mhz) == (4, 12, 6, 2600)
    assert intel.features == ("avx", "avx2", "bmi1", "bmi2", "fma", "sse4.1", "sse4.2")


@given(st.sets(st.integers(0, 300), min_size=1))
def test_a_list_of_cpus_is_read_back(cpus: set[int]) -> None:
    assert parse_cpu_list(",".join(str(cpu) for cpu in cpus)) == frozenset(cpus)


@given(st.text(max_size=200))
def test_parsers_take_any_text(text: str) -> None:
    parse_cpu_list(text)
    parse_cpu_max(text)
    parse_groups(text)
    parse_mountinfo(text)
    parse_cpuinfo(text)
    parse_os_release(text)
    parse_sysctl(text)


def test_the_name_of_the_system() -> None:
    assert parse_os_release('ID=debian\nPRETTY_NAME="Debian GNU/Linux 12"\n') == (
        "Debian GNU/Linux 12"
    )
    assert parse_os_release("ID=x\n") is None
