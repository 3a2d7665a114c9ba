"""What of a host commands may use, by the owner's words."""

from __future__ import annotations

import pytest

from buildnet.node import grants
from buildnet.node.config import MemoryLimitSettings, NodeConfig, ResourceLimits, WorkerSettings
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.pool.requirements import Requirements, RequirementsError

GIB = 1 << 30


def config(memory: int | None = None, control_group: str | None = None) -> NodeConfig:
    return NodeConfig(
        workers=WorkerSettings(max=3, memory=memory, control_group=control_group),
        resource_limits=ResourceLimits(memory=MemoryLimitSettings(max_gb=0.5)),
    )


def test_one_command_may_have_what_the_owner_says_and_the_host_has() -> None:
    capacity, grant = grants.granted(config())
    assert capacity.slots == 3
    assert (grant.memory_bytes, grant.processes) == (GIB // 2, 4096)
    assert grant.cores == capacity.cores_at_most <= 3
    assert grants.granted(config(memory=GIB // 4))[1].memory_bytes == GIB // 4
    assert grants.granted(config(memory=4 * GIB))[1].memory_bytes == GIB // 2
    with pytest.raises(RequirementsError, match="memory 1 GB of at most 512 MB"):
        grant.check(Requirements(memory_bytes=GIB))


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
