"""What can go wrong in the store.

BuildNetError
├── StateError            the index or the directory cannot be used; nothing was changed
├── StoreFullError        no room, even after removing what nothing needs
├── MissingBlobError      the store does not hold the blob
│   └── DamagedBlobError  it held other bytes under that name; they were dropped
├── SourceFileError       a file that was to be stored is not a readable regular file
│   └── SourceChangedError    or is not what it was when its digest was taken
└── AmbiguousIdError      a prefix that several things share
"""

from __future__ import annotations

import errno

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError


class StateError(BuildNetError):
    """A file of the data directory cannot be used; it was left as it is."""

    code = "STATE"
    exit_code = 2


class StoreFullError(BuildNetError):
    """The store's volume has no room left, even after an emergency collection."""

    code = "STORE_FULL"
    exit_code = 5
    http_status = 507


class MissingBlobError(NotFoundError, KeyError):
    """The store does not hold a blob (never had it, or collected it)."""

    code = "BLOB_MISSING"

    def __str__(self) -> str:
        return self.message  # KeyError would put it in quotes


class DamagedBlobError(MissingBlobError):
    """A blob's file held other bytes than its name says. It was dropped: now it is missing.

    ``file`` identifies what was read, as ``(device, inode)``, so that only that file is removed and
    not a good one that took its place meanwhile.
    """

    code = "BLOB_DAMAGED"

    def __init__(self, message: str, *, file: tuple[int, int] | None = None) -> None:
        super().__init__(
            message, hint="it was dropped and is fetched or built again when it is needed"
        )
        self.file = file


class SourceFileError(BuildNetError):
    """A file cannot be stored: it is not a regular file, or cannot be read."""

    code = "SOURCE_FILE"


class SourceChangedError(SourceFileError):
    """A file's bytes differ from the digest that was taken of it before."""

    code = "SOURCE_CHANGED"


class AmbiguousIdError(UsageError):
    """A prefix of an id that more than one thing answers to."""

    code = "AMBIGUOUS_ID"


def missing_blob(digest: Digest) -> MissingBlobError:
    """Return the error for a blob that is not there."""
    return MissingBlobError(
        f"blob {digest} is not in the store",
        hint="it was collected or never stored; build again without the cache entry (--force)",
    )


def is_disk_full(error: BaseException) -> bool:
    """Whether ``error`` says that the volume or the owner's quota is used up."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
