"""Taking over the configuration of another build tool, whichever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from buildnet.pool.importing.imported import Imported
from buildnet.pool.importing.nx import import_nx
from buildnet.pool.importing.nx_file import NX_FILE
from buildnet.pool.importing.turbo import import_turbo
from buildnet.pool.workspace import find_root

Tool = Literal["turbo", "nx"]


def import_workspace(directory: Path, tool: Tool) -> Imported:
    """Return the workspace around ``directory`` as the other tool's files have it.

    Raises:
        WorkspaceError: there are none, or they cannot be read.
        CycleError: packages that need each other.
    """
    if tool == "turbo":
        return import_turbo(find_root(directory))
    here = directory.resolve()
    nearest = (one for one in (here, *here.parents) if (one / NX_FILE).is_file())
    return import_nx(next(nearest, None) or find_root(directory))
