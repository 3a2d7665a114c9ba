"""The form of a row in the tables of tools and runtimes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

# The first thing that looks like a version: 3, 1.2, v20.11.0, 2.40-rc1, 17.0.2+8
VERSION = r"\bv?(\d+(?:\.\d+)+(?:[-+][0-9A-Za-z.+]+)?)"


@dataclass(frozen=True, slots=True)
class CapabilityProbe:
    """How to learn what a program can do: its answer to ``arguments``, read by ``parse``.

    ``arguments`` None reads the answer that held the version. ``{program}`` in an argument stands
    for the program's path. ``volatile``: the answer changes while the program's file does not (a
    service is running or not), so it is asked in every scan.
    """

    parse: Callable[[str], tuple[str, ...]]
    arguments: tuple[str, ...] | None = None
    volatile: bool = False
    timeout_s: float = 5.0


@dataclass(frozen=True, slots=True)
class ProgramRow:
    """One tool or runtime: how it is called, and how it is asked for its version.

    ``version`` is a regular expression whose first group is the version. ``identified_by`` is one
    that the answer must hold: other programs go by the same file name, and they are left out.
    ``every_binary``: list each version found under any of the names, not the first alone.
    """

    name: str
    binaries: tuple[str, ...]
    arguments: tuple[str, ...] = ("--version",)
    version: str = VERSION
    identified_by: str | None = None
    capabilities: tuple[CapabilityProbe, ...] = ()
    every_binary: bool = False
    timeout_s: float = 5.0

    def read_version(self, answer: str) -> str | None:
        """Return the version in an answer, or None."""
        match = re.search(self.version, answer[:4096], re.MULTILINE)
        return match.group(1)[:80] if match else None

    def is_meant(self, answer: str) -> bool:
        """Return whether the answer is this program's and not that of a namesake."""
        if self.identified_by is None:
            return True
        return re.search(self.identified_by, answer[:4096], re.MULTILINE) is not None


class FoundProgram(NamedTuple):
    """A file that may be a row's program: the name it was found under, and its path."""

    binary: str
    path: str
