"""Decisions about ignored names, kept from build to build."""

from __future__ import annotations

from collections.abc import Callable

from buildnet.mesh.digest import Digest
from buildnet.pool.ignore_file import Chain, IgnoreFile


class IgnoreRules:
    """What is known about ignored names of one workspace; outlives the builds.

    A directory's decisions hold as long as the contents of the ignore files above it are the same.
    """

    def __init__(self) -> None:
        self._files: dict[str, IgnoreFile] = {}
        self._decisions: dict[str, tuple[Chain, dict[str, bool]]] = {}

    def file(self, directory: str, digest: Digest, read: Callable[[], bytes]) -> IgnoreFile:
        """Return the rules of the file with this digest; ``read`` gets its text if needed."""
        known = self._files.get(directory)
        if known is None or known.digest != digest:
            known = self._files[directory] = IgnoreFile(directory, read())
        return known

    def decisions(self, directory: str, chain: Chain) -> dict[str, bool]:
        """Return the decisions about names in ``directory`` so far; the reader adds to them.

        Names of directories end in ``/``.
        """
        known = self._decisions.get(directory)
        if known is None or known[0] != chain:
            known = self._decisions[directory] = (chain, {})
        return known[1]
