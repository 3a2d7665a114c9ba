"""Settings that are allowed and do not do what they say are told of."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.node.config import CpuLimitSettings, NodeConfig, ResourceLimits
from buildnet.node.config_warnings import reserved_warnings, warnings_of
from buildnet.node.scan.host import HostFiles

FOUR = frozenset(range(4))


@pytest.mark.parametrize(
    ("reserved", "usable", "told"),
    [
        ((), None, []),
        ((0, 3), None, []),
        ((0, 4, 9), None, ["does not have: 4, 9 (it has 0 to 3)"]),
        ((0, 1, 2, 3), None, ["every CPU"]),
        ((2, 3), frozenset({2, 3}), ["every CPU"]),
        ((2, 3, 77), frozenset({2, 3}), ["does not have: 77", "every CPU"]),
        (tuple(range(100, 120)), None, ["106, 107 … (it"]),
    ],
)
def test_reserved_cpus(
    reserved: tuple[int, ...], usable: frozenset[int] | None, told: list[str]
) -> None:
    found = reserved_warnings(CpuLimitSettings(reserved_cores=reserved), FOUR, usable)
    assert len(found) == len(told)
    assert all(part in one for part, one in zip(told, found, strict=True))


def test_what_the_host_has_is_read(tmp_path: Path) -> None:
    present = tmp_path / "sys/devices/system/cpu/present"
    present.parent.mkdir(parents=True)
    present.write_text("0-63\n")
    limits = ResourceLimits(cpu=CpuLimitSettings(reserved_cores=(63, 64)))
    (told,) = warnings_of(NodeConfig(resource_limits=limits), HostFiles(tmp_path))
    assert "does not have: 64 (it has 0 to 63)" in told
