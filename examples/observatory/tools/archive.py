"""Zip files that come out the same, byte for byte, wherever and whenever they are written."""

from __future__ import annotations

import os
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

_ZIP_CANNOT_SAY_EARLIER = 315_532_800  # 1980-01-01, in seconds since 1970


def write_zip(path: Path, members: Mapping[str, bytes], *, preamble: bytes = b"") -> None:
    """Write `members` (name -> content) in their order, after `preamble`.

    Every entry gets the date of SOURCE_DATE_EPOCH and mode 0644. Entries are stored and not
    compressed: two versions of zlib need not compress to the same bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    epoch_s = max(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), _ZIP_CANNOT_SAY_EARLIER)
    date = time.gmtime(epoch_s)[:6]
    with path.open("wb") as file:
        file.write(preamble)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
            for name, content in members.items():
                entry = zipfile.ZipInfo(name, date)
                entry.create_system = 3  # Unix, also where this runs on something else
                entry.external_attr = 0o100644 << 16
                archive.writestr(entry, content)


def python_files(directory: Path) -> dict[str, bytes]:
    """All .py files below `directory`, by their sorted relative names."""
    paths = sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*.py"))
    return {path: (directory / path).read_bytes() for path in paths}
