"""Why a command may have failed: what it looked for and did not find in its stage."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.pool.tree import DirectoryTree

Stage = Path | DirectoryTree
"""Where a command ran; of one that ran on another host, what it was given there."""

HINTS_AT_MOST = 5
LOG_TAIL_BYTES = 64 << 10

_CANDIDATES_AT_MOST = 300
_DIRECTORIES_AT_MOST = 20
_UNDECLARED_SHOWN = 3
_TOO_LARGE_A_FILE = 128 + signal.SIGXFSZ
_COMPLAINT = re.compile(
    r"no such file|not found|cannot find|can't find|can ?not open|can't open|cannot open|enoent"
    r"|does not exist|doesn't exist|could not (?:open|find|read|load|resolve)|unable to"
    r"|no module named|failed to (?:open|find|load|resolve|read)|no rule to make target",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w@+~./-]+")
_PYTHON_MODULE = re.compile(r"No module named '([\w.]+)'")
_COMMAND_NOT_FOUND = re.compile(r"^.*?([^\s:]+): (?:command )?not found$", re.MULTILINE)
_NOT_SPAWNED = re.compile(r"\bspawn ([\w.+-]+) ENOENT\b")  # a program of Node.js found no other
_MODULE_ENDINGS = ("", ".js", ".ts", ".mjs", ".cjs", ".tsx", ".jsx", ".json", ".py", ".h")
_MODULE_ENTRIES = ("/index.js", "/index.ts", "/package.json", "/__init__.py")
_HIDDEN = {".git", ".hg", ".svn", "node_modules"}


def hints_of_failure(
    log_tail: str,
    exit_code: int,
    stage: Stage,
    working_directory: str,
    workspace: Path | None,
    seen_at: str | None = None,
    outputs: Sequence[str] = (),
) -> tuple[str, ...]:
    """Return what a failed command's output suggests, at most :data:`HINTS_AT_MOST` sentences.

    ``seen_at`` is where the command saw ``stage``, if not there. ``outputs`` are no inputs.
    """
    hints: list[str] = []
    declared = DeclaredOutputs(outputs)
    if exit_code == _TOO_LARGE_A_FILE:
        hints.append("a file grew beyond what the package may write: raise disk in buildnet.yaml")
    if exit_code == 127:
        hints += (
            f"command not found: {command}: install it on this host, or add the package that "
            "provides it to dependencies"
            for command in dict.fromkeys(_COMMAND_NOT_FOUND.findall(log_tail))
        )
    hints += (
        f"command not found: {command}: add it to tools of the package"
        for command in dict.fromkeys(_NOT_SPAWNED.findall(log_tail))
    )
    if workspace is not None:
        hints += (
            f"{path} exists in the workspace but is not an input of this package: add it to "
            "sources, or add the package that owns it to dependencies"
            for path in undeclared_inputs(log_tail, stage, working_directory, workspace, seen_at)
            if not declared.covers(path)
        )
        hints += (
            f"{path} lies outside of this package, in a directory that its stage does not have: if "
            "the command writes it, add it to outputs; if it reads it, add it to sources, or the "
            "package that makes it to dependencies"
            for path in reached_elsewhere(log_tail, stage, working_directory, seen_at)
            if not (workspace / path).is_file()
        )
    return tuple(dict.fromkeys(hints))[:HINTS_AT_MOST]


def hint_of_undeclared(paths: Sequence[str]) -> str:
    """Return what to do about files that a command wrote besides its outputs."""
    shown = ", ".join(paths[:_UNDECLARED_SHOWN])
    more = " and others" if len(paths) > _UNDECLARED_SHOWN else ""
    return f"it wrote {shown}{more}, which no output covers, so that is not kept: add it to outputs"


def undeclared_inputs(
    log_tail: str,
    stage: Stage,
    working_directory: str,
    workspace: Path,
    seen_at: str | None = None,
) -> tuple[str, ...]:
    """Return the paths that complaints name, that the stage lacks and the workspace has."""
    roots = _roots(stage, seen_at)
    # A relative path is relative to the working directory, to the root, or to the file at fault.
    mentioned = [
        path.rpartition("/")[0]
        for word in _WORD.findall(log_tail)
        if "/" in word
        for path in _inside(word, roots, [working_directory, ""])
        if _has(stage, path) and not _has_directory(stage, path)
    ]
    directories = list(dict.fromkeys([working_directory, "", *mentioned]))[:_DIRECTORIES_AT_MOST]
    found: dict[str, None] = {}
    for candidate in _candidates(log_tail, roots, directories):
        if not _has(stage, candidate) and (workspace / candidate).is_file():
            found[candidate] = None
            if len(found) == HINTS_AT_MOST:
                break
    return tuple(found)


def reached_elsewhere(
    log_tail: str, stage: Stage, working_directory: str, seen_at: str | None = None
) -> tuple[str, ...]:
    """Return the absolute paths below the root that complaints name, beside the package and in
    directories that the stage lacks: a command that writes there fails."""
    found: dict[str, None] = {}
    if not working_directory:
        return ()
    roots = _roots(stage, seen_at)
    for line in log_tail.splitlines():
        if not _COMPLAINT.search(line):
            continue
        for word in _WORD.findall(line)[:_CANDIDATES_AT_MOST]:
            for path in _inside(word.rstrip("."), roots, []):
                beside = not f"{path}/".startswith(f"{working_directory}/")
                is_there = _has_directory(stage, os.path.dirname(path))
                if beside and not _HIDDEN.intersection(path.split("/")) and not is_there:
                    found[path] = None
    return tuple(found)[:HINTS_AT_MOST]


def _roots(stage: Stage, seen_at: str | None) -> set[str]:
    places = {str(stage), os.path.realpath(stage)} if isinstance(stage, Path) else set()
    return places | ({seen_at} if seen_at else set())


def _has(stage: Stage, path: str) -> bool:
    if isinstance(stage, Path):
        return os.path.lexists(stage / path)
    return stage.find(path) is not None


def _has_directory(stage: Stage, path: str) -> bool:
    if isinstance(stage, Path):
        return (stage / path).is_dir()
    return isinstance(stage.find(path), DirectoryTree)


def _candidates(log_tail: str, roots: set[str], directories: list[str]) -> Iterator[str]:
    words: dict[str, None] = {}
    for line in log_tail.splitlines():
        if _COMPLAINT.search(line):
            words.update(dict.fromkeys(_WORD.findall(line)))
            words.update(
                dict.fromkeys(name.replace(".", "/") for name in _PYTHON_MODULE.findall(line))
            )
    for word in list(words)[:_CANDIDATES_AT_MOST]:
        for path in _inside(word.rstrip("."), roots, directories):
            if not _HIDDEN.intersection(path.split("/")):
                for ending in (*_MODULE_ENDINGS, *_MODULE_ENTRIES):
                    yield path + ending


def _inside(word: str, roots: set[str], directories: list[str]) -> Iterator[str]:
    """Yield the places below the root that a path in the output may mean."""
    if word.startswith("/"):
        places = [word.removeprefix(root + "/") for root in roots if word.startswith(root + "/")]
    else:
        places = [f"{directory}/{word}" if directory else word for directory in directories]
    for place in places:
        path = os.path.normpath(place)
        if path != "." and not path.startswith(("/", "../")) and path != "..":
            yield path
