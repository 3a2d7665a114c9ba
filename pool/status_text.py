"""The JSON of ``pool status`` as text, piece by piece.

At a hundred nodes it is more than a megabyte. Made in one go it would keep the event loop for as
long as all of it takes; and so many objects at once, all of them in use, make the garbage collector
walk through everything there is, which takes several times as long. Of a piece nothing stays but
its text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from pydantic_core import to_json

from buildnet.pool.view import (
    Completeness,
    Connection,
    Coordinator,
    NodeState,
    aggregate,
    completeness_view,
    connection_view,
    leases_view,
    node_view,
)

_AT_ONCE = 128
"""Connections of one piece: they take about as long as two nodes."""


def status_text(
    *,
    cluster_id: str,
    cluster_name: str,
    coordinator: Coordinator | None,
    nodes: Sequence[NodeState],
    connections: Iterable[Connection] = (),
    seen: Completeness,
    now: datetime,
) -> Iterator[bytes]:
    """Yield the JSON of ``pool status``; ages are counted to ``now`` (UTC). The pieces put together
    are the text; each takes well below a millisecond, the lists of the whole pool about one."""
    yield b'{"cluster":' + to_json({"id": cluster_id, "name": cluster_name})
    yield b',"coordinator":' + to_json(_coordinator_view(coordinator))
    yield b',"nodes":['
    yield from _elements([node_view(node, now, coordinator)] for node in nodes)
    yield b'],"aggregate":{'
    for number, (name, value) in enumerate(aggregate(nodes)):
        yield (b"," if number else b"") + to_json(name) + b":" + to_json(value)
    yield b'},"connections":['
    yield from _elements([connection_view(one) for one in some] for some in _batches(connections))
    yield b'],"leases":' + to_json(leases_view(nodes))
    yield b',"view":' + to_json(completeness_view(seen)) + b"}"


def _coordinator_view(coordinator: Coordinator | None) -> dict[str, Any] | None:
    if coordinator is None:
        return None
    return {
        "node_id": coordinator.node_id,
        "name": coordinator.name,
        "term": coordinator.term,
        "quorum": coordinator.quorum,
    }


def _batches(connections: Iterable[Connection]) -> Iterator[list[Connection]]:
    left = iter(connections)
    while some := list(islice(left, _AT_ONCE)):
        yield some


def _elements(batches: Iterable[list[Any]]) -> Iterator[bytes]:
    """Yield the elements of an array, as many of them in a piece as come together."""
    for number, some in enumerate(batches):
        yield (b"," if number else b"") + to_json(some)[1:-1]
