"""Building must not get into a person's way: low CPU and idle disk priority."""

from __future__ import annotations

import ctypes
import logging
import os
import platform
import sys
import threading

logger = logging.getLogger(__name__)

NICENESS = 10
"""What a command runs with; the owner's own programs have 0."""

# ioprio_set has no wrapper in any libc. include/uapi/linux/ioprio.h and the system call tables.
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30, "riscv64": 30, "ppc64le": 273, "s390x": 282}
_IOPRIO_WHO_PROCESS = 1
_IOPRIO_IDLE = 3 << 13


def lower_thread_priority() -> None:
    """Give the calling thread, and so every process it starts, nice 10 and idle disk priority.

    Initializer for the pool of worker threads. On Linux both belong to threads and are inherited;
    elsewhere this does nothing and :func:`lower_child_priority` is used after each start.
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    _renice(thread)
    number = _IOPRIO_SET.get(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    if number is None or libc.syscall(number, _IOPRIO_WHO_PROCESS, thread, _IOPRIO_IDLE) != 0:
        logger.debug("idle disk priority is not available here")


def lower_child_priority(pid: int) -> None:
    """Give a process that was just started nice 10, where threads have no niceness of their own."""
    if sys.platform != "linux":
        _renice(pid)


def _renice(process: int) -> None:
    try:
        if os.getpriority(os.PRIO_PROCESS, process) < NICENESS:
            os.setpriority(os.PRIO_PROCESS, process, NICENESS)
    except OSError as error:  # already gone, or a host that forbids it: run as it is
        logger.debug("niceness of %d stays: %s", process, error)
