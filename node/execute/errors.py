"""Errors of running actions.

ExecutionError
├── StageError          the private directory of an action cannot be made
│   └── StageFullError  … because the disk is full
├── OutputError         a command left something that cannot be an output
└── DeliveryError       outputs cannot be put into the workspace
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from buildnet.mesh.errors import BuildNetError
from buildnet.node.store.errors import StoreFullError, is_disk_full


class ExecutionError(BuildNetError):
    """An action could not be run or its results not be used; says nothing about its command."""

    code = "EXECUTION"


class StageError(ExecutionError):
    """The private directory of an action cannot be made."""

    code = "STAGE"


class StageFullError(StageError):
    """The disk that holds the stages is full."""

    code = "STAGE_FULL"
    exit_code = 5
    http_status = 507


class OutputError(ExecutionError):
    """A command left something at a declared output that cannot be stored."""

    code = "OUTPUT"


class DeliveryError(ExecutionError):
    """Outputs cannot be put into the workspace."""

    code = "DELIVERY"


@contextmanager
def full_disk_reported(what: str) -> Iterator[None]:
    """Turn "no space left" and "quota exceeded" into :class:`StageFullError` about ``what``."""
    try:
        yield
    except (OSError, StoreFullError) as error:
        if isinstance(error, OSError) and not is_disk_full(error):
            raise
        raise StageFullError(
            f"{what}: the disk is full",
            cause=str(error),
            hint="free some space there; on the data directory's disk `buildnet cache gc` helps",
        ) from error
