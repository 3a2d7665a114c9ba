"""Which kind of workspace a directory is the root of, without a ``buildnet.yaml``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from buildnet.pool.detect.cargo import CARGO_FILE, declares_crates, detect_cargo, is_crate
from buildnet.pool.detect.detection import declares_packages, detect_workspace, is_buildable
from buildnet.pool.detect.go import WORK_FILE, declares_modules, detect_go, is_module
from buildnet.pool.detect.manifest import MANIFEST
from buildnet.pool.detect.uv import PROJECT_FILE, declares_projects, detect_uv
from buildnet.pool.workspace import Workspace, WorkspaceError


class Ecosystem(NamedTuple):
    """One kind: the file that declares its workspaces, and how it is read."""

    file: str
    declares: Callable[[Path], bool]
    is_single: Callable[[Path], bool]
    """Whether a directory is a package that can be built by itself."""
    detect: Callable[[Path], Workspace | None]


ECOSYSTEMS = (
    Ecosystem(MANIFEST, declares_packages, is_buildable, detect_workspace),
    Ecosystem(CARGO_FILE, declares_crates, is_crate, detect_cargo),
    Ecosystem(WORK_FILE, declares_modules, is_module, detect_go),
    Ecosystem(PROJECT_FILE, declares_projects, lambda _: False, detect_uv),
)
"""In the order in which they count where a directory is the root of several."""


def declares_workspace(directory: Path) -> bool:
    """Return whether the directory is the root of a workspace of any kind.

    A declaration that cannot be read counts: reading the workspace tells what is wrong with it.
    """
    return any(_is_told(one.declares, directory) for one in ECOSYSTEMS)


def is_single_package(directory: Path) -> bool:
    """Return whether the directory is a package that can be built without a workspace."""
    return any(_is_told(one.is_single, directory) for one in ECOSYSTEMS)


def detect(root: Path) -> Workspace | None:
    """Return the workspace at ``root``; None if there is none.

    Raises:
        WorkspaceError: manifests that cannot be read, or two packages of one name.
        CycleError: packages that need each other.
    """
    declared = [one for one in ECOSYSTEMS if _is_told(one.declares, root)]
    kinds = declared or ECOSYSTEMS
    for kind in kinds:
        found = kind.detect(root)
        if found is not None:
            others = [one.file for one in declared if one is not kind]
            note = f"{' and '.join(others)} beside {kind.file} declares packages, too: add them"
            return replace(found, notes=(*found.notes, note)) if others else found
    return None


def _is_told(question: Callable[[Path], bool], directory: Path) -> bool:
    try:
        return question(directory)
    except WorkspaceError:
        return True
