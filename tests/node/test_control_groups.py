"""Limits that the kernel keeps, on made-up hierarchies and on this host's own where it has them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.node.strict_host import StrictHost

from buildnet.node.execute.control_groups import (
    MEMORY,
    PIDS,
    ControlGroups,
    Hierarchy,
    named_groups,
    open_groups,
)
from buildnet.node.execute.limits import ActionLimits
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.mounts import parse_mountinfo

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="control groups are Linux's")

V2 = "30 24 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate"
V1 = """\
31 24 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
32 24 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
33 24 0:29 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids
34 24 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"""


def write(root: Path, files: dict[str, str]) -> HostFiles:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return HostFiles(root)


def test_a_named_group_of_version_2_gets_the_controllers_all_the_way_down(tmp_path: Path) -> None:
    cgroup = tmp_path / "sys/fs/cgroup"
    host = write(
        tmp_path,
        {
            "sys/fs/cgroup/cgroup.controllers": "cpuset cpu memory pids",
            "sys/fs/cgroup/cgroup.subtree_control": "pids",
            "sys/fs/cgroup/a.slice/cgroup.subtree_control": "memory pids",
            "sys/fs/cgroup/a.slice/b/cgroup.subtree_control": "",
        },
    )
    found = named_groups("a.slice/b", parse_mountinfo(V2), host)
    assert found == (Hierarchy(cgroup / "a.slice/b", 2, (MEMORY, PIDS)),)
    assert (cgroup / "cgroup.subtree_control").read_text() == "+memory"
    assert (cgroup / "a.slice/cgroup.subtree_control").read_text() == "memory pids"
    assert (cgroup / "a.slice/b/cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_named_group_of_version_1_is_one_in_each_hierarchy(tmp_path: Path) -> None:
    files = {f"sys/fs/cgroup/{name}/tasks": "" for name in ("cpu", "memory", "pids")}
    host = write(tmp_path, {**files, "sys/fs/cgroup/unified/cgroup.controllers": "hugetlb"})
    cgroup = tmp_path / "sys/fs/cgroup"
    assert named_groups("buildnet", parse_mountinfo(V1), host) == (
        Hierarchy(cgroup / "memory/buildnet", 1, (MEMORY,)),
        Hierarchy(cgroup / "pids/buildnet", 1, (PIDS,)),
    )
    assert not (cgroup / "cpu/buildnet").exists()


def test_where_nothing_is_mounted_a_named_group_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no control groups with memory or pids"):
        named_groups("buildnet", [], HostFiles(tmp_path))


@pytest.mark.parametrize("group", ["0::/user.slice/session-3.scope", "4:memory:/x", ""])
def test_a_group_that_nobody_left_to_the_node_is_not_touched(tmp_path: Path, group: str) -> None:
    files = {"proc/self/mountinfo": V2, "proc/self/cgroup": group}
    assert open_groups(None, write(tmp_path, files)) is None


@pytest.mark.parametrize(
    ("version", "controllers", "expected"),
    [
        (2, (MEMORY, PIDS), {"memory.max": "9", "memory.swap.max": "0", "pids.max": "6"}),
        (1, (MEMORY,), {"memory.limit_in_bytes": "9", "memory.memsw.limit_in_bytes": "9"}),
        (1, (PIDS,), {"pids.max": "6"}),
    ],
)
def test_what_is_written(version: int, controllers: tuple[str, ...], expected: object) -> None:
    hierarchy = Hierarchy(Path("/x"), version, controllers)
    assert hierarchy.settings(9, 5) == expected
    assert hierarchy.settings(None, None) == {}


@pytest.mark.parametrize(
    ("version", "files", "expected"),
    [
        (2, {"memory.events": "max 3\noom 1\noom_kill 1\n"}, "memory"),
        (2, {"memory.events": "max 3\noom_kill 0\n", "pids.events": "max 2\n"}, "processes"),
        (2, {"memory.events": "max 3\noom_kill 0\n", "pids.events": "max 0\n"}, None),
        (1, {"memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, "memory"),
        (1, {}, None),
    ],
)
def test_what_was_passed(
    tmp_path: Path, version: int, files: dict[str, str], expected: str | None
) -> None:
    write(tmp_path, files)
    assert Hierarchy(tmp_path, version, (MEMORY, PIDS)).exceeded(tmp_path) == expected


def ended() -> int:
    """Return the id of a process that has ended."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_groups_of_another_node_that_lives_are_left_alone(tmp_path: Path) -> None:
    for pid in (os.getppid(), os.getpid(), ended()):
        (tmp_path / f"action-{pid}-1").mkdir()
    ControlGroups((Hierarchy(tmp_path, 2, ()),))
    assert [left.name for left in tmp_path.iterdir()] == [f"action-{os.getppid()}-1"]


