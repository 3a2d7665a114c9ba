"""Linux's inotify, as far as watching directories needs it: see inotify(7)."""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterator

from buildnet.node.watch.dirty import Event, Happened

_MODIFY, _ATTRIB, _CLOSE_WRITE = 0x2, 0x4, 0x8
_MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x40, 0x80, 0x100, 0x200
_DELETE_SELF, _MOVE_SELF = 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW = 0x1000000, 0x2000000

_CAME_OR_WENT = _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE
_GONE = _DELETE_SELF | _MOVE_SELF | _UNMOUNT
_CHANGED = _MODIFY | _ATTRIB | _CLOSE_WRITE
_DIRECTORY = _CHANGED | _CAME_OR_WENT | _DELETE_SELF | _MOVE_SELF | _ONLYDIR | _DONT_FOLLOW
_NEW_FILES = _CREATE | _ONLYDIR
_HEAD = struct.Struct("iIII")  # watch, mask, cookie, length of the name
_READ_BYTES = 1 << 16


class Inotify:
    """One inotify instance; to be closed.

    Raises:
        OSError: EMFILE, the user has as many instances as allowed; ENOSYS, this is no Linux.
    """

    def __init__(self) -> None:
        library = ctypes.CDLL(None, use_errno=True)
        try:
            begin = library.inotify_init1
        except AttributeError:
            raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
        self._add = library.inotify_add_watch
        self._remove = library.inotify_rm_watch
        self._add.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32)
        self.descriptor: int = _checked(begin(os.O_CLOEXEC | os.O_NONBLOCK))

    def watch(self, path: str) -> int:
        """Watch a directory's entries; return the watch's number, the same for the same inode.

        Raises:
            OSError: ENOSPC, the limit of watches is reached; ENOENT; ENOTDIR, also for a link.
        """
        return self._watch(path, _DIRECTORY)

    def watch_new_files(self, path: str) -> int:
        """Watch a directory for files that are made in it, nothing else."""
        return self._watch(path, _NEW_FILES)

    def _watch(self, path: str, mask: int) -> int:
        return _checked(self._add(self.descriptor, os.fsencode(path), mask), path)

    def end(self, watch: int) -> None:
        """End a watch; one that ended by itself is no error."""
        self._remove(self.descriptor, watch)

    def read(self) -> list[Event]:
        """Return all events that wait now, in the order in which they happened."""
        events: list[Event] = []
        while True:
            try:
                data = os.read(self.descriptor, _READ_BYTES)
            except BlockingIOError:
                return events
            events += _parsed(data)

    def close(self) -> None:
        """Close it; all watches end."""
        os.close(self.descriptor)


def _checked(result: int, path: str | None = None) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return result


def _parsed(data: bytes) -> Iterator[Event]:
    at = 0
    while at < len(data):
        watch, mask, _, length = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        name = os.fsdecode(data[at : at + length].rstrip(b"\0")) if length else ""
        at += length
        yield Event(watch, _happened(mask, name), name)


def _happened(mask: int, name: str) -> Happened:
    if mask & _Q_OVERFLOW:
        return Happened.OVERFLOW
    if mask & _IGNORED:
        return Happened.ENDED
    if mask & _GONE:
        return Happened.GONE
    if mask & _CAME_OR_WENT:
        return Happened.CAME_OR_WENT
    return Happened.CHANGED if name else Happened.ITSELF
