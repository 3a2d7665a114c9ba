"""What about this host decides the results of actions: system, architecture, libc, release."""

from __future__ import annotations

import functools
import platform
import sys


@functools.cache
def platform_properties() -> dict[str, str]:
    """Return the platform properties of actions that run here.

    ``OSFamily`` and ``ISA`` are the names the Remote Execution API recommends.
    """
    machine = platform.machine().lower()
    properties = {
        "OSFamily": "macos" if sys.platform == "darwin" else "linux",
        "ISA": {"x86_64": "x86-64", "amd64": "x86-64", "arm64": "aarch64"}.get(machine, machine),
    }
    if sys.platform == "darwin":
        properties["release"] = f"macos {platform.mac_ver()[0]}"
    else:
        libc, version = platform.libc_ver()
        properties["libc"] = f"{libc or 'unknown'} {version}".strip()
        properties["release"] = _distribution()
    return properties


def _distribution() -> str:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "unknown"
    return f"{release['ID']} {release.get('VERSION_ID', '')}".strip()
