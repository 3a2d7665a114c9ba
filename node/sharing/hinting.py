"""Telling other nodes what commands are likely to be asked of them soon, so that they get ready."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.messages.kinds import Message
from buildnet.node.perform import Performer
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.task_sources import sources_of
from buildnet.pool.messages.expecting import MAX_EXPECTED, MAX_EXPECTED_TOOLS, WorkExpected
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.rehearsal import Place
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import TaskId

FOR_MS = 30_000
"""So long a hint counts, unless another one takes its place: builds begin sooner than that."""
MOST_BYTES = 1 << 30
"""Of all blobs that one node is told of."""
_log = logging.getLogger("buildnet.pool")


@dataclass(slots=True)
class Coming:
    """What one node is told of: files, by digest, with where they lie in the workspace, and
    tools."""

    files: dict[Digest, str] = field(default_factory=dict)
    tools: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class Hints:
    """What one node has told others, by the watches that it was said of. For the event loop's
    thread; ``say`` sends a message to a member."""

    say: Callable[[bytes, Message], None]
    _told: dict[bytes, frozenset[bytes]] = field(default_factory=dict)

    def tell(self, watch: bytes, coming: Mapping[bytes, Coming]) -> None:
        """Tell members what comes, by their keys, and those that were told before and are not among
        them that nothing does."""
        for owner, each in coming.items():
            blobs = tuple(WireDigest.of(digest) for digest in each.files)
            self.say(owner, WorkExpected(watch, FOR_MS, blobs, tuple(each.tools)))
        for owner in self._told.pop(watch, frozenset()).difference(coming):
            self.say(owner, WorkExpected(watch, 0, ()))
        if coming:
            self._told[watch] = frozenset(coming)


def coming(
    performer: Performer, places: Mapping[TaskId, Place], known: KnownHosts
) -> dict[bytes, Coming]:
    """Return what other nodes would need for commands that a dry run has placed there, by their
    keys: the largest files that they are not known to have, which the store has from now on.
    Blocks."""
    found: dict[bytes, Coming] = {}
    for task, place in places.items():
        if place.host is not None and not place.host.is_here:
            _add(found.setdefault(place.host.key, Coming()), performer, task)
    root = performer.runner.root
    for owner, each in found.items():
        each.files = _chosen(known.holdings.lacking(owner, each.files), each.files)
        lost = [
            digest
            for digest in performer.hold.missing(each.files)
            if not _is_kept(performer, digest, root / each.files[digest])
        ]
        for digest in lost:
            del each.files[digest]
    return found


def _add(coming: Coming, performer: Performer, task: TaskId) -> None:
    prepared = performer.places.prepared[task]
    for name in prepared.task.tools[: MAX_EXPECTED_TOOLS - len(coming.tools)]:
        coming.tools[name] = None
    coming.files.update(_files(_inputs(performer, task)))


def _inputs(performer: Performer, task: TaskId) -> DirectoryTree:
    """Return what is known of what a command reads: what others make first is not."""
    prepared, resolver = performer.places.prepared[task], performer.resolver
    if prepared.action is not None:
        return prepared.action.spec.inputs
    return sources_of(prepared.task, resolver.reader, resolver.outputs).tree


def _files(tree: DirectoryTree) -> dict[Digest, str]:
    return {leaf.digest: path for path, leaf in tree.leaves() if isinstance(leaf, FileEntry)}


def _chosen(lacking: Iterable[Digest], files: Mapping[Digest, str]) -> dict[Digest, str]:
    chosen: dict[Digest, str] = {}
    left_bytes = MOST_BYTES
    for digest in sorted(lacking, key=lambda each: (-each.size_bytes, each.hash)):
        if len(chosen) == MAX_EXPECTED:
            break
        if digest.size_bytes <= left_bytes:
            left_bytes -= digest.size_bytes
            chosen[digest] = files[digest]
    return chosen


def _is_kept(performer: Performer, digest: Digest, path: Path) -> bool:
    """Take a file into the store; tell whether it still is what it was."""
    try:
        performer.hold.put_file(path, expected=digest)
    except (BuildNetError, OSError) as error:
        _log.debug("%s is not told of to others: %s", path, error)
        return False
    return True
