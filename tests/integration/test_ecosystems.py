"""Workspaces of other tools, built without a file or taken over into one."""

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


def test_what_turbo_says_is_taken_over(node: CommandLine, tmp_path: Path) -> None:
    scripts = '{"name": "core", "scripts": {"build": "true", "lint": "true", "dev": "true"}}'
    tasks = '"build": {"outputs": ["dist/**"]}, "lint": {},\n"dev": {"persistent": true}'
    root = write_files(
        tmp_path / "w",
        {
            "package.json": '{"name": "shop", "workspaces": ["packages/*"]}',
            "turbo.json": f'{{"tasks": {{{tasks}}}}}',
            "packages/core/package.json": scripts,
        },
    )
    shown = node("init", "--from", "turbo", "--dry-run", cwd=root / "packages/core")
    assert shown.code == 0, shown.err
    assert "outputs: [packages/core/dist/**]" in shown.out
    assert not (root / "buildnet.yaml").exists()
    written = node("init", "--from", "turbo", "--yes", cwd=root)
    assert "turbo.json:2: dev does not end by itself" in written.err
    assert (root / "buildnet.yaml").read_text() == shown.out
    again = node("init", "--from", "turbo", "--yes", cwd=root)
    assert again.code == 2
    assert "exists already" in again.err
    missing = node("init", "--from", "nx", "--dry-run", "--json", cwd=root)
    assert missing.code == 2
    assert "has no nx.json" in missing.out + missing.err
