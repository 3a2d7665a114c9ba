"""Where the facts about a host stand: its root directory and which system it runs."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

from buildnet.pool.resources import OperatingSystem


@dataclass(frozen=True, slots=True)
class HostFiles:
    """The host's files below ``root``; tests pass a tree of their own, everyone else ``/``."""

    root: Path = Path("/")

    def path(self, absolute: str | PurePath) -> Path:
        """Return where the host's file ``absolute`` stands below the root."""
        return self.root / str(absolute).lstrip("/")

    def read(self, absolute: str | PurePath) -> str | None:
        """Return the text of a small file, stripped, or None if it cannot be read."""
        try:
            return self.path(absolute).read_text("utf-8", "replace").strip()
        except OSError:
            # sysfs answers EINVAL for values that a device does not have.
            return None

    def read_int(self, absolute: str | PurePath) -> int | None:
        """Return the whole number that a file holds, or None."""
        text = self.read(absolute)
        try:
            return int(text) if text else None
        except ValueError:
            return None


def operating_system(host: HostFiles) -> OperatingSystem:
    """Return what the host runs, for example linux, "Debian GNU/Linux 12 (bookworm)", 6.1.0-18."""
    if sys.platform == "darwin":
        return OperatingSystem(
            name="macos", version=platform.mac_ver()[0] or None, kernel=platform.release()
        )
    text = host.read("/etc/os-release") or host.read("/usr/lib/os-release") or ""
    version = parse_os_release(text)
    return OperatingSystem(name="linux", version=version, kernel=platform.release())


def parse_os_release(text: str) -> str | None:
    """Return the PRETTY_NAME of an os-release file."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "PRETTY_NAME":
            return value.strip().strip("\"'") or None
    return None
