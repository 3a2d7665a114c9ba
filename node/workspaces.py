"""The workspaces that were built on this node, and what is kept of them between builds."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from buildnet.mesh.errors import NotFoundError
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.sources import outputs_excluded
from buildnet.pool.glob import Patterns
from buildnet.pool.workspace import TaskId, Workspace, find_root, load_workspace

Stamp = tuple[tuple[int, ...] | None, ...]
# A file that changed so shortly before it was read may change again within its clock's tick.
_RACY_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Definition:
    """A workspace as it was described at one moment."""

    workspace: Workspace
    outputs: Patterns
    """The outputs of all tasks, which are no sources."""
    stamp: Stamp | None
    """What tells whether it was changed since; None: it has to be read again."""


@dataclass(slots=True)
class OpenWorkspace:
    """A workspace between builds; ``lock`` lets one build at a time work in it."""

    id: str
    definition: Definition
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    ignore_rules: IgnoreRules = field(default_factory=IgnoreRules)
    durations_ms: dict[TaskId, float] = field(default_factory=dict)


class Workspaces:
    """Reads definitions, and reads them again when what they were read from has changed."""

    def __init__(self) -> None:
        self._open: dict[Path, OpenWorkspace] = {}

    def find(self, directory: Path) -> OpenWorkspace:
        """Return the workspace that ``directory`` lies in. Blocks: call it on a thread.

        Raises:
            NotFoundError: no such directory.
            WorkspaceError: there is no workspace, or its definition is wrong.
        """
        if not directory.is_dir():
            raise NotFoundError(
                f"{directory} is no directory on this host", hint="name a directory that exists"
            )
        root = find_root(directory)
        opened = self._open.get(root)
        if opened is not None:
            known = opened.definition
            if known.stamp is not None and known.stamp == _stamp(known.workspace):
                return opened
        definition = _read(root)
        if opened is None:
            name = blake3(os.fsencode(root)).hexdigest(16)
            return self._open.setdefault(root, OpenWorkspace(name, definition))
        opened.definition = definition
        return opened


def _read(root: Path) -> Definition:
    began_ns = time.time_ns()
    workspace = load_workspace(root)
    stamp = _stamp(workspace)
    newest_ns = max((max(entry[2:]) for entry in stamp if entry is not None), default=0)
    settled = newest_ns < began_ns - _RACY_NS
    return Definition(workspace, outputs_excluded(workspace.outputs), stamp if settled else None)


def _stamp(workspace: Workspace) -> Stamp:
    """Return what changes when a file changes that the definition was read from."""
    stamp: list[tuple[int, ...] | None] = []
    for name in workspace.definition_files:
        try:
            status = (workspace.root / name).stat()
        except OSError:
            stamp.append(None)
        else:
            times = (status.st_mtime_ns, status.st_ctime_ns)
            stamp.append((status.st_ino, status.st_size, *times))
    return tuple(stamp)
