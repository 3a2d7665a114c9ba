"""Which file systems a directory and what is below it lie on, and when that changes."""

from __future__ import annotations

import os
import re
import select
from dataclasses import dataclass

_TABLE = "/proc/self/mountinfo"
_ESCAPE = re.compile(rb"\\([0-7]{3})")
TELLING = frozenset(
    "bcachefs btrfs ext2 ext3 ext4 f2fs jfs nilfs2 overlay ramfs reiserfs tmpfs xfs zfs".split()
)
"""File systems all of whose changes are made, and so told, by this host's kernel."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the table: ``number`` is new with each mounting."""

    number: int
    path: str
    kind: str


@dataclass(frozen=True, slots=True)
class MountsAround:
    """What a directory lies on, nearest last, and what is mounted below it."""

    above: tuple[Mount, ...]
    below: tuple[Mount, ...]

    @property
    def kind(self) -> str:
        """The kind of file system that the directory itself lies on."""
        return self.above[-1].kind if self.above else "unknown"

    def tells(self, path: str) -> bool:
        """Whether changes of what lies at ``path``, the directory or below it, are told."""
        nearest = max(
            (one for one in self.below if _is_below(path, one.path)),
            key=lambda one: (len(one.path), one.number),
            default=None,
        )
        return (self.kind if nearest is None else nearest.kind) in TELLING


class MountTable:
    """The host's table of mounts as this process sees it; to be closed.

    Raises:
        OSError: there is none.
    """

    def __init__(self) -> None:
        self._descriptor = os.open(_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLPRI)

    def changed(self) -> bool:
        """Whether anything was mounted or unmounted anywhere since the last call."""
        return bool(self._poll.poll(0))

    def around(self, directory: str) -> MountsAround:
        """Return what concerns ``directory``, an absolute path without symbolic links."""
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        parts = []
        while part := os.read(self._descriptor, 1 << 16):
            parts.append(part)
        return around(b"".join(parts), directory)

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


def around(table: bytes, directory: str) -> MountsAround:
    """Read the text of a ``mountinfo``, see proc(5)."""
    above: list[Mount] = []
    below: list[Mount] = []
    for line in table.splitlines():
        fields, _, rest = line.partition(b" - ")
        number, _, _, _, place, *_ = fields.split(b" ")
        path = os.fsdecode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), place))
        mount = Mount(int(number), path, rest.split(b" ")[0].decode())
        if _is_below(directory, path):
            above.append(mount)
        elif _is_below(path, directory):
            below.append(mount)
    # Of those at one place the one that was mounted last lies on top; the table is in that order.
    above.sort(key=lambda one: len(one.path))
    return MountsAround(tuple(above), tuple(below))


def _is_below(path: str, directory: str) -> bool:
    return directory == "/" or path == directory or path.startswith(directory + "/")
