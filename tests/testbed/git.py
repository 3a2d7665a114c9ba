"""Git repositories of tests, made by a git that nobody configured."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from buildnet.cli.testing import write_files

_AS = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"} | {
    f"GIT_{who}_{what}": "x@example.com"
    for who in ("AUTHOR", "COMMITTER")
    for what in ("NAME", "EMAIL")
}


def git(root: Path, *arguments: str) -> str:
    """Run a command in ``root``; return what it printed."""
    command = ["git", "-c", "protocol.file.allow=always", "-C", str(root), *arguments]
    done = subprocess.run(
        command, check=True, env={**os.environ, **_AS}, capture_output=True, text=True
    )
    return done.stdout


def commit(root: Path) -> None:
    """Commit all that there is."""
    git(root, "add", "-A")
    git(root, "commit", "-qm", "more")


def repository(root: Path, files: dict[str, str]) -> Path:
    """Make a repository whose branch ``main`` holds ``files``; return it."""
    write_files(root, files)
    git(root, "init", "-qb", "main")
    commit(root)
    return root
