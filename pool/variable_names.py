"""Which environment variables a text asks for, as programs of many languages write that. Pure.

A program asks for a variable inside of its own memory, where nobody hears it; so the files that it
read are looked at instead. What is put together at run time is missed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

MAX_TEXT_BYTES = 1 << 20
"""Longer files are not looked at: they are made, or data."""
MOST_NAMES = 1000
"""Of one file."""
_NAME = r"(?P<name>[A-Za-z_][A-Za-z0-9_]{1,63})"
_SCRIPT = re.compile(
    "|".join(
        form.replace("NAME", _NAME, 1).replace("?P<name>", f"?P<n{number}>")
        for number, form in enumerate(
            (
                r"process\.env\.NAME",
                r"process\.env\[\s*['\"`]NAME['\"`]\s*\]",
                r"import\.meta\.env\.NAME",
                r"(?:Deno|Bun)\.env(?:\.get\(\s*['\"`]|\.|\[\s*['\"])NAME",
                r"os\.environ(?:\.get\(|\.pop\(|\.setdefault\(|\[)\s*f?['\"]NAME['\"]",
                r"(?:os\.getenv|\bgetenv|os\.Getenv|os\.LookupEnv|secure_getenv)"
                r"\(\s*['\"]NAME['\"]",
                r"\benv(?:::var(?:_os)?\(|!\(|::\w+!\(|\.fetch\(|\[)\s*['\"]NAME['\"]",
                r"\bENV(?:\.fetch\(|\[)\s*['\"]NAME['\"]",
                r"System\.getenv\(\s*['\"]NAME['\"]",
                r"\boption_env!\(\s*['\"]NAME['\"]",
                r"\$ENV\{NAME\}",
            )
        )
    )
)
_TAKEN_APART = re.compile(r"\{([^{}]{1,400})\}\s*=\s*(?:process|import\.meta)\.env\b")
_SHELL = re.compile(r"(?<![\\\w])\$\{?" + _NAME)
_ASSIGNED = re.compile(r"(?:^|[\s;(])(?:(?:export|local|readonly)\s+){0,2}" + _NAME + r"=", re.M)
_READ_OR_LOOP = re.compile(r"\b(?:for|read(?:\s+-\w+){0,8})\s+" + _NAME)
_SHELL_ENDINGS = (".sh", ".bash", ".zsh", ".ksh")
_GIVEN = frozenset(
    # What every command gets, or what a shell has by itself.
    "PATH HOME TMPDIR TMP TEMP TZ LANG PWD OLDPWD SHLVL SHELL USER LOGNAME IFS OPTARG OPTIND PPID "
    "RANDOM LINENO SECONDS HOSTNAME UID EUID BASH_SOURCE BASH_VERSION FUNCNAME PIPESTATUS "
    "SOURCE_DATE_EPOCH BUILDNET_ACTION".split()
)


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """A variable that a file asks for, at a line from 1 on; in the command itself: line 0."""

    name: str
    file: str
    line: int

    def as_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return asdict(self)


def mentions_in(file: str, text: str) -> Iterator[Mention]:
    """Find the variables that the text of a file asks for, each once."""
    seen: set[str] = set()
    for name, at in _names(file, text):
        if name not in seen and name not in _GIVEN:
            seen.add(name)
            yield Mention(name, file, text.count("\n", 0, at) + 1)
            if len(seen) >= MOST_NAMES:
                return


def mentions_in_command(command: str, within: str) -> Iterator[Mention]:
    """Find the variables that a shell's command line asks for; ``within``: what to call it."""
    own = _assigned(command)
    for name in dict.fromkeys(match["name"] for match in _SHELL.finditer(command)):
        if name not in own and name not in _GIVEN:
            yield Mention(name, within, 0)


def first_of_each(mentions: Iterable[Mention]) -> tuple[Mention, ...]:
    """Return one mention of each variable, by name."""
    found: dict[str, Mention] = {}
    for one in sorted(mentions):
        found.setdefault(one.name, one)
    return tuple(found.values())


def _names(file: str, text: str) -> Iterator[tuple[str, int]]:
    if _is_shell(file, text):
        own = _assigned(text)
        for match in _SHELL.finditer(text):
            if match["name"] not in own:
                yield match["name"], match.start()
    for match in _SCRIPT.finditer(text):
        for name in match.groups():
            if name is not None:
                yield name, match.start()
    for match in _TAKEN_APART.finditer(text):
        for part in match[1].split(","):
            name = part.strip().partition(":")[0].partition("=")[0].strip()
            if re.fullmatch(_NAME, name):
                yield name, match.start()


def _assigned(text: str) -> set[str]:
    found = {match["name"] for match in _ASSIGNED.finditer(text)}
    return found | {match["name"] for match in _READ_OR_LOOP.finditer(text)}


def _is_shell(file: str, text: str) -> bool:
    if posixpath.splitext(file)[1] in _SHELL_ENDINGS:
        return True
    first = text[:80].partition("\n")[0]
    return first.startswith("#!") and first.rstrip().endswith(("sh", "sh -e", "sh -eu"))
