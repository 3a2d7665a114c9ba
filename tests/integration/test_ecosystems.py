"""Workspaces of Cargo, Go and uv built without a file, as they are on a developer's machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, tiers
from testbed.ecosystems import CARGO, GO, UV, write_files

TOOLCHAINS = Path("~/.rustup").expanduser()  # where the home is the user's own


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(tool) is None, reason=f"there is no {tool}")


@needs("cargo")
def test_a_cargo_workspace_is_built_and_tested(equipped: CommandLine, tmp_path: Path) -> None:
    if (TOOLCHAINS / "toolchains").is_dir():
        equipped.environment.setdefault("RUSTUP_HOME", str(TOOLCHAINS))
    root = write_files(tmp_path / "w", CARGO)
    equipped.build(root)
    assert subprocess.check_output([root / "target/debug/app"]) == b"42\n"
    equipped.build(root, "core-lib", "--task", "test")
    (root / "crates/checks/src/lib.rs").write_text("pub fn y() -> i32 { 0 }")
    after = tiers(equipped.build(root))
    assert (after["app"], after["checks"]) == ("instant-skip", "full")  # app is not made of checks
    equipped.build(root, "core-lib", "--task", "test", code=1)


@needs("go")
def test_a_go_workspace_is_built(equipped: CommandLine, tmp_path: Path) -> None:
    root = write_files(tmp_path / "w", GO)
    equipped.build(root, "example.org/app")
    done = subprocess.run([root / "app/bin/app"], capture_output=True, check=True)
    assert done.stderr == b"42\n"


@needs("uv")
def test_a_uv_workspace_is_built(equipped: CommandLine, tmp_path: Path) -> None:
    root = write_files(tmp_path / "w", {name: UV[name] for name in UV if "web" not in name})
    equipped.build(root)
    assert {*os.listdir(root / "packages/core/dist")} >= {
        "shop_core-0.1.0-py3-none-any.whl", "shop_core-0.1.0.tar.gz",
    }  # fmt: skip
