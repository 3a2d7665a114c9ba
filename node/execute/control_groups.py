"""Limits that the kernel keeps: a control group of its own for each command.

Only in groups that were left to this node: one that the owner names (``workers.control_group``), or
the node's own if systemd delegated it (``Delegate=yes``). Memory and processes are limited there;
the processor is left to niceness and affinity, since a group's weight would undo nice 10.

See the kernel's ``Documentation/admin-guide/cgroup-v2.rst`` and ``cgroup-v1/{memory,pids}.rst``.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from buildnet.node.scan.cgroup import parse_groups
from buildnet.node.scan.host import HostFiles
from buildnet.node.scan.mounts import Mount, parse_mountinfo

logger = logging.getLogger(__name__)

MEMORY, PIDS = "memory", "pids"
_DELEGATED = ("user.delegate", "trusted.delegate")  # what systemd marks groups with
_NODE, _ACTION = "node", "action-"
_EMPTY_WITHIN_S = 5.0
_TRY_S = 20.0
_LOOK_EVERY_S = 0.002


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """A directory below which this node makes groups; ``version`` 2 or 1. ``is_made``: it was not
    there before, so it goes with the node; one of the owner's stays with all that is set in it."""

    directory: Path
    version: int
    controllers: tuple[str, ...]
    is_made: bool = field(default=False, compare=False)

    def settings(self, memory_bytes: int | None, processes: int | None) -> Mapping[str, str]:
        """Return what to write into which files of a group; the supervisor is one process more."""
        files: dict[str, str] = {}
        if MEMORY in self.controllers and memory_bytes is not None:
            if self.version == 2:
                files = {"memory.max": str(memory_bytes), "memory.swap.max": "0"}
            else:
                files = {
                    "memory.limit_in_bytes": str(memory_bytes),
                    "memory.memsw.limit_in_bytes": str(memory_bytes),
                }
        if PIDS in self.controllers and processes is not None:
            files["pids.max"] = str(processes + 1)
        return files

    def exceeded(self, group: Path) -> str | None:
        """Return the limit for which the kernel ended or refused something in a group."""
        if MEMORY in self.controllers:
            events = "memory.events" if self.version == 2 else "memory.oom_control"
            if _count(group / events, "oom_kill"):
                return "memory"
        if PIDS in self.controllers and _count(group / "pids.events", "max"):
            return "processes"
        return None


class ActionGroup:
    """The groups of one command, one a hierarchy. ``files`` are those that it joins them by."""

    def __init__(self, places: tuple[tuple[Hierarchy, Path], ...]) -> None:
        self._places = places
        self.files = tuple(str(place / "cgroup.procs") for _, place in places)

    def exceeded(self) -> str | None:
        """Return the limit that was passed: ``memory`` or ``processes``."""
        found = (hierarchy.exceeded(place) for hierarchy, place in self._places)
        return next(filter(None, found), None)

    def close(self) -> None:
        """End all that is left in it and remove it."""
        for _, place in self._places:
            _remove(place)


class ControlGroups:
    """The groups that this node may make. Thread-safe."""

    def __init__(self, hierarchies: tuple[Hierarchy, ...]) -> None:
        self.hierarchies = hierarchies
        self._numbers = itertools.count()
        for hierarchy in hierarchies:
            for group in hierarchy.directory.glob(f"{_ACTION}*"):
                if _is_left(group.name):
                    _remove(group)

    def limits(self, controller: str) -> bool:
        """Whether the kernel keeps the limits of a controller."""
        return any(controller in hierarchy.controllers for hierarchy in self.hierarchies)

    @contextmanager
    def group(self, memory_bytes: int | None, processes: int | None) -> Iterator[ActionGroup]:
        """Give a group for one command; when it is left, so is nothing of the command.

        Raises:
            OSError: the kernel refuses it.
        """
        name = f"{_ACTION}{os.getpid()}-{next(self._numbers)}"
        group = ActionGroup(tuple((each, each.directory / name) for each in self.hierarchies))
        try:
            for hierarchy in self.hierarchies:
                place = hierarchy.directory / name
                place.mkdir()
                for file, value in hierarchy.settings(memory_bytes, processes).items():
                    if (place / file).exists():  # without swap there is none of its files
                        (place / file).write_text(value)
            yield group
        finally:
            group.close()

    def close(self) -> None:
        """Remove the directories that were made for it, as far as nobody is in them."""
        for hierarchy in self.hierarchies:
            if hierarchy.is_made:
                with contextlib.suppress(OSError):
                    hierarchy.directory.rmdir()


def open_groups(name: str | None, host: HostFiles | None = None) -> ControlGroups | None:
    """Return the groups that this node may make: below ``name`` in every hierarchy, or, without a
    name, in its own group if that was delegated to it. None: no name, and it was not.

    Raises:
        OSError: the groups that the owner named can't be used.
    """
    host = host or HostFiles()
    mounts = parse_mountinfo(host.read("/proc/self/mountinfo") or "")
    if name is not None:
        groups = ControlGroups(named_groups(name, mounts, host))
    else:
        path = parse_groups(host.read("/proc/self/cgroup") or "").get("")
        own = _own_group(mounts, path) if path is not None else None
        if own is None or not _is_delegated(own):
            return None
        groups = ControlGroups((_divided(own),))
    try:
        _try(groups)
    except OSError:
        groups.close()
        raise
    return groups


