"""Runs tasks from what is stored of a workspace: nothing is delivered, outputs stay stored."""

from __future__ import annotations

from buildnet.node.resolve import Prepared
from buildnet.node.runner import TaskRunner
from buildnet.node.store import MissingBlobError
from buildnet.pool.action import Action
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Task


class StoredRunner(TaskRunner):
    """See the module's text and :class:`~buildnet.node.runner.TaskRunner`."""

    __slots__ = ()

    def deliver(self, prepared: Prepared) -> None:
        """See that the outputs are in the store, where they wait.

        Raises:
            MissingBlobError: they are not.
        """
        self._require(prepared.outputs)

    def record_run(self, task: Task, action: Action, outputs: DirectoryTree) -> None:
        """Note nothing: there is no workspace that holds them."""

    def clear_former_shards(self, task: Task) -> None:
        """Remove nothing: there is no workspace that holds it."""

    def _ingest(self, action: Action) -> None:
        self._require(action.spec.inputs)

    def _require(self, tree: DirectoryTree) -> None:
        files = {leaf.digest: path for path, leaf in tree.leaves() if isinstance(leaf, FileEntry)}
        lacking = sorted(files[digest] for digest in self.hold.missing(files))
        if lacking:
            raise MissingBlobError(
                f"{lacking[0]} is not in the store any more",
                hint="build again on the node that has the workspace",
            )
