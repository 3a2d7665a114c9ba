"""Asking macOS: sysctl, system_profiler, diskutil, xcode-select."""

from __future__ import annotations

import json
import plistlib
import sys
from typing import Any

from buildnet.node.scan.probe import Prober

IS_MACOS = sys.platform == "darwin"


def sysctl(prober: Prober, *names: str) -> dict[str, str]:
    """Return the kernel's values by name (``hw``, ``machdep.cpu`` name whole branches)."""
    return parse_sysctl(prober.run(["/usr/sbin/sysctl", *names]).output)


def parse_sysctl(text: str) -> dict[str, str]:
    """Read lines such as ``hw.physicalcpu: 8``."""
    values = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if colon and " " not in name:
            values[name] = value.strip()
    return values


def profile(prober: Prober, data_type: str) -> list[dict[str, Any]]:
    """Return the items of one system_profiler data type, for example ``SPDisplaysDataType``."""
    outcome = prober.run(
        ["/usr/sbin/system_profiler", "-json", "-detailLevel", "mini", data_type],
        timeout_s=10,
        merge_stderr=False,
    )
    return parse_profile(outcome.output, data_type)


def parse_profile(text: str, data_type: str) -> list[dict[str, Any]]:
    """Read system_profiler's JSON; a strange answer is an empty list."""
    try:
        items = json.loads(text)[data_type]
    except (ValueError, KeyError, TypeError):
        return []
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def disk_information(prober: Prober, device_or_path: str) -> dict[str, Any]:
    """Return what ``diskutil info`` tells about a disk or a mount point."""
    outcome = prober.run(
        ["/usr/sbin/diskutil", "info", "-plist", device_or_path], merge_stderr=False
    )
    return parse_plist(outcome.output)


def parse_plist(text: str) -> dict[str, Any]:
    """Read a property list; a strange one is empty."""
    try:
        value = plistlib.loads(text.encode())
    except Exception as error:  # plistlib lets errors of expat, of numbers and of dates through
        if isinstance(error, MemoryError):
            raise
        return {}
    return value if isinstance(value, dict) else {}


def developer_tools_installed(prober: Prober) -> bool:
    """Return whether ``/usr/bin/cc`` and the like are real; if not, they open a dialog."""
    return prober.run(["/usr/bin/xcode-select", "-p"]).succeeded