def named_groups(
    name: str,
    mounts: Iterable[Mount],
    host: HostFiles,
    controllers: tuple[str, ...] = (MEMORY, PIDS),
) -> tuple[Hierarchy, ...]:
    """Make the group ``name`` in each hierarchy that has some of the controllers.

    Raises:
        OSError: it can't be made, or no hierarchy has any of them.
    """
    found: list[Hierarchy] = []
    for mount in mounts:
        root = host.path(mount.mount_point)
        if mount.file_system == "cgroup2":
            has, version = _words(root / "cgroup.controllers"), 2
        elif mount.file_system == "cgroup":
            has, version = set(mount.super_options), 1
        else:
            continue
        mine = tuple(each for each in controllers if each in has)
        if not mine or any(set(mine) & set(each.controllers) for each in found):
            continue
        directory, is_made = root, False
        for part in Path(name).parts:
            if version == 2:
                _enable(directory, mine)
            directory /= part
            is_made = not directory.exists()
            directory.mkdir(exist_ok=True)
        if version == 2:
            _enable(directory, mine)
        found.append(Hierarchy(directory, version, mine, is_made))
    if not found:
        raise OSError(f"no control groups with {' or '.join(controllers)} are mounted here")
    return tuple(found)


def _own_group(mounts: Iterable[Mount], path: str) -> Path | None:
    for mount in mounts:
        if mount.file_system == "cgroup2":
            below = os.path.relpath(path, mount.root)
            return None if below.startswith("..") else Path(mount.mount_point, below)
    return None


def _is_delegated(group: Path) -> bool:
    """Whether systemd left a group to the service in it, and nobody but this process is there."""
    marks = []
    for mark in _DELEGATED:
        with contextlib.suppress(OSError, AttributeError):  # only Linux has attributes
            marks.append(os.getxattr(group, mark))
    return b"1" in marks and _words(group / "cgroup.procs") == {str(os.getpid())}


def _divided(own: Path) -> Hierarchy:
    """Move this process into a group below its own: one with groups in it may hold no processes."""
    controllers = tuple(
        each for each in (MEMORY, PIDS) if each in _words(own / "cgroup.controllers")
    )
    if not controllers:
        raise OSError(f"no controller was delegated to {own}")
    (own / _NODE).mkdir(exist_ok=True)
    (own / _NODE / "cgroup.procs").write_text(str(os.getpid()))
    _enable(own, controllers)
    return Hierarchy(own, 2, controllers)


def _try(groups: ControlGroups) -> None:
    """Run a command in a group.

    Raises:
        OSError: it can't join it.
    """
    with groups.group(1 << 30, 64) as group:
        script = 'for file; do echo 0 > "$file" || exit 1; done'
        try:
            ran = subprocess.run(
                ["/bin/sh", "-c", script, "sh", *group.files], capture_output=True, timeout=_TRY_S
            )
        except subprocess.TimeoutExpired as error:
            raise OSError("a command that joins it does not go on: is it frozen?") from error
        if ran.returncode:
            raise OSError(ran.stderr.decode(errors="replace").strip() or "it can't be joined")


def _words(file: Path) -> set[str]:
    return set(file.read_text().split())


def _enable(directory: Path, controllers: Iterable[str]) -> None:
    """Let groups in a directory of version 2 have controllers."""
    file = directory / "cgroup.subtree_control"
    missing = sorted(set(controllers) - _words(file))
    if missing:
        file.write_text(" ".join(f"+{each}" for each in missing))


def _count(file: Path, name: str) -> int:
    """Return a number from a file of lines such as ``oom_kill 3``; 0 if it is not there."""
    with contextlib.suppress(OSError, ValueError):
        for line in file.read_text().splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0


def _is_left(name: str) -> bool:
    """Whether a command's group is of a node that died; another may use the same place."""
    pid = name.removeprefix(_ACTION).partition("-")[0]
    return not pid.isdigit() or int(pid) == os.getpid() or not psutil.pid_exists(int(pid))


def _remove(group: Path) -> None:
    """End all processes of a group and remove it."""
    give_up = time.monotonic() + _EMPTY_WITHIN_S
    while True:
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > give_up:
                logger.warning("the control group %s stays: %s", group, error)
                return
        else:
            return
        _kill(group)
        time.sleep(_LOOK_EVERY_S)  # the kernel tells of the last one's end to nobody in version 1


def _kill(group: Path) -> None:
    with contextlib.suppress(OSError):
        if (group / "cgroup.kill").exists():
            (group / "cgroup.kill").write_text("1")
            return
        for pid in map(int, _words(group / "cgroup.procs")):
            os.kill(pid, signal.SIGKILL)
