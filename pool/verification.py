"""An action that ran more than once: where, and what the runs made. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.mesh.digest import Digest
from buildnet.pool.tree import EMPTY_TREE, DirectoryTree

MOST_PATHS = 100
"""Of those that differ, so many are told."""
_CONTEXT = b"buildnet repeated action 1\0"


@dataclass(frozen=True, slots=True)
class Run:
    """One of them. ``node``: id of the node that ran it, ``node_name``: None: the one that was
    asked for the build; ``outputs`` None: it failed, with ``exit_code``; ``result``: what it is
    called in the cache, None: it is not there."""

    node: str
    node_name: str | None
    exit_code: int
    outputs: DirectoryTree | None
    result: Digest | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "node": self.node,
            "node_name": self.node_name,
            "exit_code": self.exit_code,
            "outputs": None if self.outputs is None else self.outputs.digest.hash,
            "result": None if self.result is None else self.result.hash,
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """All runs of one action, the one that counts first. ``problem``: why it did not run as often
    as it was to; ``can_not_be``: it never could."""

    runs: tuple[Run, ...]
    problem: str | None = None
    can_not_be: bool = False

    @property
    def agrees(self) -> bool | None:
        """Whether all made the same; None: there is nothing to compare."""
        if len(self.runs) < 2:
            return None
        return len({None if run.outputs is None else run.outputs.digest for run in self.runs}) == 1

    @property
    def differing(self) -> tuple[str, ...]:
        """The paths, relative to the workspace, of which not all runs made the same."""
        if self.agrees is not False:
            return ()
        return differing_paths([run.outputs for run in self.runs])

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        differing = self.differing
        return {
            "agrees": self.agrees,
            "problem": self.problem,
            "runs": [run.as_dict() for run in self.runs],
            "differing": list(differing[:MOST_PATHS]),
            "differing_count": len(differing),
        }


def differing_paths(trees: Sequence[DirectoryTree | None]) -> tuple[str, ...]:
    """Return the paths of files and links that are not the same in all trees; None is empty."""
    leaves = [dict((tree or EMPTY_TREE).leaves()) for tree in trees]
    paths = sorted(set().union(*leaves))
    return tuple(path for path in paths if len({found.get(path) for found in leaves}) > 1)


def repetition_of(action: Digest, number: int) -> Digest:
    """Return what the result of an action's repetition is called in the cache: as no action is."""
    return Digest.of(_CONTEXT + action.hash.encode() + b"\0%d" % number)
