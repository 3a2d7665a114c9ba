"""Where symbolic links among the sources lead: what changes there changes what is read by them."""

from __future__ import annotations

from buildnet.mesh.digest import Digest
from buildnet.node.execute.links import lexical_target
from buildnet.node.sources import SourceSet
from buildnet.node.workspaces import OpenWorkspace
from buildnet.pool.tree import DirectoryTree, LinkEntry


class SourceLinks:
    """Links of one workspace with what they lead to, as its builds found them last."""

    def __init__(self) -> None:
        self._known: dict[Digest, dict[str, str]] = {}

    def look(self, opened: OpenWorkspace) -> None:
        """Take in what builds have read; where that is forgotten by now, what is known stays.
        Blocks."""
        with opened.memory.lock:
            answers = tuple(opened.memory.answers.values())
        trees = [each.value.tree for each in answers if isinstance(each.value, SourceSet)]
        if trees:
            known = self._known
            self._known = {
                tree.digest: known[tree.digest] if tree.digest in known else _links(tree)
                for tree in trees
            }

    def leading_to(self, path: str) -> list[str]:
        """Return the links by which ``path``, or what lies below it, is read."""
        plain = path.rstrip("/")
        return [
            link
            for links in self._known.values()
            for link, target in links.items()
            if plain == target
            or plain.startswith(f"{target}/")
            or (path.endswith("/") and target.startswith(path))
        ]


def _links(tree: DirectoryTree) -> dict[str, str]:
    found: dict[str, str] = {}
    for path, leaf in tree.leaves():
        if isinstance(leaf, LinkEntry):
            target = lexical_target(path.rpartition("/")[0], leaf.target)
            if target:
                found[path] = target
    return found
