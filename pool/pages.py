"""Lists that are longer than one message may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from buildnet.mesh.wire import Wire

MAX_PAGE_BYTES = 48 * 1024
"""Of the list in one message, which leaves room for what else the message says."""

_Part = TypeVar("_Part", bound=Wire)


def pages(parts: Iterable[_Part], most: int) -> Iterator[tuple[_Part, ...]]:
    """Yield parts in lists of at most ``most`` that fit into messages, however long their texts
    are; of no parts there is no list."""
    page: list[_Part] = []
    size_bytes = 0
    for part in parts:
        more_bytes = len(part.encode())
        if page and (len(page) == most or size_bytes + more_bytes > MAX_PAGE_BYTES):
            yield tuple(page)
            page, size_bytes = [], 0
        page.append(part)
        size_bytes += more_bytes
    if page:
        yield tuple(page)
