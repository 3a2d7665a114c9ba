"""Version ranges, as far as it takes to see that one excludes a version for sure."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LOCAL = ("workspace:", "file:", "link:", "portal:")
_SIMPLE = re.compile(r"([\^~]|>=|=|v)?\s*v?(\d+)(?:\.(\d+|x|\*))?(?:\.(\d+|x|\*))?")
_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)")


def may_mean(spec: str, version: str) -> bool:
    """Return whether a dependency ``spec`` can mean a workspace package of this ``version``.

    Local protocols, tags and ranges of any complexity can; an alias of another package, a URL, and
    a simple range that excludes the version cannot.
    """
    if spec.startswith(_LOCAL):
        return True
    if spec.startswith("npm:") or "://" in spec or spec.startswith(("git+", "github:")):
        return False
    match, own = _SIMPLE.fullmatch(spec.strip()), _VERSION.match(version)
    if match is None or own is None:
        return True
    operator = match[1] or ""
    wanted = [int(part) for part in match.groups()[1:] if part and part.isdigit()]
    actual = [int(part) for part in own.groups()]
    if operator == ">=":
        return actual >= wanted
    if operator in {"^", "~"}:
        fixed = fixed_numbers(operator, wanted)
        return actual[:fixed] == wanted[:fixed] and actual >= wanted
    return actual[: len(wanted)] == wanted


def fixed_numbers(operator: str, wanted: Sequence[int]) -> int:
    """Return how many leading numbers a caret or tilde range fixes."""
    if operator == "~":
        return min(2, len(wanted))
    significant = next((index for index, part in enumerate(wanted) if part), len(wanted) - 1)
    return significant + 1
