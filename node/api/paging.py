"""Long lists in parts: each takes ``limit`` and ``cursor``, and tells as ``next`` the cursor of the
part that follows."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, TypeVar

from blake3 import blake3
from fastapi import Depends, Query

from buildnet.mesh.errors import UsageError

MOST = 1000
_CURSOR = re.compile(r"([0-9]{1,9})\.([0-9a-f]{16})", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_MARK_BYTES = 8
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Paging:
    """What of a list is asked for. ``limit``: at most so many, None: all that there are;
    ``place`` and ``mark``: of the last one that is known already, -1 and "": none is."""

    limit: int | None = None
    place: int = -1
    mark: str = ""

    @property
    def cursor(self) -> str | None:
        """What asks for the same part elsewhere; None: the list's beginning."""
        return None if self.place < 0 else f"{self.place}.{self.mark}"

    def at_most(self, most: int) -> Paging:
        """Return the same in parts of no more than so many."""
        return replace(self, limit=most if self.limit is None else min(most, self.limit))

    def part(
        self, found: Sequence[Item], name: Callable[[Item], str]
    ) -> tuple[Sequence[Item], str | None]:
        """Return the part of a list, and the cursor of the following one. ``name``: what tells an
        item from the others; where one is gone that was known, it goes on at its place."""
        start = self._start(found, name)
        end = len(found) if self.limit is None else min(len(found), start + self.limit)
        if end >= len(found):
            return found[start:], None
        return found[start:end], f"{end - 1}.{_mark(name(found[end - 1]))}"

    def _start(self, found: Sequence[Item], name: Callable[[Item], str]) -> int:
        if self.place < 0:
            return 0
        if self.place < len(found) and _mark(name(found[self.place])) == self.mark:
            return self.place + 1
        for place, one in enumerate(found):
            if _mark(name(one)) == self.mark:
                return place + 1
        return min(self.place, len(found))


def number_of(cursor: str | None) -> int | None:
    """Return the number that is the cursor of a list; None: there is none.

    Raises:
        UsageError: it is no cursor of such a list.
    """
    if cursor is not None and _NUMBER.fullmatch(cursor) is None:
        raise _none(cursor)
    return None if cursor is None else int(cursor)


async def _paging(
    limit: Annotated[int | None, Query(ge=1, le=MOST)] = None,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
) -> Paging:
    if cursor is None:
        return Paging(limit)
    read = _CURSOR.fullmatch(cursor)
    if read is None:
        raise _none(cursor)
    return Paging(limit, int(read[1]), read[2])


Paged = Annotated[Paging, Depends(_paging)]
"""What of a list is asked for, as a parameter of a route."""


def _mark(name: str) -> str:
    return blake3(name.encode("utf-8", "surrogatepass")).hexdigest(_MARK_BYTES)


def _none(cursor: str) -> UsageError:
    return UsageError(
        f"{cursor!r:.80} is no cursor of this list", hint="take the `next` of the part before"
    )
