"""Files that start another program, and when a program's remembered answers are out of date."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from buildnet.node.scan.catalogue import FoundProgram

# Version managers: a shim's own file does not change when another version is chosen. What does
# change, relative to the home directory or to the variable's directory, stands beside the name.
_SETTINGS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    "pyenv": ("PYENV_ROOT", ".pyenv", ("version", "versions", "shims")),
    "rbenv": ("RBENV_ROOT", ".rbenv", ("version", "versions", "shims")),
    "nodenv": ("NODENV_ROOT", ".nodenv", ("version", "versions", "shims")),
    "asdf": ("ASDF_DATA_DIR", ".asdf", ("installs", "shims", "../.tool-versions")),
    "volta": ("VOLTA_HOME", ".volta", ("tools/user/platform.json", "tools/image")),
    "rustup": ("RUSTUP_HOME", ".rustup", ("settings.toml", "toolchains", "update-hashes")),
}
_TELLING = {
    "python": ("-c", "import sys; print(sys.executable)"),
    "python3": ("-c", "import sys; print(sys.executable)"),
    "node": ("-p", "process.execPath"),
}
_SHIM_NAMES = frozenset({"rustup", "volta-shim", "volta", "mise", "asdf", "jenv", "proto"})
_SHIM_DIRECTORIES = frozenset({"shims", "shim"})

Stamp = tuple[int, int]


class FileState(NamedTuple):
    """What answers are remembered under: any change of it means to ask again.

    ``binary`` is part of it because one file may be several programs by the name it is called.
    """

    binary: str
    real_path: str
    stamp: Stamp
    settings: tuple[Stamp | None, ...]


def is_shim(path: str, real_path: str) -> bool:
    """Return whether a file only chooses which other program to start."""
    return Path(real_path).name in _SHIM_NAMES or not _SHIM_DIRECTORIES.isdisjoint(
        (*Path(path).parts, *Path(real_path).parts)
    )


def program_behind(
    command: str, path: str, real_path: str, said_by: Callable[[list[str]], bytes]
) -> str | None:
    """Return the program that a shim would start as ``command``, or None.

    Runtimes tell it themselves, of other programs the version manager: all have ``which``.
    """
    if command in _TELLING:
        asked = [[path, *_TELLING[command]]]
    else:
        parts = {part.lstrip(".") for part in (*Path(path).parts, *Path(real_path).parts)}
        managers = [one for one in ("mise", *_SETTINGS) if one in parts]
        asked = [[one, "which", command] for one in managers]
        asked += [[real_path, "which", command]] if Path(real_path).name in _SHIM_NAMES else []
    for words in asked:
        said = os.fsdecode(said_by(words).strip())
        if said.startswith("/") and "\n" not in said and os.access(said, os.X_OK):
            return said
    return None


def file_state(candidate: FoundProgram) -> FileState | None:
    """Return the state of a program's file; None if nothing may be remembered about it."""
    real_path = os.path.realpath(candidate.path)
    stamp = _stamp(Path(real_path))
    if stamp is None:
        return None
    settings: tuple[Stamp | None, ...] = ()
    if is_shim(candidate.path, real_path):
        places = _settings(candidate.path, real_path)
        if not places:
            return None
        settings = tuple(_stamp(place) for place in places)
    return FileState(candidate.binary, real_path, stamp, settings)


def _settings(path: str, real_path: str) -> list[Path]:
    parts = {part.lstrip(".") for part in (*Path(path).parts, *Path(real_path).parts)}
    for manager, (variable, usual, names) in _SETTINGS.items():
        if manager in parts:
            root = Path(os.environ.get(variable) or Path.home() / usual)
            return [root / name for name in names]
    return []


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
