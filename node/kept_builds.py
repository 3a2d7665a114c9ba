"""What other nodes told of builds that are over: kept, as it does not change, so that it is told
here without them too. Nothing is lost with it but that."""

from __future__ import annotations

import logging
import os
import secrets
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blake3 import blake3

from buildnet.node.home import make_private

MOST_BYTES = 64 << 20
"""Of all that is kept, as it is on disk; the oldest goes first."""
MOST_FILES = 2000
_LEVEL = 1
_PART = ".part"
_log = logging.getLogger("buildnet.pool")


@dataclass(frozen=True, slots=True)
class Kept:
    """What a node told, ``at`` a time (unix seconds)."""

    data: bytes
    at: float


class KeptBuilds:
    """In ``directory``, a file each, which no other member's word is ever put in place of: its name
    follows from who told it. ``longest``: of what is told, in bytes. Its methods block."""

    def __init__(self, directory: Path, longest: int, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._longest = longest
        self._most_bytes = most_bytes

    def get(self, teller: bytes, build: str, what: str) -> Kept | None:
        """Return what a node told of a build; None: it is not kept, or not whole any more."""
        path = self._path(teller, build, what)
        try:
            packed, at = path.read_bytes(), path.stat().st_mtime
        except OSError:
            return None
        unpacking = zlib.decompressobj()
        with suppress(zlib.error):
            data = unpacking.decompress(packed, self._longest)
            if unpacking.eof:
                return Kept(data, at)
        with suppress(OSError):
            path.unlink()
        return None

    def put(self, teller: bytes, build: str, what: str, data: bytes, now: float) -> None:
        """Keep what a node told ``now``; where that can't be written it is told and left."""
        path = self._path(teller, build, what)
        part = path.with_suffix(f".{secrets.token_hex(4)}{_PART}")  # two may put the same at once
        try:
            make_private(self._directory)
            part.write_bytes(zlib.compress(data, _LEVEL))
            os.utime(part, (now, now))
            part.replace(path)
            self._tidy()
        except OSError as error:
            _log.warning("what another node told of build %s is not kept: %s", build, error)

    def _tidy(self) -> None:
        with os.scandir(self._directory) as entries:
            found = [(about, entry.path) for entry in entries if (about := _about(entry))]
        found.sort(key=lambda each: -each[0].st_mtime)
        size = 0
        for number, (about, path) in enumerate(found):
            size += about.st_size
            if number >= MOST_FILES or size > self._most_bytes:
                Path(path).unlink(missing_ok=True)

    def _path(self, teller: bytes, build: str, what: str) -> Path:
        return self._directory / blake3(f"{teller.hex()} {build} {what}".encode()).hexdigest()[:32]


def _about(entry: os.DirEntry[str]) -> os.stat_result | None:
    with suppress(FileNotFoundError):  # another one tidies, too
        return entry.stat()
    return None
