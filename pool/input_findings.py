"""What a command read beside what its task declares, and what to write into the file. Pure."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from buildnet.pool.variable_names import Mention

MOST_TOLD = 200
"""Paths of one kind in a report."""
_ALIKE = 5
"""So many files of one directory and kind are proposed as a pattern."""
SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/proc", "/sys", "/dev", "/run")
"""What commands find everywhere, or what their tools are: no inputs that could be declared."""
_SYSTEM_FILES = (
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/resolv.conf",
    "/etc/gai.conf",
    "/etc/locale.alias",
    "/etc/mime.types",
    "/etc/os-release",
    "/etc/services",
    "/etc/protocols",
)
_ALTERNATIVES = ("/etc/alternatives/", "/etc/ssl/")
_OURS = (".git", ".hg", ".svn")


@dataclass(frozen=True, slots=True)
class InputFindings:
    """What was found in one run of a task's command; paths from the workspace's root.

    ``undeclared`` were read and are no inputs, or would have been, had the package that makes them
    been built before; ``unread`` are inputs of its own package that this
    run did not read; ``host`` are files beyond workspace and system, absolute; ``proposal`` are
    keys to add to the package in buildnet.yaml; ``unset``: variables that its files ask for and
    that are not set here; ``unseen``: openings whose path is not known; ``left_out``: paths that
    are missing in these lists.
    """

    undeclared: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    variables: tuple[Mention, ...] = ()
    unset: tuple[Mention, ...] = ()
    proposal: Mapping[str, tuple[str, ...]] | None = None
    unseen: int = 0
    left_out: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON form; field names are stable."""
        return {
            "undeclared": list(self.undeclared),
            "unread": list(self.unread),
            "host": list(self.host),
            "variables": [one.as_dict() for one in self.variables],
            "unset": [one.as_dict() for one in self.unset],
            "proposal": {name: list(values) for name, values in (self.proposal or {}).items()},
            "unseen": self.unseen,
            "left_out": self.left_out,
        }


@dataclass(frozen=True, slots=True)
class Traced:
    """What is known of a task whose command was traced.

    ``read``: absolute paths of files; ``missing``: of those that it would have read, were they
    there; ``root``: the workspace's; ``inputs``: what it may read, from
    the root; ``path``: of its package; ``is_output``: whether a path is made by the task itself;
    ``maker_of``: which package a path is made by, None: none; ``hidden``: directories below which
    nothing is declared, such as what is installed.
    """

    read: Collection[str]
    root: str
    inputs: Collection[str]
    path: str
    is_output: Callable[[str], bool]
    maker_of: Callable[[str], str | None] = lambda path: None
    missing: Collection[str] = ()
    hidden: tuple[str, ...] = ()
    mentions: Sequence[Mention] = ()
    declared_variables: Collection[str] = ()
    variables_here: Collection[str] = ()
    unseen: int = 0


def findings(traced: Traced) -> InputFindings:
    """Return what a task's command read beside what is declared."""
    inside: set[str] = set()
    host: set[str] = set()
    for path in traced.read:
        below = _below(path, traced.root)
        if below is not None:
            inside.add(below)
        elif not _is_system(path):
            host.add(path)
    for path in traced.missing:  # in another order of things it would be there
        below = _below(path, traced.root)
        if below is not None and traced.maker_of(below) is not None:
            inside.add(below)
    inputs = set(traced.inputs)
    undeclared = sorted(
        path
        for path in inside - inputs
        if not traced.is_output(path)
        and not _is_ours(path)
        and not any(_below(path, one) is not None for one in traced.hidden)
    )
    own = {path for path in inputs if _below(path, traced.path) is not None}
    unread = sorted(own - inside)
    named = [one for one in traced.mentions if one.name not in traced.declared_variables]
    wanted = tuple(one for one in named if one.name in traced.variables_here)
    lists = (undeclared, unread, sorted(host))
    return InputFindings(
        undeclared=tuple(lists[0][:MOST_TOLD]),
        unread=tuple(lists[1][:MOST_TOLD]),
        host=tuple(lists[2][:MOST_TOLD]),
        variables=wanted,
        unset=tuple(one for one in named if one.name not in traced.variables_here),
        proposal=_proposal(undeclared, wanted, traced.maker_of),
        unseen=traced.unseen,
        left_out=sum(max(0, len(one) - MOST_TOLD) for one in lists),
    )


def _proposal(
    undeclared: Iterable[str],
    variables: Iterable[Mention],
    maker_of: Callable[[str], str | None],
) -> dict[str, tuple[str, ...]]:
    """Return keys for the package: other packages whose outputs were read, files, variables."""
    makers: set[str] = set()
    sources: list[str] = []
    for path in undeclared:
        maker = maker_of(path)
        if maker is None:
            sources.append(path)
        else:
            makers.add(maker)
    found = {
        "dependencies": tuple(sorted(makers)),
        "extra_sources": patterns_of(sources),
        "env_inherit": tuple(sorted({one.name for one in variables})),
    }
    return {name: values for name, values in found.items() if values}


def patterns_of(paths: Iterable[str]) -> tuple[str, ...]:
    """Return paths, many alike of one directory as one pattern."""
    kinds = {path: (posixpath.dirname(path), posixpath.splitext(path)[1]) for path in paths}
    many = {kind for kind, count in Counter(kinds.values()).items() if count >= _ALIKE and kind[1]}
    found = {
        (f"{kind[0]}/" if kind[0] else "") + f"*{kind[1]}" if kind in many else path: None
        for path, kind in kinds.items()
    }
    return tuple(sorted(found))


def _below(path: str, directory: str) -> str | None:
    """Return a path from a directory on that it lies in, or is; None: it does not."""
    if directory in ("", "."):
        return path
    if path == directory:
        return ""
    prefix = directory.rstrip("/") + "/"
    return path[len(prefix) :] if path.startswith(prefix) else None


def _is_system(path: str) -> bool:
    return (
        path in _SYSTEM_FILES
        or path.startswith(_ALTERNATIVES)
        or any(_below(path, one) is not None for one in SYSTEM)
    )


def _is_ours(path: str) -> bool:
    return path.partition("/")[0] in _OURS or path == "buildnet.yaml"
