"""The outputs that an action declares: plain paths, whole directories, patterns."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from buildnet.pool.glob import Patterns, is_pattern, literal_prefix, unescape


class DeclaredOutputs:
    """Declared outputs by kind, relative to the input root.

    ``plain`` paths must exist after the command (file, directory or link). ``optional`` paths
    (written ``directory/**``) are taken as a whole too but may be absent. ``patterns`` match files
    that the command wrote.
    """

    def __init__(self, outputs: Iterable[str]) -> None:
        plain: list[str] = []
        optional: list[str] = []
        patterns: list[str] = []
        for output in outputs:
            if not is_pattern(output):
                plain.append(unescape(output).strip("/"))
            elif _is_directory(output):
                optional.append(unescape(output.removesuffix("/**")).strip("/"))
            else:
                patterns.append(output)
        self.plain = tuple(dict.fromkeys(plain))
        self.optional = tuple(path for path in dict.fromkeys(optional) if path not in self.plain)
        self.patterns = Patterns(patterns)
        self.pattern_roots = tuple(sorted({literal_prefix(pattern) for pattern in patterns}))
        self._whole = frozenset((*self.plain, *self.optional))

    def is_whole(self, path: str) -> bool:
        """Whether exactly this path is declared as a whole."""
        return path in self._whole

    def covers(self, path: str) -> bool:
        """Whether a file at ``path`` is a declared output."""
        return self._is_in_whole(path) or self._matches(path)

    def is_matched(self, path: str) -> bool:
        """Whether a file at ``path`` is an output only because a pattern matches it."""
        return not self._is_in_whole(path) and self._matches(path)

    def _is_in_whole(self, path: str) -> bool:
        end = len(path)
        while end > 0:
            if path[:end] in self._whole:
                return True
            end = path.rfind("/", 0, end)
        return False

    def _matches(self, path: str) -> bool:
        return bool(self.patterns.patterns) and bool(self.patterns.matching(path))

    def outermost(self) -> tuple[str, ...]:
        """Return the paths declared as a whole that are not below another such path, sorted."""
        found: list[str] = []
        for path in sorted(self._whole, key=lambda path: path.split("/")):
            if not found or not path.startswith(found[-1] + "/"):
                found.append(path)
        return tuple(found)


@lru_cache(maxsize=4096)
def kinds_of(outputs: tuple[str, ...]) -> DeclaredOutputs:
    """Return an action's declared outputs by kind; they are asked for each time it is looked at."""
    return DeclaredOutputs(outputs)


def has_patterns(outputs: Iterable[str]) -> bool:
    """Return whether some outputs are patterns of files, not paths or whole directories."""
    return any(is_pattern(output) and not _is_directory(output) for output in outputs)


def _is_directory(output: str) -> bool:
    return output.endswith("/**") and not is_pattern(output.removesuffix("/**"))
