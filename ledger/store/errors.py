"""What may go wrong with the ledger's file, in words that name it and the remedy."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from buildnet.ledger.sqlite_errors import SqliteErrors
from buildnet.mesh.errors import BuildNetError


class LedgerError(BuildNetError):
    """The ledger's file can't be opened, read or written. What is recorded is unharmed.

    - :class:`LedgerFullError`: no room
    - :class:`LedgerDamagedError`: it is not what was written
    - :class:`PrunedError`: what is asked for was pruned
    - :class:`ContradictionError`: what was to be written contradicts what is there
    """

    code = "LEDGER"
    exit_code = 2
    http_status = 503


class LedgerFullError(LedgerError):
    """The volume has no room left: nothing is appended until there is some."""

    code = "LEDGER_FULL"
    exit_code = 5
    http_status = 507


class LedgerDamagedError(LedgerError):
    """Something in the file is not what was written; it is not served."""

    code = "LEDGER_DAMAGED"


class PrunedError(LedgerError):
    """Only the hash of an entry was kept."""

    code = "LEDGER_PRUNED"
    http_status = 410


class ContradictionError(LedgerError):
    """What was to be written contradicts itself or what is there: to try again is in vain."""

    code = "LEDGER_CONTRADICTION"
    http_status = 500


def damaged(path: Path, cause: str) -> LedgerDamagedError:
    """Return the error of a file that can't be trusted as a whole."""
    return LedgerDamagedError(
        f"the ledger {path} is damaged",
        cause=cause,
        hint="buildnet ledger verify tells where. If that says the same: stop the node, move the "
        f"file and what begins with {path.name}- away (not {path.name}.fence) and start it: it "
        "fetches the ledger from its peers; a node without peers needs a backup",
    )


_FILE = SqliteErrors(
    "the ledger",
    LedgerError,
    LedgerFullError,
    "what is recorded is unharmed, and the node goes on by itself",
    damaged,
)


def errors_of(path: Path) -> AbstractContextManager[None]:
    """Say SQLite's errors within in words."""
    return _FILE.of(path)
