"""The rules of ``.gitignore`` files."""

from __future__ import annotations

import re

from pathspec import GitIgnoreSpec

from buildnet.mesh.digest import Digest

IGNORE_FILE = ".gitignore"


class IgnoreFile:
    """The rules of one .gitignore file; ``directory`` is where it stands, ``digest`` its text's."""

    __slots__ = ("_any", "_spec", "digest", "directory")

    def __init__(self, directory: str, content: bytes) -> None:
        self.directory = directory
        self.digest = Digest.of(content)
        self._spec = GitIgnoreSpec.from_lines(content.decode(errors="replace").splitlines())
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


def is_ignored(chain: Chain, path: str) -> bool:
    """Return whether ``path`` (relative to the workspace) is ignored: the nearest file decides.

    Directories above it that are ignored are for the caller to notice.
    """
    for ignore_file in reversed(chain):
        at = len(ignore_file.directory) + 1 if ignore_file.directory else 0
        said = ignore_file.check(path[at:])
        if said is not None:
            return said
    return False
