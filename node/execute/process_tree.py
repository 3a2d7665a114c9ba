"""All processes that one command started, also those that left its process group.

On Linux the node is a child subreaper: whatever loses its parent below the node becomes a child of
the node's main thread, where one small file lists it. Only processes that are children of the node
itself are ever signalled, so a process id that was used again can't be hit, and only if something
proves that they came from the command: its session, its ``BUILDNET_ACTION`` variable, its output
pipe, or a parent that was proven. A daemon that gives up all four escapes; `strict` isolation
is what holds that one.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import time
from pathlib import Path

import psutil

logger = logging.getLogger(__name__)

ACTION_VARIABLE = "BUILDNET_ACTION"
"""Environment variable that marks every process of an action with the action's hash."""

_PR_SET_CHILD_SUBREAPER = 36
_FORK_BOMB_LIMIT_S = 5.0
# A zombie of nobody's session that nobody has reaped for so long has no owner but the subreaper.
_UNCLAIMED_AFTER_S = 10.0
_unclaimed_since: dict[int, float] = {}


def become_child_subreaper() -> bool:
    """Make orphans below this process its own children; once, at start. False: not possible."""
    if sys.platform != "linux":
        return False
    result: int = ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    return result == 0


class ProcessTree:
    """The processes below ``main``, a session leader started by this process.

    ``pipe_inode`` is the inode of the command's output pipe. ``main`` must not have been reaped
    while methods are called: it keeps its process group from being used again.
    """

    def __init__(self, main: int, action: str | None, pipe_inode: int) -> None:
        self._main = main
        self._marker = f"{ACTION_VARIABLE}={action}".encode() if action else None
        self._pipe = f"pipe:[{pipe_inode}]"
        self._sessions = {main}
        self._heirs: set[int] = set()
        self._descendants: list[psutil.Process] = []

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process group."""
        if sys.platform != "linux" and not self._descendants:
            # Orphans go to launchd there: who is below must be noted while the parent lives.
            with contextlib.suppress(psutil.Error):
                self._descendants = psutil.Process(self._main).children(recursive=True)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._main, number)

    def left_behind(self) -> list[int]:
        """Return the living processes that the ended main process left to this one."""
        return [pid for pid in _orphans() if self._is_ours(pid) and not _is_zombie(pid)]

    def end(self) -> int:
        """Kill and reap all that is left after the main process ended; returns how many lived."""
        ended = 0
        give_up = time.monotonic() + _FORK_BOMB_LIMIT_S
        while True:
            ours = [pid for pid in _orphans() if self._is_ours(pid)]
            living = [pid for pid in ours if not _is_zombie(pid)]
            ended += len(living)
            self.signal(signal.SIGKILL)
            for pid in living:
                self._heirs |= _children(pid)
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            for pid in ours:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, 0)
            if not ours:
                break
            if time.monotonic() > give_up:
                logger.warning("processes of %d fork faster than they can be ended", self._main)
                break
        for process in self._descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()
                ended += 1
        return ended

    def _is_ours(self, pid: int) -> bool:
        if pid == self._main:
            return False
        try:
            session = os.getsid(pid)
        except OSError:
            return False
        if session in self._sessions or pid in self._heirs or self._has_proof(pid):
            # A session of the node itself would claim the node's other children as well.
            if session != os.getsid(0):
                self._sessions.add(session)
            return True
        return False

    def _has_proof(self, pid: int) -> bool:
        process = Path("/proc", str(pid))
        with contextlib.suppress(OSError):
            if self._marker and self._marker in (process / "environ").read_bytes().split(b"\0"):
                return True
            return any(str((process / "fd" / fd).readlink()) == self._pipe for fd in "12")
        return False


def _orphans() -> list[int]:
    """Return the children of the main thread: what lost its parent, and what it started itself."""
    if sys.platform != "linux":
        return []
    children = list(_listed(Path("/proc/self/task", str(os.getpid()), "children")))
    if children or _unclaimed_since:
        _reap_unclaimed(children)
    return children


def _children(pid: int) -> set[int]:
    with contextlib.suppress(OSError):
        threads = list(Path("/proc", str(pid), "task").iterdir())
        return {child for thread in threads for child in _listed(thread / "children")}
    return set()


def _listed(file: Path) -> list[int]:
    try:
        return [int(pid) for pid in file.read_bytes().split()]
    except OSError:  # the thread is gone, or the kernel was built without PROC_CHILDREN
        return []


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path("/proc", str(pid), "stat").read_bytes()
    except OSError:
        return True
    return stat[stat.rindex(b")") + 2 :][:1] in b"ZX"


def _reap_unclaimed(children: list[int]) -> None:
    """Reap orphans that left their session and ended by themselves: nothing else tells of them."""
    now = time.monotonic()
    zombies = [pid for pid in children if _is_zombie(pid)]
    for gone in set(_unclaimed_since).difference(zombies):
        _unclaimed_since.pop(gone, None)
    for pid in zombies:
        with contextlib.suppress(OSError):
            if os.getsid(pid) == os.getsid(0):
                continue
            if now - _unclaimed_since.setdefault(pid, now) > _UNCLAIMED_AFTER_S:
                os.waitpid(pid, os.WNOHANG)
                _unclaimed_since.pop(pid, None)
