"""What may keep the ledger from recording something."""

from __future__ import annotations

from buildnet.mesh.errors import BuildNetError


class NotSealedError(BuildNetError):
    """An entry is on this node's disk, and a majority of the voters did not confirm it in time."""

    code = "NOT_SEALED"
    exit_code = 3
    http_status = 504


class NoSealsError(BuildNetError):
    """Nothing can be sealed now: no coordinator has a majority of the voters."""

    code = "NO_QUORUM"
    exit_code = 3
    http_status = 503


class FactConflictError(BuildNetError):
    """A shared fact is not in the version that a change expected."""

    code = "CONFLICT"
    exit_code = 1
    http_status = 409


class FactRefusedError(BuildNetError):
    """The coordinator does not record a change."""

    code = "REFUSED"
    exit_code = 4
    http_status = 403


class LedgerStoppedError(BuildNetError):
    """The ledger closed before the outcome was known."""

    code = "STOPPING"
    exit_code = 3
    http_status = 503
