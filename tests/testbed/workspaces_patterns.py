"""Patterns of sources and outputs as the documentation tells them, anew as regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache


@lru_cache(maxsize=4096)
def matcher(patterns: tuple[str, ...], reach_below: bool) -> Callable[[str], bool]:
    """Return what tells whether a path matches a pattern (or lies below what does)."""
    if not patterns:
        return lambda path: False
    text = "|".join(_expression(one, reach_below) for one in patterns)
    expression = re.compile(text)
    return lambda path: expression.fullmatch(path) is not None


def _expression(pattern: str, reach_below: bool) -> str:
    is_plain = not re.search(r"[*?\[{]", pattern)
    whole_below = pattern.endswith("/**")
    pattern = pattern.removesuffix("/**")
    text = ""
    for part in re.split(r"(\*\*/|\*|\{[^}]*\})", pattern):
        if part == "**/":
            text += "(?:[^/]+/)*"
        elif part == "*":
            text += "[^/]*"
        elif part.startswith("{"):
            text += "(?:" + "|".join(map(re.escape, part[1:-1].split(","))) + ")"
        else:
            text += re.escape(part)
    if whole_below:
        return f"{text}/.+"
    return f"{text}(?:/.+)?" if is_plain or reach_below else text
