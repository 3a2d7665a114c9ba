"""Blobs and results on disk: content-addressed, verified, bounded in size, safe against kill -9.

A :class:`Store` is opened by one process and used by its worker threads; a build works through a
:class:`Hold`. :class:`FileTable` remembers what a workspace's files held.
"""

from buildnet.node.store.actions import ActionPage, ActionRecord, ActionSummary, LastRun
from buildnet.node.store.collection import CollectReport
from buildnet.node.store.database import Database
from buildnet.node.store.errors import (
    AmbiguousIdError,
    DamagedBlobError,
    MissingBlobError,
    SourceChangedError,
    SourceFileError,
    StateError,
    StoreFullError,
)
from buildnet.node.store.files import FileTable
from buildnet.node.store.holds import BlobAccess, Hold
from buildnet.node.store.store import ActionDetails, BlobDetails, Store, StoreStats
from buildnet.node.store.verification import VerifyReport

__all__ = [
    "ActionDetails",
    "ActionPage",
    "ActionRecord",
    "ActionSummary",
    "AmbiguousIdError",
    "BlobAccess",
    "BlobDetails",
    "CollectReport",
    "DamagedBlobError",
    "Database",
    "FileTable",
    "Hold",
    "LastRun",
    "MissingBlobError",
    "SourceChangedError",
    "SourceFileError",
    "StateError",
    "Store",
    "StoreFullError",
    "StoreStats",
    "VerifyReport",
]
