"""Copies of the ledger for those who take them away: files without names, so that nothing is left
of one however its reader ends; each is as large as the ledger, so there are few at once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO
from weakref import WeakSet

from buildnet.node.auth.refusal import TooManyRequestsError

MOST_COPIES = 4
_AGAIN_S = 30.0


class Copies:
    """Those in ``directory``, as it is then. One counts until it is closed, or nobody has it any
    more."""

    def __init__(self, directory: Callable[[], Path]) -> None:
        self._directory = directory
        self._open: WeakSet[IO[bytes]] = WeakSet()

    def begin(self) -> IO[bytes]:
        """Return an empty file.

        Raises:
            TooManyRequestsError: there are as many as may be.
        """
        if sum(not each.closed for each in self._open) >= MOST_COPIES:
            raise TooManyRequestsError(
                f"{MOST_COPIES} copies of the ledger are on their way already",
                _AGAIN_S,
                hint="wait until one of them is there",
            )
        file: IO[bytes] = tempfile.TemporaryFile(dir=self._directory())  # noqa: SIM115
        self._open.add(file)
        return file
