"""Which programs a shell command line starts, as far as its text tells.

Names only: what a script, a Makefile or another program starts in turn is not seen.
"""

from __future__ import annotations

import re
import shlex
from functools import lru_cache

from buildnet.pool.detect.shell_line import pieces

_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_PLAIN = re.compile(r"[\w@%+=:,./-]+")
_ARGUMENT = re.compile(r"-.*|\d+(?:\.\d+)?[smhd]?")
_GRAMMAR = frozenset("! { } ( ) if then elif else fi while until do done time".split())
_STARTERS = frozenset("env nice nohup timeout exec command xargs".split())
_SHELL_WORDS = frozenset(
    ". : [ alias bg break case cd continue echo eval exit export false fg for function getopts hash"
    " in jobs kill local printf pwd read readonly return select set shift test times trap true type"
    " ulimit umask unalias unset wait".split()
)
_OF_THE_SHELL = _SHELL_WORDS | {"exec", "command"}


FIRST_LINE_BYTES = 256
"""As far as the Linux kernel reads the first line of a script."""
_SHEBANG = re.compile(rb"#![ \t]*([^\s]+)[ \t]*([^\n]*)")


def interpreter_words(beginning: bytes) -> tuple[str, ...]:
    """Return what runs a script that begins so: a path, and after ``env`` a name; nothing if it is
    no script."""
    match = _SHEBANG.match(beginning)
    if match is None:
        return ()
    path = match[1].decode(errors="replace")
    if path.rpartition("/")[2] != "env":
        return (path,)
    rest = match[2].decode(errors="replace").split()
    names = [one for one in rest if not one.startswith("-") and not _ASSIGNMENT.match(one)]
    return (path, *names[:1])


@lru_cache(maxsize=4096)
def program_words(command: str) -> tuple[str, ...]:
    """Return the first words of the commands in a line, and what ``env``, ``exec``, ``timeout`` and
    their kin start; without what the shell does itself. Each is a name or a path.

    A line too complicated to be cut is read up to its first command only.
    """
    cut = pieces(command)
    parts = [command] if cut is None else [one.text for one in cut if not one.operator]
    found: dict[str, None] = {}
    for part in parts:
        found.update(dict.fromkeys(_started(part)))
    return tuple(word for word in found if _PLAIN.fullmatch(word))


def _started(part: str) -> list[str]:
    try:
        words = shlex.split(part, comments=True)
    except ValueError:
        words = part.split()
    found: list[str] = []
    starting = False
    for word in words:
        if _ASSIGNMENT.match(word) or (not found and not starting and word in _GRAMMAR):
            continue
        if starting and _ARGUMENT.fullmatch(word):
            continue
        name = word.rpartition("/")[2]
        if name not in _OF_THE_SHELL:
            found.append(word)
        if name not in _STARTERS:
            break
        starting = True
    return found
