"""Which hosts are of the platform that a command asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.pool.definition import read_workspace
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.wanted_platform import WantedPlatform, platform_text
from buildnet.pool.workspace import TaskId, WorkspaceError

HOST = {"OSFamily": "linux", "ISA": "aarch64", "libc": "musl 1.2.4", "release": "alpine 3.19"}


@pytest.mark.parametrize(
    ("wanted", "does"),
    [
        (WantedPlatform(), True),
        (WantedPlatform("linux", "aarch64", "musl", "alpine 3.19"), True),
        (WantedPlatform(libc="musl 1.2.4"), True),
        (WantedPlatform(libc="musl 1.2"), False),
        (WantedPlatform(libc="mus"), False),
        (WantedPlatform("macos"), False),
        (WantedPlatform(arch="x86-64"), False),
    ],
)
def test_all_that_is_said_has_to_be_so(wanted: WantedPlatform, does: bool) -> None:
    assert wanted.accepts(HOST) is does
    assert wanted.accepts({}) is (wanted == WantedPlatform())


def test_it_is_told_in_words() -> None:
    assert platform_text(HOST) == "linux, aarch64, musl 1.2.4, alpine 3.19"
    assert str(WantedPlatform(arch="aarch64", libc="musl")) == "aarch64, musl"


def defined(directory: Path, platform: str) -> Path:
    file = directory / "buildnet.yaml"
    file.write_text(
        f"workspace: w\npackages:\n  - {{name: a, path: ., build_cmd: x, platform: {platform},"
        " tasks: {test: y, other: {cmd: z, platform: {os: macos}}}}\n"
    )
    return file


def test_a_package_says_it_for_its_tasks(tmp_path: Path) -> None:
    workspace = read_workspace(defined(tmp_path, "{arch: arm64, libc: glibc   2.36}"))
    arm = WantedPlatform(arch="aarch64", libc="glibc 2.36")
    wanted = {"build": arm, "test": arm, "other": WantedPlatform("macos")}
    tasks = {name: workspace.task(TaskId("a", name)) for name in wanted}
    assert {name: task.requirements.platform for name, task in tasks.items()} == wanted
    (tmp_path / "again").mkdir()
    again = tmp_path / "again/buildnet.yaml"
    again.write_text(write_workspace(workspace))
    assert list(read_workspace(again).tasks()) == list(workspace.tasks())


@pytest.mark.parametrize(
    "wrong", ["linux", "{cpu: arm64}", "{os: plan9}", "{libc: 2}", "{arch: ''}"]
)
def test_what_is_no_platform_is_refused(tmp_path: Path, wrong: str) -> None:
    with pytest.raises(WorkspaceError, match="platform"):
        read_workspace(defined(tmp_path, wrong))
