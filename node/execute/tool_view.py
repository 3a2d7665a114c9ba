"""Which of the host's directories a command in ``strict`` has to see for the tools on its PATH.

The system's directories are part of every sandbox. A tool that lies elsewhere, in a home directory
say, is shown with what was installed with it and nothing beside it.
"""

from __future__ import annotations

import functools
import os
from pathlib import Path

from buildnet.node.execute.launcher.places import TOOLS

_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/nix/store", "/gnu/store")
_PROGRAMS = frozenset({"bin", "sbin", "libexec", "Scripts"})
_LINKS_AT_MOST = 200


@functools.lru_cache(maxsize=256)
def tool_view(search_path: str, hidden: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Return PATH as it is to be in the sandbox, and what has to be shown there: (path, place).

    A folder of links below ``hidden``, the node's own directory, is shown as ``/tools``; nothing
    else of it ever is.
    """
    private = Path(os.path.realpath(hidden))
    entries: list[str] = []
    binds: dict[str, str] = {}
    for entry in search_path.split(os.pathsep):
        real = Path(os.path.realpath(entry))
        if _is_below(entry, _SYSTEM) or not real.is_dir():
            entries.append(entry)
            continue
        if private in real.parents:
            place = TOOLS if TOOLS not in entries else f"{TOOLS}{len(entries)}"
            binds[str(real)] = place
        else:
            place = entry
            shown = _installation(real / "any", private)
            if not shown.is_dir():
                continue  # a home directory or the node's own: nothing there may be shown
            binds[str(shown)] = str(shown)
            if str(real) != entry:
                binds[str(real)] = entry
        entries.append(place)
        for target in _targets(real):
            shown = _installation(target, private)
            if not _is_below(str(target), _SYSTEM):
                binds[str(shown)] = str(shown)
    return os.pathsep.join(entries), tuple(sorted(binds.items(), key=lambda bind: bind[1]))


def _targets(folder: Path) -> list[Path]:
    """Return what the links in a folder lead to in the end, outside of it."""
    found: list[Path] = []
    for name in sorted(os.listdir(folder))[:_LINKS_AT_MOST]:
        if (folder / name).is_symlink():
            target = Path(os.path.realpath(folder / name))
            if target.exists() and folder not in target.parents:
                found.append(target)
    return found


def _installation(program: Path, private: Path) -> Path:
    """Return the directory that a program was installed to, as small as it can be told."""
    folder = program.parent
    home = Path(os.path.realpath(Path.home()))
    if folder.name in _PROGRAMS:
        whole = folder.parent
        # A directory right in the home (~/.local, ~/.cargo) holds more than one installation.
        secret = _holds(whole, home) or _holds(whole, private) or whole.parent == home
        if not secret:
            return whole
    if _holds(folder, home) or _holds(folder, private):
        return program
    return folder


def _holds(directory: Path, inside: Path) -> bool:
    return directory == inside or directory in inside.parents


def _is_below(path: str, directories: tuple[str, ...]) -> bool:
    return any(path == one or path.startswith(one + "/") for one in directories)
