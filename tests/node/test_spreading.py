"""Directories whose subdirectories lie apart on the disk."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildnet.node.store.blobs import BlobFiles
from buildnet.node.store.spreading import spread_below


def flags(directory: Path) -> str:
    if shutil.which("lsattr") is None:
        pytest.skip("lsattr is not there")
    done = subprocess.run(["lsattr", "-d", directory], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip("this file system has no such flags")
    return done.stdout.split()[0]


def test_a_directory_is_flagged_and_keeps_its_other_flags(tmp_path: Path) -> None:
    before = flags(tmp_path)
    spread_below(str(tmp_path))
    now = flags(tmp_path)
    if "T" not in now:
        pytest.skip("this file system does not know the flag")
    assert now.replace("T", "-") == before.replace("T", "-")
    spread_below(str(tmp_path))
    assert flags(tmp_path) == now


def test_where_there_is_no_such_flag_nothing_happens() -> None:
    spread_below("/proc")


def test_blobs_are_written_in_more_than_one_directory(tmp_path: Path) -> None:
    files = BlobFiles(tmp_path)
    files.prepare()
    written = [Path(files.write(b"content")) for _ in range(32)]
    assert len({path.parent for path in written}) > 8
    assert all(path.parent.parent == tmp_path / "tmp" for path in written)
    files.clear_temporary()
    assert list((tmp_path / "tmp").iterdir()) == []
    assert Path(files.write(b"content")).read_bytes() == b"content"
