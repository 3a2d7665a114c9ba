"""Outputs that would replace what git tracks: almost always a wrong ``output_dir``."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.execute.declared import DeclaredOutputs
from buildnet.pool.git_files import tracked_files
from buildnet.pool.glob import Patterns, literal_prefix


class TrackedOutputError(BuildNetError):
    """A package's outputs would replace files that git tracks."""

    code = "OUTPUT_TRACKED"
    exit_code = 2
    http_status = 409


class TrackedFiles:
    """What git tracks at the outputs of one workspace; git is asked at most once.

    Args:
        outputs: the outputs of all tasks.
    """

    def __init__(self, root: Path, outputs: Iterable[str]) -> None:
        self._root = root
        self._whole: dict[str, str] = {}
        patterns: list[str] = []
        for output in outputs:
            declared = DeclaredOutputs([output])
            self._whole.update(dict.fromkeys((*declared.plain, *declared.optional), output))
            patterns += declared.patterns.patterns
        self._patterns = Patterns(patterns)
        self._found: Mapping[str, str] | None = None

    def require_none(self, outputs: tuple[str, ...]) -> None:
        """See that git tracks nothing where these outputs go.

        Raises:
            TrackedOutputError: it does.
        """
        if not any(os.path.lexists(self._root / literal_prefix(output)) for output in outputs):
            return
        if self._found is None:
            self._found = self._tracked()
        for output in outputs:
            if output in self._found:
                raise TrackedOutputError(
                    f"the output {output} would replace {self._found[output]}, which git tracks",
                    hint="correct the package's outputs; if the file is generated and committed "
                    "on purpose, build once with --force",
                )

    def _tracked(self) -> dict[str, str]:
        """Return for each output that git tracks something of the first such file."""
        found: dict[str, str] = {}
        for name in tracked_files(self._root):
            end = len(name)
            while end > 0:  # of an output that is taken as a whole, all that is below
                if name[:end] in self._whole:
                    found.setdefault(self._whole[name[:end]], name)
                end = name.rfind("/", 0, end)
            for number in self._patterns.matching(name):
                found.setdefault(self._patterns.patterns[number], name)
        return found
