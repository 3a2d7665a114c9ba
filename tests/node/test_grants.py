"""What of a host commands may use, by the owner's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildnet.node import grants
from buildnet.node.config import (
    ConfigError,
    MemoryLimitSettings,
    NodeConfig,
    ResourceLimits,
    WorkerSettings,
    parse_config,
)
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.pool.requirements import Requirements, RequirementsError

GIB = 1 << 30


def config(memory: int | None = None, control_group: str | None = None) -> NodeConfig:
    return NodeConfig(
        workers=WorkerSettings(max=3, memory=memory, control_group=control_group),
        resource_limits=ResourceLimits(memory=MemoryLimitSettings(max_gb=0.5)),
    )


def test_one_command_may_have_what_the_owner_says_and_the_host_has(tmp_path: Path) -> None:
    found = grants.granted(config())
    grant = found.grant
    assert (found.slots, found.memory_bytes) == (3, GIB // 2)
    assert (grant.memory_bytes, grant.processes) == (GIB // 2, 4096)
    capacity = found.capacity(tmp_path, 7)
    assert grant.cores == capacity.cores_at_most <= 3
    assert capacity.free_disk_bytes == 7
    free = found.capacity(tmp_path, None).free_disk_bytes
    assert free is not None
    assert free % (256 << 20) == 0
    assert grants.granted(config(memory=GIB // 4)).grant.memory_bytes == GIB // 4
    assert grants.granted(config(memory=4 * GIB)).grant.memory_bytes == GIB // 2
    with pytest.raises(RequirementsError, match="memory 1 GB of at most 512 MB"):
        grant.check(Requirements(memory_bytes=GIB))


@pytest.mark.parametrize(
    ("said", "slots"),
    [
        ({}, 4),
        ({"max": 9}, 9),
        ({"max": 2}, 2),
        ({"redundancy_factor": 1.2}, 5),
        ({"redundancy_factor": 0.5}, 2),
        ({"min": 6}, 6),
        ({"min": 2, "max": 10}, 4),
        ({"min": 1, "max": 3}, 3),
        ({"min": 2, "max": 10, "redundancy_factor": 1.5}, 6),
        ({"max": 3, "redundancy_factor": 2.0}, 3),
        ({"redundancy_factor": 1.1}, 5),
    ],
)
def test_how_many_commands_run_at_once_on_four_cores(said: dict[str, Any], slots: int) -> None:
    assert grants.slots_of(WorkerSettings(**said), 4) == slots


def test_more_at_least_than_at_most_is_refused_with_its_line() -> None:
    with pytest.raises(ConfigError, match=r"node\.yaml:1: .* expected min to be no more than max"):
        parse_config("workers: {min: 3, max: 2}\n", "node.yaml")


def test_a_control_group_that_cannot_be_used_is_told_and_done_without(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str | None) -> ControlGroups | None:
        raise OSError("Permission denied")

    monkeypatch.setattr(grants, "open_groups", refuse)
    monkeypatch.setattr("sys.platform", "linux")
    with grants.control_groups(config(control_group="build.slice/x")) as groups:
        assert groups is None
    assert "the control group build.slice/x can't be used" in caplog.text


@pytest.mark.parametrize("name", ["/sys/fs/cgroup/x", "../x", "a//b", ""])
def test_a_control_group_is_named_without_its_mount(name: str) -> None:
    with pytest.raises(ValueError, match="control_group"):
        config(control_group=name)
