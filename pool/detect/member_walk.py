"""Finding the directories that patterns of a workspace's declaration name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from buildnet.pool.glob import Patterns, State, matched


class MemberWalk:
    """Finds directories with a file ``manifest``, looking only where ``patterns`` lead.

    ``!pattern`` excludes. ``seen`` are the files and directories whose change can change what is
    found.
    """

    def __init__(self, root: Path, manifest: str, patterns: Iterable[str]) -> None:
        self._root = root
        self._manifest = manifest
        declared = [pattern.strip() for pattern in patterns]
        self._wanted = Patterns(self._files(one for one in declared if not one.startswith("!")))
        self._unwanted = Patterns(
            self._files(one.removeprefix("!") for one in declared if one.startswith("!"))
        )
        self._found: list[str] = []
        self.seen: set[str] = set()

    def paths(self) -> tuple[str, ...]:
        """Return the members' directories, sorted; the root is none of them."""
        waiting = [("", self._wanted.start)]
        while waiting:  # a path may be deeper than calls may be nested
            path, state = waiting.pop()
            if matched(self._wanted.step(state, self._manifest)):
                where = f"{path}/{self._manifest}" if path else self._manifest
                if self._unwanted.matching(where):
                    continue
                self.seen.add(where)
                if os.path.isfile(f"{self._root}/{where}"):
                    self._found.append(path)
            for name in self._below(path, state):
                after = self._wanted.step(state, name)
                if after:
                    waiting.append((f"{path}/{name}" if path else name, after))
        return tuple(path for path in sorted(self._found) if path)

    def _below(self, path: str, state: State) -> Iterable[str]:
        if not any(node.wild or node.globstar for node in state):
            return sorted({name for node in state for name in node.literals} - {self._manifest})
        self.seen.add(path or ".")
        try:
            with os.scandir(f"{self._root}/{path}") as entries:
                return sorted(
                    entry.name for entry in entries if entry.is_dir(follow_symlinks=False)
                )
        except OSError:  # it is not there, or somebody else's: no member lies there
            return ()

    def _files(self, patterns: Iterable[str]) -> list[str]:
        return [f"{pattern.rstrip('/')}/{self._manifest}" for pattern in patterns]
