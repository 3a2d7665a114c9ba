"""What about this host decides the results of actions: system, architecture, libc, release."""

from __future__ import annotations

import functools
import os
import platform
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from buildnet.node.scan.detect import default_search_path
from buildnet.node.scan.probe import Prober
from buildnet.pool.wanted_platform import ARCHITECTURES

_RELEASE_FILES = ("/etc/os-release", "/usr/lib/os-release")
_LIBC_FILE = re.compile(r"\s(/\S*/(?:libc\.so\.6|libc-[\d.]+\.so|ld-musl-\S+\.so\.1))")
_TIMEOUT_S = 10.0

Stamp = tuple[int, int, int] | None


def platform_properties() -> Mapping[str, str]:
    """Return the platform properties of actions that run here, as they are now: a system may be
    upgraded while the node runs.

    ``OSFamily`` and ``ISA`` are the names the Remote Execution API recommends.
    """
    return _properties(tuple(_stamp(path) for path in (*_RELEASE_FILES, *_libc_files())))


@functools.lru_cache(maxsize=1)
def _properties(stamps: tuple[Stamp, ...]) -> Mapping[str, str]:
    machine = platform.machine().lower()
    properties = {
        "OSFamily": "macos" if sys.platform == "darwin" else "linux",
        "ISA": ARCHITECTURES.get(machine, machine),
    }
    if sys.platform == "darwin":
        properties["release"] = f"macos {platform.mac_ver()[0]}"
    else:
        properties["libc"] = _libc()
        properties["release"] = _distribution()
    return properties


@functools.cache
def _libc_files() -> tuple[str, ...]:
    """Return where the C library lies that this process runs with."""
    try:
        return tuple(dict.fromkeys(_LIBC_FILE.findall(Path("/proc/self/maps").read_text())))
    except OSError:
        return ()


def _libc() -> str:
    # A process of its own: this one goes on with the library that it was started with.
    for path in _libc_files():
        if "ld-musl" in path:
            version = re.search(r"Version (\S+)", _said_by(path))
            return f"musl {version[1]}" if version else "musl"
    said = _said_by("getconf", "GNU_LIBC_VERSION").strip()
    if re.fullmatch(r"glibc [\d.]+", said):
        return said
    libc, version_here = platform.libc_ver()
    return f"{libc or 'unknown'} {version_here}".strip()


def _distribution() -> str:
    for path in _RELEASE_FILES:  # not the platform module's: it remembers its first answer
        try:
            text = Path(path).read_text(errors="replace")
        except OSError:
            continue
        values = dict(re.findall(r"^(ID|VERSION_ID)=[\"']?([^\"'\n]*)", text, re.MULTILINE))
        return f"{values.get('ID', 'linux')} {values.get('VERSION_ID', '')}".strip()
    return "unknown"


def _stamp(path: str) -> Stamp:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _said_by(*command: str) -> str:
    return Prober.of_process(default_search_path()).run(command, timeout_s=_TIMEOUT_S).output
