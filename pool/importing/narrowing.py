"""Which directories of a package are another task's, as far as lists of inputs tell.

Other tools show a command all files and only key it by its inputs, so lists of inputs leave out
much that commands read. What is not listed is therefore shown here too, except directories that the
inputs of another task of the package name, and those that hold tests: a build does not begin anew
for these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from buildnet.pool.glob import is_pattern

_TESTS = ("test", "tests", "__tests__", "e2e", "cypress", "playwright")


class Narrowing:
    """The directories of one package; ``inputs``: what each of its tasks lists, ``outputs``: what
    its build writes, which is never a source."""

    def __init__(
        self, directory: Path, inputs: Mapping[str, Iterable[str]], outputs: Iterable[str]
    ) -> None:
        self._directory = directory
        self._built = frozenset(one.removesuffix("/**").rpartition("/")[2] for one in outputs)
        self._inputs = {name: tuple(patterns) for name, patterns in inputs.items()}

    def left_out(self, task: str) -> tuple[str, ...]:
        """Return the directories, relative to the package, that are not the task's."""
        own = _directories(self._inputs[task])
        if own is None:
            return ()
        others = (_directories(patterns) or () for patterns in self._inputs.values())
        named = dict.fromkeys(one for directories in others for one in directories)
        return tuple(
            one
            for one in dict.fromkeys((*named, *_TESTS))
            if one not in own and one not in self._built and (self._directory / one).is_dir()
        )


def _directories(patterns: Iterable[str]) -> tuple[str, ...] | None:
    """Return the directories of the package that patterns name; None: they may lie in any."""
    found: dict[str, None] = {}
    for pattern in patterns:
        if pattern.startswith(("!", "../", "$TURBO_ROOT$")):
            continue
        first, below, _ = pattern.removeprefix("./").partition("/")
        if first == "**" or (below and is_pattern(first)) or first.startswith("$"):
            return None
        found[first] = None
    return tuple(found)
