"""What another node is told of an error here: never where something lies on this host."""

from __future__ import annotations

import logging

from buildnet.mesh.bulk.fetch import BlobUnavailableError
from buildnet.mesh.bulk.protocol import FetchRefusedError, WrongBytesError
from buildnet.mesh.errors import BuildNetError
from buildnet.node.durable.shelf import ShelfFullError
from buildnet.node.execute.errors import OutputError, StageFullError
from buildnet.node.offered_results import ResultRefusedError
from buildnet.node.store import MissingBlobError, StoreFullError
from buildnet.node.toolchain import ToolMissingError

_OF_THE_OTHERS = (
    BlobUnavailableError,
    FetchRefusedError,
    WrongBytesError,
    ResultRefusedError,
    MissingBlobError,
)
"""What they say is about what was sent, so also why."""
_WITHOUT_CAUSE = (OutputError, StageFullError, StoreFullError, ShelfFullError, ToolMissingError)
_log = logging.getLogger("buildnet.pool")


def told_to_others(error: BuildNetError, *refusals: type[BuildNetError]) -> str:
    """Return the words for another node. ``refusals``: errors that were made for it; of others of
    this host it learns no more than their code, and this node's log has the rest."""
    words = f"{error.message}: {error.cause}" if error.cause else error.message
    if isinstance(error, (*refusals, *_OF_THE_OTHERS)):
        return words
    _log.warning("what another node asked for failed here: %s", words)
    if isinstance(error, _WITHOUT_CAUSE):
        return error.message
    return f"it failed there ({error.code}): see the log of that node"
