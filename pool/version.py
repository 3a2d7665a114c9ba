"""Version requirements of tools and runtimes: ``>=20``, ``>=1.0 <2``, ``20``, ``^20.1``, ``~1.2``.

A comparison looks at as many numbers as the requirement names: ``20``, ``<=20`` take every 20.x,
``>20`` none. Several comparisons have to hold together.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from buildnet.mesh.errors import UsageError
from buildnet.pool.detect.ranges import fixed_numbers

_ONE = re.compile(r"(>=|<=|!=|==|=|>|<|\^|~)?\s*v?(\d{1,9}(?:\.\d{1,9}){0,5})(?:\.[x*])?", re.ASCII)
_WHOLE = re.compile(rf"\s*{_ONE.pattern}(?:\s*,\s*{_ONE.pattern}|\s+{_ONE.pattern})*\s*", re.ASCII)
_NUMBERS = re.compile(r"\d+(?:\.\d+)*", re.ASCII)
_ANY = ("", "*", "x", "any", "latest")


class VersionError(UsageError):
    """A version requirement that can't be read."""

    code = "VERSION"


@dataclass(frozen=True, slots=True)
class VersionRequirement:
    """What versions do. ``text`` is as it was written; no ``comparisons``: all do."""

    text: str
    comparisons: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def parse(cls, text: str) -> VersionRequirement:
        """Read a requirement.

        Raises:
            VersionError: it is none.
        """
        stripped = text.strip()
        if stripped in _ANY:
            return cls(text, ())
        if not _WHOLE.fullmatch(text):
            raise VersionError(
                f"{text!r:.60} is no version requirement", hint="write >=20, >=1.0 <2, ^20.1 or 20"
            )
        found = tuple((operator or "=", _numbers(version)) for operator, version in _parts(text))
        return cls(text, found)

    def accepts(self, version: str | None) -> bool:
        """Tell whether a program of this version does; None: its version is not known, so that
        only who asks for no certain one takes it."""
        if not self.comparisons:
            return True
        numbers = _NUMBERS.search(version or "")
        if numbers is None:
            return False
        actual = _numbers(numbers[0])
        return all(_holds(operator, actual, wanted) for operator, wanted in self.comparisons)


def _parts(text: str) -> list[tuple[str, str]]:
    return [(match[1] or "", match[2]) for match in _ONE.finditer(text)]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _holds(operator: str, actual: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    shown = (*actual, *(0,) * len(wanted))[: len(wanted)]
    match operator:
        case ">=":
            return shown >= wanted
        case "<=":
            return shown <= wanted
        case ">":
            return shown > wanted
        case "<":
            return shown < wanted
        case "!=":
            return shown != wanted
        case "^" | "~":
            fixed = fixed_numbers(operator, wanted)
            return shown[:fixed] == wanted[:fixed] and shown >= wanted
        case _:
            return shown == wanted
