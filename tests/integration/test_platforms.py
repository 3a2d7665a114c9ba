"""Commands for a platform that their driver is not of run on a host that is.

The other platform is a true one as far as keys are concerned: a node in a mount namespace of its
own that finds another distribution's ``os-release`` there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.platform import platform_properties
from testbed.nodes import Cluster, Node

UNSHARE = shutil.which("unshare") or "unshare"
RELEASE = os.path.realpath("/etc/os-release")
MOUNTED = f'{shutil.which("mount")} --bind "$1" "$2" && shift 2 && exec "$@"'
OURS, OTHER = platform_properties()["release"], "plan 9"


def in_other_release(directory: Path, *command: str) -> list[str]:
    """Return the command line of a command that sees another distribution's name."""
    release = directory / "os-release"
    release.write_text('ID=plan\nVERSION_ID="9"\n')
    return [UNSHARE, "--mount", "/bin/sh", "-c", MOUNTED, "sh", str(release), RELEASE, *command]


@pytest.fixture(scope="module", autouse=True)
def needs_mounts(tmp_path_factory: pytest.TempPathFactory) -> None:
    if sys.platform != "linux" or not os.path.exists(RELEASE):
        pytest.skip("there is no os-release here")
    command = in_other_release(tmp_path_factory.mktemp("tried"), "true")
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("only root can mount anything here")


class Mixed(Node):
    """A node; the one called node2 is of another platform."""

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Any:
        if self.name != "node2":
            return super().launch(writing, options, environment)
        node = (sys.executable, "-m", "buildnet.node", str(writing), options)
        return subprocess.Popen(
            in_other_release(self.home.directory.parent, *node),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
            env=environment,
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pair"), 2, make=Mixed) as cluster:
        yield cluster


def workspace(root: Path, platforms: dict[str, str]) -> Path:
    packages = "".join(
        f"  - {{name: {name}, path: {name}, build_cmd: cp in out, outputs: [{name}/out],"
        f" platform: {wanted}}}\n"
        for name, wanted in platforms.items()
    )
    write_files(root, {f"{name}/in": f"{root.name}\n" for name in platforms})
    return write_files(root, {"buildnet.yaml": f"workspace: w\npackages:\n{packages}"})


def build(node: Node, root: Path, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    report = node.command.build(root, *arguments, code=code)
    return {each["name"]: each for each in report["packages"]}


def test_each_command_runs_on_its_platform_and_is_keyed_by_it(
    pair: Cluster, tmp_path: Path
) -> None:
    platforms = {"theirs": f"{{os: linux, release: {OTHER}}}", "ours": f"{{release: {OURS}}}"}
    for driver, other in (pair.members, reversed(pair.members)):
        root = workspace(tmp_path / driver.name, platforms)
        found = build(driver, root)
        nodes = {name: each["node"] for name, each in found.items()}
        away = "theirs" if driver is pair.members[0] else "ours"
        home = "ours" if away == "theirs" else "theirs"
        assert nodes == {away: other.identity, home: driver.identity}
        assert (root / away / "out").read_text() == f"{root.name}\n"
        (root / away / "out").unlink()
        assert build(driver, root)[away]["tier"] == "local-cache"


def test_a_platform_that_no_node_is_of_is_missing(pair: Cluster, tmp_path: Path) -> None:
    root = workspace(tmp_path / "w", {"alien": "{arch: s390x, libc: musl}"})
    error = build(pair.members[0], root, code=1)["alien"]["error"]
    assert error["code"] == "PLATFORM_MISSING"
    assert error["message"].startswith("alien is for s390x, musl, and this host is linux, ")
    alone = build(pair.members[0], root, "--local-only", code=1)["alien"]["error"]
    assert alone["code"] == "PLATFORM_MISSING"
