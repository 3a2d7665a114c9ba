"""Writing a file whole or not at all: what was there before stays until all of the new one is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from buildnet.cli.ledger_checks import FileError


def write_whole(path: Path, parts: Iterable[bytes], *, hint: str) -> int:
    """Put ``parts`` into a file, on disk when this returns; return how many bytes they are.

    Raises:
        FileError: that failed, with ``hint``; nothing is left, and what was there still is.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    size = 0
    try:
        try:
            with partial.open("wb") as file:
                for part in parts:
                    size += file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            f"{path} can't be written", cause=error.strerror or str(error), hint=hint
        ) from error
    return size
