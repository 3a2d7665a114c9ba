"""What the sources of packages are like, by what ``stat`` says. Blocks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from blake3 import blake3

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.node.source_memory import fingerprint
from buildnet.node.sources import SourceReader
from buildnet.node.standing import Plan
from buildnet.pool.glob import Patterns

Scan = Mapping[str, str]


def scan_sources(plan: Plan, outputs: Patterns, watch: Callable[[str], bool]) -> Scan:
    """Return for each package what changes when one of its sources does. Each directory is given to
    ``watch`` before it is read."""
    reader = SourceReader(plan.workspace.root, _Stamps(), watch=watch)
    found: dict[str, str] = {}
    for task in plan.tasks.values():
        default = task.path if task.default_sources else None
        try:
            said = str(reader.tree(task.sources, default, outputs).tree.digest)
        except (BuildNetError, OSError) as error:
            said = str(error)  # the build tells it
        found[task.package] = f"{found.get(task.package, '')} {said}"
    return found


class _Stamps:
    """A file table that makes up a digest of what ``stat`` says, so that nothing is read."""

    def lookup(self, path: str, stat: os.stat_result) -> Digest | None:
        said = repr(fingerprint(stat)).encode()
        return Digest(blake3(said).hexdigest(), stat.st_size)

    def previous(self, path: str) -> Digest | None: ...

    def record(
        self, path: str, stat: os.stat_result, digest: Digest, observed_at_ns: int
    ) -> None: ...
