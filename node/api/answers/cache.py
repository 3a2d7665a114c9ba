"""The cache."""

from __future__ import annotations

from typing import Literal

from buildnet.node.api.answers.answer import Answer, Page


class CachedResult(Answer):
    """A stored result; times are unix seconds, ``bytes`` those of all its blobs, ``hits``: how
    often it was found since it was stored."""

    action: str
    isolation: str
    label: str
    created_at: float
    used_at: float
    duration_ms: float
    references: int
    bytes: int
    hits: int


class CachedResults(Page):
    """Stored results, newest first."""

    actions: list[CachedResult]


class ShownBlob(Answer):
    """One blob; ``path`` null: it is for the owner of the host alone."""

    kind: Literal["blob"]
    hash: str
    size_bytes: int
    used_at: float
    path: str | None
    actions: list[str]


class BlobName(Answer):
    """The address of a blob."""

    hash: str
    size_bytes: int


class ShownResult(Answer):
    """One stored result; ``node``: which ran the command; ``hits``: how often it was found since it
    was stored."""

    kind: Literal["action"]
    hash: str
    label: str
    isolation: str
    node: str
    created_at: float
    used_at: float
    duration_ms: float
    hits: int
    blobs: list[BlobName]
    missing: list[str]


class Holder(Answer):
    """Whether a node has a result with all that it needs; null: not known, and ``why``.
    ``made_at``: unix seconds, when its command ran; ``latency_ms``: the round trip to it."""

    node_id: str
    node: str
    this_node: bool
    has: bool | None
    why: str | None
    made_at: float | None
    latency_ms: float | None


class Holders(Answer):
    """Which nodes have a result. ``shared``: whether nodes give it to each other."""

    action: str
    shared: bool
    nodes: list[Holder]


class Cleared(Answer):
    """What was removed; ``trees``: of installed dependencies."""

    blobs: int
    actions: int
    bytes: int
    trees: int


class FetchedBlob(Answer):
    """A blob that is here now; ``already``: it was before."""

    hash: str
    size_bytes: int
    node: str
    already: bool
    duration_ms: float
