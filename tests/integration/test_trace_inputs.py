"""``build --trace-inputs``: what commands read undeclared is told, and proposed for the file."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, write_files

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

_SCRIPT = """\
set -e
cat ../base.txt ../lib/dist/lib.txt > out.txt
echo "$MODE" >> out.txt
"""
_DEFINITION = """\
workspace: traced
packages:
  - name: lib
    path: lib
    build_cmd: mkdir -p dist && cat in.txt > dist/lib.txt
    sources: [lib/in.txt]
    output_dir: lib/dist
  - name: app
    path: app
    build_cmd: sh build.sh
    sources: [app/build.sh, app/unused.txt]
    outputs: [app/out.txt]
"""


def test_what_is_proposed_makes_the_build_succeed(node: CommandLine, tmp_path: Path) -> None:
    node.environment["MODE"] = "fast"
    root = write_files(
        tmp_path / "w",
        {
            "buildnet.yaml": _DEFINITION,
            "lib/in.txt": "from lib\n",
            "base.txt": "from the root\n",
            "app/build.sh": _SCRIPT,
            "app/unused.txt": "",
        },
    )
    assert node.build(root, code=1)["status"] == "failed"  # the sandbox has no base.txt
    # Which of the two runs first is not known as long as app does not say that it needs lib.
    report = node("build", "--trace-inputs", "--keep-going", "--json", cwd=root).data
    packages = {each["name"]: each for each in report["packages"]}
    assert packages["lib"]["traced"]["undeclared"] == []
    traced = packages["app"]["traced"]
    assert traced["undeclared"] == ["base.txt", "lib/dist/lib.txt"]
    assert traced["unread"] == ["app/unused.txt"]
    assert traced["host"] == []
    assert traced["proposal"] == {
        "dependencies": ["lib"],
        "extra_sources": ["base.txt"],
        "env_inherit": ["MODE"],
    }
    added = "    dependencies: [lib]\n    extra_sources: [base.txt]\n    env_inherit: [MODE]\n"
    (root / "buildnet.yaml").write_text(_DEFINITION + added)
    built = node.build(root)
    # What ran where the workspace stands is no result of a sandbox.
    assert {each["tier"] for each in built["packages"]} <= {"full", "local-cache", "hash-skip"}
    assert (root / "app" / "out.txt").read_text() == "from the root\nfrom lib\nfast\n"
    clean = node.build(root, "--trace-inputs")
    assert [each["traced"]["proposal"] for each in clean["packages"]] == [{}, {}]
    shown = node("build", "--trace-inputs", cwd=root)
    assert "reads nothing but what it declares" in shown.out
    assert "declares, and did not read this time" in shown.out