def test_a_group_that_the_owner_made_stays(tmp_path: Path) -> None:
    root = "sys/fs/cgroup/pids"
    (tmp_path / root / "theirs").mkdir(parents=True)
    mounts = [each for each in parse_mountinfo(V1) if each.mount_point.endswith("pids")]
    for name in ("theirs", "ours"):
        groups = ControlGroups(named_groups(name, mounts, HostFiles(tmp_path), (PIDS,)))
        assert (tmp_path / root / name).is_dir()
        groups.close()
    assert [each.name for each in (tmp_path / root).iterdir() if each.is_dir()] == ["theirs"]


# On this host. Only processes are limited: these tests leave the memory's hierarchy alone, for who
# runs them may be counted there.


@pytest.fixture
def groups() -> Iterator[ControlGroups]:
    mounts = parse_mountinfo(HostFiles().read("/proc/self/mountinfo") or "")
    try:
        hierarchies = named_groups(f"buildnet-test-{os.getpid()}", mounts, HostFiles(), (PIDS,))
    except OSError as error:
        pytest.skip(f"no control groups here: {error}")
    groups = ControlGroups(hierarchies)
    yield groups
    groups.close()
    assert not any(each.directory.exists() for each in hierarchies)


@pytest.fixture
def limited(host: StrictHost, groups: ControlGroups) -> Iterator[StrictHost]:
    if host.launcher.way != "root":
        pytest.skip("groups of root are not an ordinary user's")
    host.launcher.groups = groups
    yield host
    host.launcher.groups = None


def test_the_kernel_refuses_more_processes_than_a_command_may_have(limited: StrictHost) -> None:
    limits = ActionLimits(processes=20)
    execution = limited.run("for n in $(seq 40); do sleep 30 & done; wait", limits=limits)
    assert execution.outcome.exceeded == "processes"
    assert "fork" in limited.log(execution)
    assert limited.run("for n in $(seq 10); do true & done; wait", limits=limits).outcome.succeeded


def test_a_command_does_not_see_its_group(limited: StrictHost) -> None:
    limits = ActionLimits(processes=20)
    said = limited.said("cat /proc/self/cgroup", limits=limits).splitlines()
    assert said
    assert all(line.endswith(":/") for line in said)


def hold_and_leave(groups: ControlGroups) -> None:
    with groups.group(None, 20) as group:
        script = 'echo 0 > "$0"; sleep 300 & exec sleep 300'
        process = subprocess.Popen(["/bin/sh", "-c", script, *group.files])
        procs = Path(group.files[0])
        deadline = time.monotonic() + 20
        while len(procs.read_text().split()) < 2:
            assert time.monotonic() < deadline
    assert not procs.exists()
    assert process.wait(10) == -9


def test_what_a_group_still_holds_is_ended_with_it(groups: ControlGroups) -> None:
    hold_and_leave(groups)


def test_version_2_ends_a_whole_group_at_once() -> None:
    mounts = parse_mountinfo(HostFiles().read("/proc/self/mountinfo") or "")
    place = next((Path(each.mount_point) for each in mounts if each.file_system == "cgroup2"), None)
    if place is None or not os.access(place / "cgroup.procs", os.W_OK):
        pytest.skip("no control groups of version 2 that may be used")
    directory = place / f"buildnet-test-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"no control groups of version 2 that may be used: {error}")
    groups = ControlGroups((Hierarchy(directory, 2, (), is_made=True),))
    try:
        hold_and_leave(groups)
    finally:
        groups.close()
    assert not directory.exists()


def test_what_a_node_that_died_left_is_removed(groups: ControlGroups) -> None:
    (left,) = (each.directory / f"action-{ended()}-1" for each in groups.hierarchies)
    left.mkdir()
    ControlGroups(groups.hierarchies)
    assert not left.exists()
