"""Which files git tracks, of repositories that nobody has to trust."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.pool.git_files import tracked_files

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")


def test_the_files_of_the_index_are_told_and_no_monitor_of_the_repository_runs(
    tmp_path: Path,
) -> None:
    root, ran = tmp_path / "root", tmp_path / "ran"
    root.mkdir()
    write_files(root, {"one.txt": "", "a b/\u00fc\n.txt": ""})
    monitor = ["config", "core.fsmonitor", f"touch {ran}"]
    for arguments in (["init", "-q"], ["add", "-f", "."], monitor):
        subprocess.run(["git", "-C", str(root), *arguments], check=True)
    write_files(root, {"two.txt": ""})
    assert sorted(tracked_files(root)) == ["a b/\u00fc\n.txt", "one.txt"]
    assert not ran.exists()


def test_where_no_repository_is_nothing_is_tracked(tmp_path: Path) -> None:
    assert tracked_files(tmp_path) == []
    assert tracked_files(tmp_path / "missing") == []
