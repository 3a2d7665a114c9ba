"""Glob patterns over ``/``-separated paths, many at once, one path component at a time.

``*`` and ``?`` stay within a component, ``**`` spans any number of directories, ``[a-z]`` and
``{a,b}`` mean what they mean in a shell, a backslash takes the next character as it is. Names that
begin with a dot are nothing special. A path without any of these also means all that is below it.

The patterns become one trie, so that a walk costs the same for one pattern and for a thousand, and
descends only where something can match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Set
from functools import lru_cache
from typing import Final

from bracex import ExpansionLimitException
from bracex import expand as expand_braces
from wcmatch import fnmatch

from buildnet.mesh.errors import UsageError

_MAGIC = re.compile(r"(?<!\\)(?:\\\\)*[*?\[{]")
_ESCAPED = re.compile(r"\\(.)")
_SPECIAL = re.compile(r"([*?\[\]{}\\!])")
_BRACE_LIMIT = 10_000
SKIPPED: Final = frozenset({".git", ".hg", ".svn", "node_modules"})
"""Directories that a pattern must name literally to reach."""


class GlobError(UsageError):
    """A pattern that cannot be read."""

    code = "PATTERN"


def is_pattern(text: str) -> bool:
    """Return whether ``text`` is more than a plain path."""
    return _MAGIC.search(text) is not None


def escape(path: str) -> str:
    """Return the pattern that means the plain ``path``."""
    return _SPECIAL.sub(r"\\\1", path)


def unescape(pattern: str) -> str:
    """Return the path that a pattern without wildcards means."""
    return _ESCAPED.sub(r"\1", pattern) if "\\" in pattern else pattern


def leads_out(pattern: str) -> bool:
    """Return whether a path or pattern of any origin may name something outside of its root."""
    plain = unescape(pattern)
    return plain.startswith("/") or ".." in plain.split("/") or "\0" in plain


def expand(pattern: str) -> tuple[str, ...]:
    """Return the patterns that ``{a,b}`` stand for.

    Raises:
        GlobError: the braces stand for too many.
    """
    if "{" not in pattern:
        return (pattern,)
    try:
        return tuple(expand_braces(pattern, keep_escapes=True, limit=_BRACE_LIMIT))
    except ExpansionLimitException:
        raise GlobError(f"{pattern!r} stands for more than {_BRACE_LIMIT:,} patterns") from None


def literal_prefix(pattern: str) -> str:
    """Return the plain directory that everything the pattern (without braces) matches is below.

    For a plain path that is the path itself.
    """
    plain: list[str] = []
    for component in pattern.split("/"):
        if is_pattern(component):
            break
        plain.append(unescape(component))
    return "/".join(plain)


class Node:
    """A place in the trie; see :class:`Patterns` for how walks use it."""

    __slots__ = ("everything", "globstar", "literals", "matches", "reach", "wild")

    def __init__(self) -> None:
        self.literals: dict[str, Node] = {}
        self.wild: list[tuple[Callable[[str], object], Node]] = []
        self.globstar: Node | None = None  # itself, once any directory has been passed
        self.matches: set[int] = set()  # patterns that end here
        self.everything: set[int] = set()  # patterns that hold all that is below
        self.reach: tuple[Node, ...] = ()  # itself and globstar, if that is another


State = tuple[Node, ...]


class Patterns:
    """A set of compiled patterns, numbered in the order given.

    A walk begins with :attr:`start` and calls :meth:`step` with each name it meets. The state that
    comes back tells by :func:`matched` which patterns the path matches, by :func:`everything` which
    hold all that is below, and if it is empty, nothing below can match.
    """

    __slots__ = ("patterns", "start")

    def __init__(self, patterns: Iterable[str], *, reach_below: bool = False) -> None:
        """Compile; ``reach_below``: what matches includes, for directories, all that is below."""
        self.patterns = tuple(patterns)
        root = Node()
        for number, pattern in enumerate(self.patterns):
            for plain in expand(pattern):
                _insert(root, plain, number, reach_below)
        self.start: State = (root,)

    @staticmethod
    def step(state: State, name: str) -> State:
        """Return the state one component further."""
        after: list[Node] = []
        skipped = name in SKIPPED
        for node in state:
            for here in node.reach or (node,):
                if name in here.literals:
                    after.append(here.literals[name])
                if here.wild and not skipped:
                    for matches, child in here.wild:
                        if matches(name):
                            after.append(child)
            if node.globstar is not None and not skipped:
                after.append(node.globstar)
        # Two of one would do no harm, but they would double with each step.
        return tuple(dict.fromkeys(after)) if len(after) > 2 else tuple(after)

    def matching(self, path: str) -> frozenset[int]:
        """Return the numbers of the patterns that the file at ``path`` matches."""
        state = self.start
        held: Set[int] = frozenset()
        for name in path.split("/"):
            held = frozenset() if name in SKIPPED else held | everything(state)
            state = self.step(state, name)
        return frozenset(held | matched(state))

    def at_or_below(self, path: str) -> frozenset[int]:
        """Return the numbers of the patterns that may match ``path`` or something below it, if that
        is a directory."""
        state = self.start
        found: Set[int] = frozenset()
        for name in path.split("/"):
            found = frozenset() if name in SKIPPED else found | everything(state)
            state = self.step(state, name)
        seen: set[Node] = set()
        waiting = [each for node in state for each in node.reach or (node,)]
        while waiting:
            node = waiting.pop()
            if node not in seen:
                seen.add(node)
                found = found | node.matches | node.everything
                waiting += [*node.literals.values(), *(child for _, child in node.wild)]
                waiting += [node.globstar] if node.globstar is not None else []
        return frozenset(found)

    def leading_into(self, path: str) -> frozenset[int]:
        """Return the numbers of the patterns that reach into ``path`` other than by ``**``."""
        state = self.start
        for name in path.split("/"):
            state = self.step(state, name)
        found: set[int] = set()
        waiting = [node for node in state if node.globstar is not node]
        while waiting:
            node = waiting.pop()
            below = [*node.literals.values(), *(child for _, child in node.wild)]
            found = found.union(*(child.matches | child.everything for child in below))
            waiting += below
        return frozenset(found)


def matched(state: State) -> Set[int]:
    """Return the numbers of the patterns that end at ``state``."""
    return _united([node.matches for node in state if node.matches])


def everything(state: State) -> Set[int]:
    """Return the numbers of the patterns that hold all that is below ``state``."""
    return _united([node.everything for node in state if node.everything])


def is_reached(patterns: Patterns, path: str) -> bool:
    """Return whether patterns match ``path`` or a directory that it lies in."""
    state = patterns.start
    for name in path.split("/"):
        state = patterns.step(state, name)
        if not state:
            return False
        if matched(state) or everything(state):
            return True
    return False


def _united(found: list[set[int]]) -> Set[int]:
    return found[0] if len(found) == 1 else frozenset().union(*found)


def _insert(root: Node, pattern: str, number: int, reach_below: bool) -> None:
    components = [one for one in pattern.split("/") if one not in {"", "."}]
    below_only = pattern.endswith("/") or not components
    while components and components[-1] == "**":
        components.pop()
        below_only = True
    node = root
    for component in components:
        if component == "**":
            if node.globstar is None:
                star = node.globstar = Node()
                star.globstar = star
                node.reach = (node, star)
            node = node.globstar
        elif is_pattern(component):
            matches = _matcher(component)
            known = next((child for same, child in node.wild if same is matches), None)
            if known is None:
                known = Node()
                node.wild.append((matches, known))
            node = known
        else:
            node = node.literals.setdefault(unescape(component), Node())
    if not below_only:
        node.matches.add(number)
    if below_only or reach_below or not is_pattern(pattern):
        node.everything.add(number)


@lru_cache(maxsize=4096)
def _matcher(component: str) -> Callable[[str], object]:
    """Return what tells whether a name matches one component; the same object for the same text."""
    (expression,), _ = fnmatch.translate(component, flags=fnmatch.DOTMATCH | fnmatch.CASE)
    return re.compile(expression).fullmatch
