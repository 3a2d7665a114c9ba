"""Edits of a random workspace on the disk, which is a git repository."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

from testbed.workspaces import Definition, write_definition
from testbed.workspaces_edits import OUTSIDE, Edit, new_text, source_path


def prepare(root: Path, definition: Definition, numbers: random.Random) -> None:
    """Write a workspace with some sources, and make it a git repository with one commit."""
    for package in definition["packages"]:
        (root / package["path"] / "src").mkdir(parents=True)
    write_definition(root, definition)
    for package in definition["packages"]:
        for _ in range(numbers.randint(2, 5)):
            _write(root, source_path(numbers, package["path"]), new_text(numbers), "replace")
        _write(root, f"{package['path']}/src/deep/d.c", new_text(numbers), "replace")
    for number in range(3):
        _write(root, f"shared/s{number}.txt", new_text(numbers), "replace")
    _write(root, "../outside/o1", "outside", "replace")
    _git(root, "init", "-q", "-b", "b0")
    _git(root, "config", "user.email", "random@example.org")
    _git(root, "config", "user.name", "random")
    _commit(root)


def apply_to_disk(root: Path, edit: Edit) -> bool:
    """Apply an edit of files; False: it does not fit what stands there now, or is of no files."""
    kind, *arguments = edit
    try:
        match kind:
            case "write":
                _write(root, *arguments)
            case "delete":
                _remove(root / arguments[0])
            case "mode":
                (root / arguments[0]).chmod(arguments[1])
            case "touch":
                path, seconds = arguments
                dates = None if seconds is None else (seconds, seconds)
                os.utime(root / path, dates, follow_symlinks=False)
            case "move":
                _move(root / arguments[0], root / arguments[1])
            case "swap":
                _swap(root / arguments[0], root / arguments[1])
            case "link":
                to = str(root.parent / "outside") + "/"
                _link(root / arguments[0], arguments[1].replace(OUTSIDE, to))
            case "hard link":
                _remove(root / arguments[1])
                os.link(root / arguments[0], root / arguments[1], follow_symlinks=False)
            case "turn":
                _turn(root / arguments[0])
            case "define":
                write_definition(root, arguments[0])
            case "commit":
                _commit(root)
            case "branch":
                _git(root, "checkout", "-q", "-b", arguments[0])
            case "switch":
                _commit(root)
                _git(root, "checkout", "-q", "-f", arguments[0])
            case _:
                return False
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _write(root: Path, path: str, text: str, how: str) -> None:
    place = root / path
    place.parent.mkdir(parents=True, exist_ok=True)
    before = place.stat() if place.exists() else None
    if how.startswith("replace"):
        new = place.with_name(f".new-{place.name}")
        new.write_text(text)
        if before is not None:
            new.chmod(before.st_mode & 0o777)
        if "dated" in how and before is not None:
            os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
        try:
            new.replace(place)
        except OSError:
            new.unlink()
            raise
        return
    with place.open("a" if how == "append" else "r+" if before is not None else "w") as file:
        file.write(text)
        if how != "append":
            file.truncate()
    if "dated" in how and before is not None:
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))


def _remove(place: Path) -> None:
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    else:
        place.unlink(missing_ok=True)


def _move(place: Path, to: Path) -> None:
    place.lstat()
    to.parent.mkdir(parents=True, exist_ok=True)
    if place.is_dir() and not place.is_symlink():
        _remove(to)
    elif to.is_dir() and not to.is_symlink():
        raise IsADirectoryError
    place.rename(to)


def _swap(one: Path, other: Path) -> None:
    between = one.with_name(".swapped")
    one.lstat()
    other.lstat()
    one.rename(between)
    other.rename(one)
    between.rename(other)


def _link(place: Path, target: str) -> None:
    if place.is_dir() and not place.is_symlink() and "/dist" not in str(place):
        raise IsADirectoryError
    place.parent.mkdir(parents=True, exist_ok=True)
    _remove(place)
    place.symlink_to(target)


def _turn(place: Path) -> None:
    was_directory = place.is_dir() and not place.is_symlink()
    place.lstat()
    _remove(place)
    if was_directory:
        place.write_text("turned")
    else:
        place.mkdir()
        (place / "extra").write_text("turned")


def _commit(root: Path) -> None:
    made = [f":(exclude,glob)**/{name}" for name in ("dist/**", "gen/**", "opt/**")]
    made += [f":(exclude,glob)**/{name}" for name in ("out.txt", "check.txt", "dist", "gen", "opt")]
    _git(root, "add", "-A", "--", ".", *made)
    with suppress(subprocess.CalledProcessError):  # nothing to commit
        _git(root, "commit", "-q", "-m", "edited")


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "gc.auto=0", "-c", "core.fsync=none", *arguments],
        cwd=root,
        env={"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "LANG": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
