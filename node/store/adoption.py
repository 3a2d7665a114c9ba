"""Making rows for blobs that are on disk and not in the index: after a kill, or for a new index."""

from __future__ import annotations

import stat

from buildnet.mesh.digest import Digest
from buildnet.node.store.blobs import BlobFiles
from buildnet.node.store.index import GATHERED_MAX, Index
from buildnet.node.store.journal import PutJournal


def adopt(files: BlobFiles, index: Index, journal: PutJournal) -> None:
    """Adopt what a killed process stored last, and all blobs if the index is new.

    Only kind and size are looked at; the bytes are verified when they are read.
    """
    for digest in journal.read():
        if files.present(digest):
            index.add(digest)
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
