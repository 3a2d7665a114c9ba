"""Blobs, results and what is known of files, on disk."""

from buildnet.node.store.database import Database
from buildnet.node.store.files import FileTable

__all__ = ["Database", "FileTable"]
