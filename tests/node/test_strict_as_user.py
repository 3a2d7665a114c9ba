"""The sandbox of an ordinary user: tried as nobody where the tests run as root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import buildnet

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0,
    reason="everything is tried as an ordinary user already, or there are no namespaces",
)

NOBODY = 65534
SCRIPT = """
import sys
from pathlib import Path
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.isolation import IsolationProbe
from buildnet.node.execute.launched import run_launched
from buildnet.node.execute.launcher.client import LaunchRequest, StrictView
import io, os
work = Path(sys.argv[1])
probe = IsolationProbe(work)
found = probe.result()
print(found.level, found.overlay, found.launcher and found.launcher.way, found.reason)
if found.launcher is not None:
    stage = work / "stage"
    for name in ("root", "home", "tmp"):
        (stage / name).mkdir(parents=True)
    (stage / "root" / "in").write_text("input")
    log = io.BytesIO()
    command = "cat in; echo x > out; echo; id -u; cat " + sys.argv[2] + "; ls " + str(work)
    outcome = run_launched(
        found.launcher,
        LaunchRequest(["/bin/sh", "-c", command], "/build", {"PATH": "/usr/bin:/bin"},
                      StrictView(stage, network=False)),
        timeout_s=60, on_output=lambda chunk: None, cancel=CancelToken(), log=log,
        output_limit_bytes=10000,
    )
    print(log.getvalue().decode())
    print((stage / "root" / "out").read_text(), (stage / "root" / "out").stat().st_uid)
probe.close()
"""


def test_an_ordinary_user_has_a_sandbox_too(tmp_path: Path) -> None:
    """In an interpreter of the system, for this one may lie in root's home."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    if python is None:
        pytest.skip("needs the system's Python")
    work = Path("/tmp") / f"buildnet-nobody-{os.getpid()}"
    work.mkdir(mode=0o755)
    os.chown(work, NOBODY, NOBODY)
    secret = work / "secret"
    secret.write_text("the secret")
    packages = [path for path in sys.path if path.endswith("site-packages")]
    try:
        ran = subprocess.run(
            [python, "-c", SCRIPT, work, secret],
            env={
                "PYTHONPATH": os.pathsep.join([str(Path(buildnet.__file__).parents[1]), *packages])
            },
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    finally:
        shutil.rmtree(work)
    if "ModuleNotFoundError" in ran.stderr or "PermissionError" in ran.stderr:
        pytest.skip("what the node needs can't be read by nobody here")
    lines = ran.stdout.split("\n")
    if lines[0].startswith("staged"):
        pytest.skip(f"the host forbids it: {lines[0]}")
    assert lines[0] == "strict True user namespace None", ran.stderr
    assert lines[1:3] == ["input", "65533"]
    assert "the secret" not in ran.stdout
    assert lines[-3:-1] == ["x", f" {NOBODY}"]
