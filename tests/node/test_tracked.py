"""Outputs that would replace what git tracks are found, wherever below them it lies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.tracked import TrackedFiles, TrackedOutputError

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="needs git")

FILES = ("dist/deep/down.js", "lib/node_modules/x.js", "gen/a.js", "gen/deep/b.js", "one.txt")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_files(tmp_path, dict.fromkeys(FILES, ""))
    for arguments in (["init", "-q"], ["add", "-f", "."]):
        subprocess.run(["git", "-C", str(tmp_path), *arguments], check=True)
    write_files(tmp_path, {"made/by/a/build.js": "", "gen/a.map": ""})
    return tmp_path


@pytest.mark.parametrize(
    ("output", "tracked"),
    [
        ("dist", "dist/deep/down.js"),
        ("dist/**", "dist/deep/down.js"),
        ("dist/deep", "dist/deep/down.js"),
        ("lib/**", "lib/node_modules/x.js"),
        ("one.txt", "one.txt"),
        ("gen/*.js", "gen/a.js"),
        ("gen/**/b.js", "gen/deep/b.js"),
        ("gen/*.map", None),
        ("made", None),
        ("made/**", None),
        ("dis", None),
        ("gen/*.ts", None),
    ],
)
def test_an_output_over_tracked_files_is_refused(
    root: Path, output: str, tracked: str | None
) -> None:
    files = TrackedFiles(root, [output, "made"])
    files.require_none(("made",))
    if tracked is None:
        files.require_none((output,))
    else:
        with pytest.raises(TrackedOutputError, match=f"{tracked}, which git tracks"):
            files.require_none((output,))


def test_without_git_nothing_is_tracked(tmp_path: Path) -> None:
    write_files(tmp_path, {"dist/a": ""})
    TrackedFiles(tmp_path, ["dist"]).require_none(("dist",))
