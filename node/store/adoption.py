"""Bringing rows and files into agreement at the start: after a kill, or for a new index."""

from __future__ import annotations

import stat

from buildnet.mesh.digest import Digest
from buildnet.node.store.blobs import BlobFiles, key_of
from buildnet.node.store.index import GATHERED_MAX, Index
from buildnet.node.store.journal import Journal


def adopt(files: BlobFiles, index: Index, journal: Journal) -> None:
    """Adopt what a killed process stored last, drop the rows of what it was removing, and adopt all
    blobs if the index is new.

    Only kind and size are looked at; the bytes are verified when they are read.
    """
    gone: list[bytes] = []
    for digest in journal.read():
        if files.present(digest):
            index.add(digest)
        elif not files.exists(digest.hash):
            gone.append(key_of(digest.hash))
    if gone:
        index.drop(gone)
    if index.is_new:
        _adopt_all(files, index)
        index.adopted()
    index.flush()
    journal.clear()


def _adopt_all(files: BlobFiles, index: Index) -> None:
    for prefix in files.prefixes():
        for entry in files.walk(prefix):
            found = entry.stat(follow_symlinks=False)
            if stat.S_ISREG(found.st_mode):
                # The time of writing is the best that is known of its use.
                digest = Digest(entry.name, found.st_size)
                index.add(digest, used_at_ms=found.st_mtime_ns // 1_000_000)
            if index.gathered >= GATHERED_MAX:
                index.flush()
