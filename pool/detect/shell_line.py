"""Shell command lines of package scripts, cut into simple commands as far as that is safe."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

_TOKEN = re.compile(
    r"""
    (?P<quoted>'[^']*'|"(?:\\.|[^"\\])*"|\\.)
    | (?P<operator>&&|\|\||;|\||&|\n|\(|\))
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_EXPANDED = re.compile(r"[*?\[{~]")
_REDIRECTION = re.compile(r"(?<![\\])[<>]")


class Piece(NamedTuple):
    """Part of a line: a simple command, or an operator between two."""

    text: str
    operator: bool


class SimpleCommand(NamedTuple):
    """A command with its words; ``assignments`` stand before it."""

    assignments: tuple[str, ...]
    words: tuple[str, ...]
    quoted: bool

    def line(self, words: Sequence[str]) -> str | None:
        """Return some of the words as text again; None if it is unclear which of them the shell
        would expand."""
        if not self.quoted:
            return " ".join(words)
        return None if any(_EXPANDED.search(word) for word in words) else shlex.join(words)


def pieces(line: str) -> list[Piece] | None:
    """Cut ``line`` at its operators; None if it is beyond that (substitutions, loops, comments)."""
    if "`" in line or "$(" in line or "<<" in line or re.search(r"(?:^|\s)#", line):
        return None
    found: list[Piece] = []
    current = ""
    for match in _TOKEN.finditer(line):
        # ">&" and "&>" are redirections, no operators.
        redirects = match["operator"] == "&" and (
            current.endswith((">", "<")) or line[match.end() : match.end() + 1] == ">"
        )
        if match["operator"] and not redirects:
            found += [Piece(current, False)] if current.strip() else []
            found.append(Piece(match["operator"], True))
            current = ""
        else:
            current += match[0]
    found += [Piece(current, False)] if current.strip() else []
    return found


def simple_command(text: str) -> SimpleCommand | None:
    """Return the words of one command; None if it redirects or cannot be read."""
    if _REDIRECTION.search(text):
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words[:1] == ["cross-env"] and len(words) > 1 and _ASSIGNMENT.match(words[1]):
        words = words[1:]
    count = 0
    while count < len(words) and _ASSIGNMENT.match(words[count]):
        count += 1
    if any("$" in word for word in words):
        return None  # quoting is lost in the words, so variables could not be put back as they were
    return SimpleCommand(
        tuple(words[:count]), tuple(words[count:]), re.search(r"['\"\\]", text) is not None
    )
