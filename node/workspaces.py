"""The workspaces that were built on this node, and what is kept of them between builds."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from buildnet.mesh.errors import NotFoundError
from buildnet.node.source_ignore import IgnoreRules
from buildnet.node.sources import outputs_excluded
from buildnet.pool.glob import Patterns
from buildnet.pool.workspace import TaskId, Workspace, find_root, load_workspace

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(slots=True)
class OpenWorkspace:
    """A workspace between builds; ``lock`` lets one build at a time work in it."""

    id: str
    definition: Workspace
    stamp: Stamp
    outputs: Patterns
    """The outputs of all tasks, which are no sources."""
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
        if opened is not None and opened.stamp == _stamp(opened.definition):
            return opened
        definition = load_workspace(root)
        stamp = _stamp(definition)
        if opened is None:
            name = blake3(os.fsencode(root)).hexdigest(16)
            outputs = outputs_excluded(definition.outputs)
            return self._open.setdefault(root, OpenWorkspace(name, definition, stamp, outputs))
        opened.definition, opened.stamp = definition, stamp
        opened.outputs = outputs_excluded(definition.outputs)
        return opened


def _stamp(definition: Workspace) -> Stamp:
    """Return what changes when a file changes that the definition was read from."""
    stamp: list[tuple[int, int, int] | None] = []
    for name in definition.definition_files:
        try:
            status = (definition.root / name).stat()
        except OSError:
            stamp.append(None)
        else:
            stamp.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(stamp)
