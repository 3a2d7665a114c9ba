"""What a node expects to ask others for soon."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.messages.kinds import Message, Priority, message
from buildnet.mesh.wire import Limit, Name, RandomId
from buildnet.pool.messages.results import WireDigest

MAX_EXPECTED = 512
"""Blobs of one message."""
MAX_EXPECTED_TOOLS = 64
LONGEST_MS = 60_000

WatchId = RandomId


@message(
    195,
    priority=Priority.OTHER,
    sender="a node that watches a workspace in which something has changed",
    receiver="a node on which commands of the next build are likely to run",
    effect="gets what it lacks of these blobs from the sender, while it gets nothing else, and "
    "looks at these tools; or does nothing, as its owner likes",
)
@dataclass(frozen=True, slots=True)
class WorkExpected(Message):
    """Commands are likely to be asked for soon that read ``blobs``, the largest first, which the
    sender has, and need ``tools``.

    It counts for ``for_ms``, and takes the place of what was said of the same ``watch`` before;
    without blobs and tools: nothing is expected any more.
    """

    watch: WatchId
    for_ms: Annotated[int, Limit(0, LONGEST_MS)]
    blobs: Annotated[tuple[WireDigest, ...], Limit(0, MAX_EXPECTED)]
    tools: Annotated[tuple[Name, ...], Limit(0, MAX_EXPECTED_TOOLS)] = ()

    def supersedes(self) -> Hashable | None:
        return self.watch
