"""``buildnet demo``: a pool builds, loses a worker and its coordinator, and no traces are left."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from buildnet.cli.testing import CommandLine


def demo(buildnet: CommandLine, directory: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "buildnet.cli.main", "demo"],
        env=buildnet.environment | {"TMPDIR": str(directory)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_demo_shows_a_pool_that_survives_a_worker_and_its_coordinator(
    buildnet: CommandLine, tmp_path: Path
) -> None:
    process = demo(buildnet, tmp_path)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert len(re.findall(r"demo-\d \([0-9a-f]{16}\) answers on", err)) == 4  # one of them twice
    assert "demo-3 joined demo-1" in err
    assert "built on demo-1" in err
    assert re.search(
        r"demo-3 was killed [\d.]+ s after the build began, while it ran a command", err
    )
    first, second = re.findall(r"pool demo-1, coordinator (demo-\d), term (\d+)", out)
    assert second[0] != first[0]
    assert int(second[1]) > int(first[1])
    assert "2 of 3 nodes reachable" in out
    assert "13 packages (13 built)" in out
    assert "13 packages (13 up to date)" in out
    # What ran on the node that builds the copy is in its own cache.
    assert re.search(r"13 packages \(\d+ from the pool's cache(, \d+ from the cache)?\)", out)
    assert len(re.findall(r"^verified: \d+ entries", out, re.MULTILINE)) == 2
    assert list(tmp_path.glob("buildnet-demo-*")) == []


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        ("demo-2 .* answers on", signal.SIGINT),
        pytest.param("demo-2 joined", signal.SIGTERM, marks=pytest.mark.thorough),
        pytest.param("is asked to build", signal.SIGTERM, marks=pytest.mark.thorough),
        pytest.param("is killed without", signal.SIGINT, marks=pytest.mark.thorough),
    ],
)
def test_an_interrupted_demo_leaves_nothing(
    buildnet: CommandLine, tmp_path: Path, moment: str, number: signal.Signals
) -> None:
    process = demo(buildnet, tmp_path)
    assert process.stderr is not None
    assert any(re.search(moment, line) for line in process.stderr)
    told = [
        json.loads(file.read_text()) for file in tmp_path.glob("buildnet-demo-*/*/runtime.json")
    ]
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert told
    for runtime in told:
        with contextlib.suppress(psutil.NoSuchProcess):
            assert psutil.Process(runtime["pid"]).status() == psutil.STATUS_ZOMBIE
    assert list(tmp_path.glob("buildnet-demo-*")) == []
