"""What a file needs beyond its bytes: that they are on disk, and that nobody else reads them."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Have a file's bytes, or a directory's names, on disk on return.

    Raises:
        OSError: the disk does not take them.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def begin_private(path: Path) -> None:
    """Make an empty file (mode 0600) in place of what is there: who makes a copy of the ledger in
    it shows it to nobody meanwhile.

    Raises:
        OSError: it can't be made.
    """
    path.unlink(missing_ok=True)
    path.touch(0o600, exist_ok=False)
