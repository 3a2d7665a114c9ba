"""Directories whose subdirectories ext4 puts into different parts of the disk.

Ext4 makes a file in the same group of inodes as its directory. Without a journal it uses no inode
again for a minute or more after its file was removed, and looks through all of those each time it
makes one: where thousands of small files come and go, making one takes a millisecond instead of
some microseconds. Below a directory with the flag ``T`` (see ``chattr``) each new directory gets
the group in which the fewest are.
"""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress

# linux/fs.h
_GET_FLAGS, _SET_FLAGS, _TOP_OF_HIERARCHY = 0x8008_6601, 0x4008_6602, 0x0002_0000
_FLAGS = struct.Struct("l")


def spread_below(directory: str) -> None:
    """Have what is made in each new subdirectory lie apart; where that means nothing, do nothing.

    The directory has to exist.
    """
    if sys.platform != "linux":
        return
    import fcntl

    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # a file system without such a flag
            (flags,) = _FLAGS.unpack(fcntl.ioctl(descriptor, _GET_FLAGS, bytes(_FLAGS.size)))
            fcntl.ioctl(descriptor, _SET_FLAGS, _FLAGS.pack(flags | _TOP_OF_HIERARCHY))
    finally:
        os.close(descriptor)
