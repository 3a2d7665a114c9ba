"""Building must not get into a person's way: low CPU and idle disk priority.

Only commands are lowered, never the node's own threads: one that is held up while it holds the
interpreter's lock would hold up the whole node.
"""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import platform
import sys
from collections.abc import Callable

logger = logging.getLogger(__name__)

NICENESS = 10
"""What a command runs with; the owner's own programs have 0."""

# ioprio_set has no wrapper in any libc. include/uapi/linux/ioprio.h and the system call tables.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS_GROUP = 2
_IOPRIO_IDLE = 3 << 13


def lower_group_priority(group: int) -> None:
    """Give a process group that was just started nice 10 and, on Linux, idle disk priority.

    What its processes start later inherits both.
    """
    try:
        os.setpriority(os.PRIO_PGRP, group, NICENESS)
    except OSError as error:  # already gone, or a host that forbids it: run as it is
        logger.debug("niceness of process group %d stays: %s", group, error)
    set_disk_priority = _disk_priority_setter()
    if set_disk_priority is not None:
        set_disk_priority(group)


@functools.cache
def _disk_priority_setter() -> Callable[[int], object] | None:
    number = _IOPRIO_SET.get(platform.machine())
    if sys.platform != "linux" or number is None:
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda group: libc.syscall(number, _IOPRIO_WHO_PROCESS_GROUP, group, _IOPRIO_IDLE)
