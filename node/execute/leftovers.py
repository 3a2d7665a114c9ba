"""Commands that outlived their node: after kill -9 they run on and would write into new stages.

The executors give every command private directories below the node's work directory, so a process
says in its environment to whom it belonged. What is ended is a process of this user that has
``BUILDNET_ACTION`` and whose HOME or TMPDIR lies below the work directory, its descendants, and the
session that it leads. Another node has another work directory, and a container that happens to use
the same path has another directory there: their processes are left alone.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from buildnet.node.execute.errors import StageError
from buildnet.node.execute.process_tree import ACTION_VARIABLE

logger = logging.getLogger(__name__)

GIVE_UP_AFTER_S = 10.0
_LOOK_AGAIN_AFTER_S = 0.005
_PRIVATE = ("HOME", "TMPDIR")


def end_leftovers(work: Path) -> int:
    """Kill what runs on below ``work``, which no other process may use now, and wait for its end.

    Returns how many processes there were.

    Raises:
        StageError: some can't be ended.
    """
    place = Path(os.path.realpath(work))
    killed: set[psutil.Process] = set()
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while True:
        # Looked for anew until there are none: what was about to fork may have done it.
        found = _leftovers(place)
        for process in found:
            _kill(process)
        killed.update(found)
        living = [process for process in killed if _is_alive(process)]
        if not found and not living:
            break
        if time.monotonic() > give_up:
            pids = ", ".join(str(process.pid) for process in living)
            raise StageError(
                f"commands that an earlier node left behind can't be ended: {pids}",
                cause=f"they still use {work} after SIGKILL",
                hint="end these processes (they may wait for a disk or a network share that does "
                "not answer), then start the node again",
            )
        time.sleep(_LOOK_AGAIN_AFTER_S)
    if killed:
        logger.warning("ended %d processes that an earlier node left behind", len(killed))
    return len(killed)


def _leftovers(place: Path) -> list[psutil.Process]:
    """Return the living processes that belong to ``place``, leaders of sessions first."""
    processes = {process.pid: process for process in _of_this_user()}
    processes.pop(os.getpid(), None)
    marked = {pid for pid, process in processes.items() if _is_marked(process, place)}
    if not marked:
        return []
    parents: dict[int, int] = {}
    sessions: dict[int, int] = {}
    for pid, process in processes.items():
        with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
            parents[pid] = process.ppid()
            sessions[pid] = os.getsid(pid)
    ours = marked | {pid for pid, session in sessions.items() if session in marked}
    while below := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= below
    leaders_first = sorted(ours, key=lambda pid: sessions.get(pid) != pid)
    return [processes[pid] for pid in leaders_first if _is_alive(processes[pid])]


def _of_this_user() -> Iterator[psutil.Process]:
    user = os.geteuid()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.uids().effective == user:
                yield process


def _is_marked(process: psutil.Process, place: Path) -> bool:
    try:
        environment = process.environ()
    except (psutil.Error, OSError):  # gone, or not ours to read
        return False
    if ACTION_VARIABLE not in environment:
        return False
    private = [environment[name] for name in _PRIVATE if name in environment]
    return any(_is_below(path, place) for path in private) and _sees(process.pid, place)


def _is_below(path: str, place: Path) -> bool:
    return place in Path(os.path.realpath(path)).parents


def _sees(pid: int, place: Path) -> bool:
    """Whether ``place`` is the same directory for a process, which may live in a container."""
    if sys.platform != "linux":
        return True
    try:
        return os.path.samestat(os.stat(f"/proc/{pid}/root{place}"), place.stat())
    except OSError:
        return False


def _kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.Error, ProcessLookupError, PermissionError):
        group = os.getpgid(process.pid)
        leads = os.getsid(process.pid) == group == process.pid
        if leads and group != os.getpgid(0) and process.is_running():
            os.killpg(process.pid, signal.SIGKILL)  # all at once, so that none can fork meanwhile
        process.kill()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
