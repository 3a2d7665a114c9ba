from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.config import MemoryLimitSettings
from buildnet.node.scan.cgroup import CgroupLimits
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.macos import parse_profile
from buildnet.node.scan.memory import (
    limited_memory,
    linux_memory_kind,
    macos_memory_kind,
    parse_udev_memory,
)
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import MemoryResources

UDEV = """\
I:1234
E:MEMORY_ARRAY_LOCATION=System Board Or Motherboard
E:MEMORY_DEVICE_0_PRESENT=0
E:MEMORY_DEVICE_1_TYPE=DDR5
E:MEMORY_DEVICE_1_SPEED_MTS=5600
E:MEMORY_DEVICE_1_CONFIGURED_SPEED_MTS=4800
"""


def limited(
    installed_gb: float,
    available_gb: float,
    settings: MemoryLimitSettings | None = None,
    groups: CgroupLimits | None = None,
) -> MemoryResources:
    return limited_memory(
        int(installed_gb * GIB),
        int(available_gb * GIB),
        (None, None),
        groups or CgroupLimits(),
        settings or MemoryLimitSettings(),
    )


def test_without_limits_all_of_it_may_be_used() -> None:
    found = limited(32, 20)
    assert (found.total_bytes, found.available_bytes) == (32 * GIB, 20 * GIB)
    assert found.limits.model_dump() == {
        "cgroup_bytes": None,
        "max_bytes": None,
        "reserved_bytes": None,
    }


def test_the_owners_maximum_and_reserve() -> None:
    found = limited(32, 30, MemoryLimitSettings(max_gb=24.0, reserved_gb=8.0))
    assert (found.total_bytes, found.available_bytes) == (24 * GIB, 24 * GIB)
    assert limited(32, 30, MemoryLimitSettings(reserved_gb=10.0)).total_bytes == 22 * GIB
    assert limited(32, 5, MemoryLimitSettings(reserved_gb=10.0)).available_bytes == 5 * GIB
    assert limited(8, 5, MemoryLimitSettings(reserved_gb=10.0)).total_bytes == 0
    assert found.installed_bytes == 32 * GIB


def test_the_control_groups_limit() -> None:
    groups = CgroupLimits(memory_limit_bytes=4 * GIB, memory_available_bytes=1 * GIB)
    found = limited(32, 30, None, groups)
    assert (found.total_bytes, found.available_bytes) == (4 * GIB, 1 * GIB)
    assert found.limits.cgroup_bytes == 4 * GIB


@given(
    st.floats(0, 64),
    st.floats(0, 1),
    st.one_of(st.none(), st.floats(0.1, 100)),
    st.floats(0, 100),
)
def test_never_more_is_available_than_may_be_used(
    installed: float, share: float, maximum: float | None, reserved: float
) -> None:
    settings = MemoryLimitSettings(max_gb=maximum, reserved_gb=reserved)
    found = limited(installed, installed * share, settings)
    assert 0 <= found.available_bytes <= found.total_bytes <= found.installed_bytes


def test_what_udev_knows_of_the_kind(tmp_path: Path) -> None:
    assert parse_udev_memory(UDEV) == ("DDR5", 4800)
    assert parse_udev_memory("E:MEMORY_DEVICE_0_TYPE=RAM\n") == (None, None)
    assert parse_udev_memory("") == (None, None)
    assert linux_memory_kind(HostFiles(tmp_path)) == (None, None)


def test_what_macos_tells_of_the_kind() -> None:
    apple = (
        '{"SPMemoryDataType": [{"_name": "memory", "dimm_manufacturer": "Hynix",'
        ' "dimm_type": "LPDDR5", "SPMemoryDataType": "18 GB"}]}'
    )
    intel = (
        '{"SPMemoryDataType": [{"_name": "memory", "_items": [{"dimm_type": "empty"},'
        ' {"dimm_size": "8 GB", "dimm_speed": "2667 MHz", "dimm_type": "DDR4"}]}]}'
    )
    assert macos_memory_kind(parse_profile(apple, "SPMemoryDataType")) == ("LPDDR5", None)
    assert macos_memory_kind(parse_profile(intel, "SPMemoryDataType")) == ("DDR4", 2667)
    for nonsense in ("", "[]", "{}", '{"SPMemoryDataType": 3}', '{"SPMemoryDataType": [1]}'):
        assert macos_memory_kind(parse_profile(nonsense, "SPMemoryDataType")) == (None, None)
