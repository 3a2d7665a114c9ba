"""Which directories are members of an npm, yarn or pnpm workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from buildnet.pool.detect.manifest import MANIFEST, Manifest, read_manifest
from buildnet.pool.detect.member_walk import MemberWalk
from buildnet.pool.workspace import Problem, WorkspaceError
from buildnet.pool.yaml_document import YamlError, load_yaml

PNPM_FILE = "pnpm-workspace.yaml"


@dataclass(frozen=True, slots=True)
class Members:
    """The manifests of a workspace: the root's, and its members' sorted by path."""

    root: Manifest
    members: tuple[Manifest, ...]
    declared: bool
    """Whether the root declares members at all; else it is a package of its own."""
    files: tuple[str, ...]
    """Files and directories whose change can change the answer."""


def read_members(root: Path) -> Members | None:
    """Read the workspace that stands at ``root``; None without a package.json.

    Raises:
        WorkspaceError: a manifest or declaration that cannot be read.
    """
    own = read_manifest(root, "")
    if own is None:
        return None
    patterns = member_patterns(root, own)
    if patterns is None:
        return Members(own, (), False, (MANIFEST, PNPM_FILE))
    walk = MemberWalk(root, MANIFEST, patterns)
    found = (read_manifest(root, path) for path in walk.paths())
    members = tuple(one for one in found if one is not None)
    return Members(own, members, True, (MANIFEST, PNPM_FILE, *sorted(walk.seen)))


def member_patterns(root: Path, own: Manifest) -> tuple[str, ...] | None:
    """Return the patterns of member directories that the root declares, or None if it does not."""
    from_pnpm = _pnpm_patterns(root)
    if from_pnpm is not None:
        return from_pnpm
    declared = own.data.get("workspaces")
    if isinstance(declared, dict):
        declared = declared.get("packages")
    if declared is None:
        return None
    if not isinstance(declared, list) or not all(isinstance(one, str) for one in declared):
        problem = Problem(MANIFEST, None, "workspaces must be a list of patterns")
        raise WorkspaceError.of([problem])
    return tuple(declared)


def _pnpm_patterns(root: Path) -> tuple[str, ...] | None:
    try:
        text = (root / PNPM_FILE).read_text(encoding="utf-8")
        data = load_yaml(text, PNPM_FILE).data
    except FileNotFoundError:
        return None
    except YamlError as error:
        raise WorkspaceError(error.message, hint=error.hint) from error
    except (OSError, UnicodeDecodeError) as error:
        raise WorkspaceError.of([Problem(PNPM_FILE, None, f"cannot be read: {error}")]) from error
    # Newer pnpm keeps its settings in this file too: without packages it declares no members.
    patterns = data.get("packages") if isinstance(data, dict) else None
    if patterns is None:
        return None
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        raise WorkspaceError.of([Problem(PNPM_FILE, 1, "packages must be a list of patterns")])
    return tuple(patterns)
