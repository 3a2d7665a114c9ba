"""``.gitignore`` rules, with the decisions they led to kept from build to build."""

from __future__ import annotations

import re
from collections.abc import Callable

from pathspec import GitIgnoreSpec

from buildnet.mesh.digest import Digest

IGNORE_FILE = ".gitignore"


class IgnoreFile:
    """The rules of one .gitignore file; ``directory`` is where it stands."""

    __slots__ = ("_any", "_spec", "digest", "directory")

    def __init__(self, directory: str, digest: Digest, text: str) -> None:
        self.directory = directory
        self.digest = digest
        self._spec = GitIgnoreSpec.from_lines(text.splitlines())
        expressions = [
            re.sub(r"\(\?P<\w+>", "(?:", pattern.regex.pattern)
            for pattern in self._spec.patterns
            if pattern.include is not None and pattern.regex is not None
        ]
        # One expression tells of most paths at once that no rule is about them.
        self._any = re.compile("|".join(expressions)) if expressions else None

    def check(self, path: str) -> bool | None:
        """Return whether ``path`` (below the directory; a directory ends in ``/``) is ignored.

        None: no rule is about it.
        """
        if self._any is None or not self._any.match(path):
            return None
        return self._spec.check_file(path).include


Chain = tuple[IgnoreFile, ...]
"""The ignore files that are about a directory, the root's first."""


class IgnoreRules:
    """What is known about ignored names of one workspace; outlives the builds.

    A directory's decisions hold as long as the contents of the ignore files above it are the same.
    """

    def __init__(self) -> None:
        self._files: dict[tuple[str, Digest], IgnoreFile] = {}
        self._decisions: dict[str, tuple[Chain, dict[str, bool]]] = {}

    def file(self, directory: str, digest: Digest, read: Callable[[], bytes]) -> IgnoreFile:
        """Return the rules of the file with this digest; ``read`` gets its text if needed."""
        known = self._files.get((directory, digest))
        if known is None:
            content = read()
            known = IgnoreFile(directory, Digest.of(content), content.decode(errors="replace"))
            for old in [key for key in self._files if key[0] == directory]:
                del self._files[old]
            self._files[directory, known.digest] = known
        return known

    def decisions(self, directory: str, chain: Chain) -> dict[str, bool]:
        """Return the decisions about names in ``directory`` so far, to be completed by ``decide``.

        Names of directories end in ``/``.
        """
        known = self._decisions.get(directory)
        if known is None or known[0] != chain:
            known = (chain, {})
            self._decisions[directory] = known
        return known[1]


def decide(chain: Chain, path: str) -> bool:
    """Return whether ``path`` (relative to the workspace) is ignored: the nearest file decides."""
    for ignore_file in reversed(chain):
        at = len(ignore_file.directory) + 1 if ignore_file.directory else 0
        said = ignore_file.check(path[at:])
        if said is not None:
            return said
    return False
