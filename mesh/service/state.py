"""Where a node's mesh keeps its state, and how one cluster's state takes another's place.

``mesh.db`` holds the facts of the cluster that the node belongs to, ``cluster.key`` (at its
founder) the key that can recover it. What is left for another cluster is kept beside them under the
old cluster's name. ``mesh-next.db`` is what takes their place; ``cluster-next.key`` beside it says
that it is a cluster of this node's own, for which it began to leave the present one.
"""

from __future__ import annotations

import os
from pathlib import Path

from buildnet.mesh.identity import NodeKey, load_or_create

_SUFFIXES = ("", "-wal", "-shm")


class StateDirectory:
    """The mesh's files in a node's data directory."""

    def __init__(self, directory: Path) -> None:
        self.facts = directory / "mesh.db"
        self.next_facts = directory / "mesh-next.db"
        self.cluster_key = directory / "cluster.key"
        self.next_cluster_key = directory / "cluster-next.key"
        self._directory = directory

    def settle(self) -> None:
        """Finish a change of clusters that a crash interrupted, or forget one that had not begun;
        what became of a leave is for the others to say.

        To be called before :attr:`facts` is opened.
        """
        if self.facts.exists():
            if not self.leave_begun:
                self.discard_next()
        elif self.next_facts.exists():
            self._promote()

    @property
    def leave_begun(self) -> bool:
        """Whether all is written that takes the place of the present cluster once it let go."""
        return self.next_facts.exists() and self.next_cluster_key.exists()

    def discard_next(self) -> None:
        """Remove what was prepared for another cluster."""
        self.next_cluster_key.unlink(missing_ok=True)
        for suffix in _SUFFIXES:
            _with(self.next_facts, suffix).unlink(missing_ok=True)

    def replace(self, cluster_id: bytes) -> None:
        """Put :attr:`next_facts`, which is complete and closed, in the place of :attr:`facts`, the
        closed file of the cluster ``cluster_id``. It takes no room on the volume."""
        self._keep_facts(cluster_id)
        self._promote(cluster_id)

    def set_aside(self, cluster_id: bytes) -> None:
        """Keep the closed state of a cluster under its name, and have none."""
        self._keep_facts(cluster_id)
        self.set_aside_cluster_key(cluster_id)

    def _keep_facts(self, cluster_id: bytes) -> None:
        kept = self._free(f"mesh-{cluster_id.hex()[:16]}", ".db")
        for suffix in reversed(_SUFFIXES):
            if _with(self.facts, suffix).exists():
                _with(self.facts, suffix).rename(_with(kept, suffix))

    def set_aside_cluster_key(self, cluster_id: bytes) -> None:
        """Keep the recovery key of a cluster that this node leaves."""
        if self.cluster_key.exists():
            self.cluster_key.rename(self._free(f"cluster-{cluster_id.hex()[:16]}", ".key"))
            self._sync()

    def new_cluster_key(self) -> NodeKey:
        """Make (or read, where a crash came in between) the key of a cluster to be founded."""
        return load_or_create(self.cluster_key)

    def recovery_key(self, public_key: bytes) -> NodeKey | None:
        """Return the present cluster's key, if it is here."""
        if not self.cluster_key.exists():
            return None
        key = load_or_create(self.cluster_key)
        return key if key.public_key == public_key else None

    def _promote(self, old: bytes = bytes(8)) -> None:
        if self.next_cluster_key.exists():
            self.set_aside_cluster_key(old)
            self.next_cluster_key.rename(self.cluster_key)
        self.next_facts.rename(self.facts)
        self._sync()

    def _free(self, stem: str, ending: str) -> Path:
        names = (f"{stem}{f'-{number}' if number else ''}{ending}" for number in range(10**6))
        return next(path for name in names if not (path := self._directory / name).exists())

    def _sync(self) -> None:
        descriptor = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _with(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
