"""Reading Linux's ``/proc/self/mountinfo``."""

from __future__ import annotations

import re
from typing import NamedTuple

_OCTAL = re.compile(r"\\([0-7]{3})")


class Mount(NamedTuple):
    """One mounted file system; ``device_number`` is ``major:minor``, ``root`` the part shown."""

    device_number: str
    root: str
    mount_point: str
    options: frozenset[str]
    file_system: str
    source: str
    super_options: frozenset[str]

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written there."""
        return "ro" in self.options or "ro" in self.super_options


def parse_mountinfo(text: str) -> list[Mount]:
    """Return the mounts in the order of the file; lines of another form are left out.

    Format: proc(5), /proc/pid/mountinfo.
    """
    mounts = []
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if not separator or len(fields) < 6 or len(described) < 2:
            continue
        mounts.append(
            Mount(
                device_number=fields[2],
                root=_unescape(fields[3]),
                mount_point=_unescape(fields[4]),
                options=frozenset(fields[5].split(",")),
                file_system=described[0],
                source=_unescape(described[1]),
                super_options=frozenset(described[2].split(",") if len(described) > 2 else ()),
            )
        )
    return mounts


def _unescape(text: str) -> str:
    """Undo the kernel's octal escapes of blanks, in bytes: names need not be ASCII."""
    return _OCTAL.sub(lambda match: chr(int(match.group(1), 8)), text)
