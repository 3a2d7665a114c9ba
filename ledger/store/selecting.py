"""Finds the entries that fit a query, page by page.

A page looks at a bounded number of rows: one index gives the candidates in their order, the other
filters are checked on the columns, and only what fits is read and verified.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any

from buildnet.ledger.query import Cursor, Page, Provisional, Query
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, StoredEntry, place_of
from buildnet.ledger.store.schema import PENDING

BUDGET = 3_000
"""Rows that one page looks at."""
READ_COST = 2
"""An entry that is read and verified counts as so many rows more."""
OPEN_COST = 5
"""An entry that is decrypted to be searched, too."""
_MAX_MERGED = 64
_LOOKED_AT = "id, chain, sequence, hlc, type, actor, entity, correlation, build"
_Looked = tuple[Any, ...]
"""Those columns; and, if a text is looked for that stands there as it is, the signed bytes."""


class Selection:
    """One query on one snapshot of the file."""

    def __init__(self, reader: Reader, query: Query) -> None:
        self._reader = reader
        self._query = query
        self._text = query.text.encode().lower() if query.text else None
        # Without a key texts stand in the signed bytes as they are: most rows are passed over fast.
        self._plain_text = self._text if reader.vault.key is None else None
        self._columns = _LOOKED_AT + (", signed" if self._plain_text is not None else "")
        self._left = BUDGET
        self._looked_to: int | None = None
        connection = reader.connection
        self._types: set[int] | None = None
        if query.types and "*" not in query.types:
            self._types = {
                number
                for number, name in connection.execute("SELECT number, name FROM types")
                if isinstance(name, str) and query.fits(name)
            }
        self._chains: set[int] | None = None
        if query.origin is not None:
            self._chains = {
                number
                for number, name in connection.execute("SELECT number, name FROM chains")
                if isinstance(name, bytes) and name[:32].hex().startswith(query.origin)
            }
        number_of = reader.vault.number_of
        self._numbers: dict[int, int] = {}  # column of _LOOKED_AT -> value
        for at, kind in ((5, "actor"), (6, "entity"), (7, "correlation"), (8, "build")):
            wanted = getattr(query, kind)
            if wanted is not None:
                self._numbers[at] = number_of(kind.encode(), wanted.encode())

    # --- pages ---------------------------------------------------------------------------------

    def forwards(self, cursor: Cursor, limit: int) -> Page:
        """Return the next entries: sealed ones in their order, then provisional ones."""
        found: list[StoredEntry] = []
        place, at = cursor.place, cursor.at
        top = max(place, self._top())
        if self._query.sealed is not False:
            for key, row in self._sealed(place, None):
                if row is None or len(found) == limit:
                    place = key if row is None else place
                    return self._page(found, Cursor(place, at), place)
                place = key
                if at is not None and self._order(row) <= at:
                    continue
                self._take(row, found)
        if self._query.sealed is True:
            return self._page(found, None, top)
        for order, row in self._provisional(at, backwards=False):
            if row is None or len(found) == limit:
                at = order if row is None else at
                return self._page(found, Cursor(top, at or Provisional(0, bytes(40), 0)), top)
            at = order
            self._take(row, found)
        return self._page(found, None, top)

    def backwards(self, cursor: Cursor, limit: int) -> Page:
        """Return the entries before the cursor, the newest first; ``Cursor()``: the newest."""
        found: list[StoredEntry] = []
        place, at, began = cursor.place, cursor.at, cursor.backwards_from
        top = self._top()
        if place < 0 and self._query.sealed is not True:
            began = top if began is None else began
            for order, row in self._provisional(at, backwards=True):
                if row is None or len(found) == limit:
                    at = order if row is None else at
                    return self._page(found, Cursor(-1, at, began), top)
                at = order
                self._take(row, found)
        if self._query.sealed is False:
            return self._page(found, None, top)
        place = place if place >= 0 else top + 1
        for key, row in self._sealed(-1, place):
            if row is None or len(found) == limit:
                place = key if row is None else place
                return self._page(found, Cursor(place, at, began), top)
            place = key
            told = at is not None and began is not None and key > began and self._order(row) >= at
            if not told:
                self._take(row, found)
        return self._page(found, None, top)

    def _page(self, found: list[StoredEntry], following: Cursor | None, sealed: int) -> Page:
        looked_to = None if following is None else self._looked_to
        return Page(tuple(found), following, Cursor(sealed), looked_to)

    def _top(self) -> int:
        (top,) = self._reader.connection.execute(
            f"SELECT max(id) FROM entries WHERE id<{PENDING}"
        ).fetchone()
        return -1 if top is None else int(top)

    # --- candidates ----------------------------------------------------------------------------

    def _sealed(self, after: int, before: int | None) -> Iterator[tuple[int, _Looked | None]]:
        """Iterate over sealed rows that fit, ascending after ``after``; descending, if ``before``
        is given. (key, None): the budget is used up, and all up to that key was looked at."""
        low, high = self._bounds(after, before)
        if low >= high - 1:
            return
        backwards = before is not None
        order = "DESC" if backwards else "ASC"
        streams = [
            iter(
                self._reader.connection.execute(
                    # SQLite begins at the first bound that is named: a page far from the newest
                    # entries would read all of them if that were the one of the index.
                    f"SELECT {self._columns} FROM entries {index} WHERE {where} "
                    f"AND id<? AND id>? AND id<{PENDING} ORDER BY id {order}",
                    (*arguments, high, low),
                )
            )
            for index, where, arguments in self._drivers()
        ]
        seen = after if before is None else before
        for row in heapq.merge(*streams, key=lambda one: int(one[0]), reverse=backwards):
            if self._left <= 0:
                yield seen, None
                return
            self._left -= 1
            seen = row[0]
            if self._fits(row):
                yield seen, row

    def _drivers(self) -> list[tuple[str, str, tuple[int, ...]]]:
        """Return which index gives the candidates, and of what values."""
        for at, column in ((7, "correlation"), (8, "build"), (6, "entity"), (5, "actor")):
            if at in self._numbers:
                index = f"INDEXED BY entries_{column}"
                return [(index, f"{column}=?", (self._numbers[at],))]
        for numbers, column in ((self._types, "type"), (self._chains, "chain")):
            if numbers is not None and len(numbers) <= _MAX_MERGED:
                index = f"INDEXED BY entries_{column}"
                return [(index, f"{column}=?", (number,)) for number in sorted(numbers)]
        return [("NOT INDEXED", "1", ())]

    def _bounds(self, after: int, before: int | None) -> tuple[int, int]:
        """Return between which keys sealed entries of the time range are: a seal's clock is not
        before any of its entries', and few seals hold entries that are much older."""
        low, high = after, PENDING if before is None else before
        query, reader = self._query, self._reader
        if query.from_ms is not None:
            first = reader.height_at(query.first_hlc - 1) + 1
            low = max(low, place_of(first, 0) - 1)
        if query.to_ms is not None:
            high = min(high, place_of(reader.last_height_with(query.last_hlc) + 1, 0))
        return low, high

    def _provisional(
        self, at: Provisional | None, *, backwards: bool
    ) -> Iterator[tuple[Provisional | None, _Looked | None]]:
        """Iterate over provisional rows that fit, each with its place; (place, None): the budget is
        used up, and all up to that place was looked at."""
        query = self._query
        columns = ", ".join(f"e.{name}" for name in self._columns.split(", "))
        where, arguments = "1", list[object]()
        if at is not None:
            sign = "<" if backwards else ">"
            where = f"e.hlc{sign}=? AND (e.hlc, c.name, e.sequence) {sign} (?, ?, ?)"
            arguments = [at.hlc, at.hlc, at.chain, at.sequence]
        order = "DESC" if backwards else "ASC"
        rows = self._reader.connection.execute(
            f"SELECT {columns} FROM entries e INDEXED BY entries_pending "
            f"CROSS JOIN chains c ON c.number=e.chain WHERE e.id>={PENDING} AND {where} "
            "AND e.hlc BETWEEN ? AND ? "
            f"ORDER BY e.hlc {order}, c.name {order}, e.sequence {order}",
            (*arguments, query.first_hlc, query.last_hlc),
        )
        seen: _Looked | None = None
        for row in rows:
            if self._left <= 0:
                yield at if seen is None else self._order(seen), None
                return
            self._left -= 1
            seen = row if isinstance(row[3], int) else seen
            if self._fits(row):
                yield self._order(row), row

    def _fits(self, row: _Looked) -> bool:
        query, text = self._query, self._plain_text
        if isinstance(row[3], int):
            self._looked_to = row[3]
        return (
            (self._types is None or row[4] in self._types)
            and (self._chains is None or row[1] in self._chains)
            and isinstance(row[3], int)  # else it is damaged, which verify tells
            and query.first_hlc <= row[3] <= query.last_hlc
            and all(row[at] == number for at, number in self._numbers.items())
            and (text is None or (isinstance(row[-1], bytes) and text in row[-1].lower()))
        )

    def _order(self, row: _Looked) -> Provisional:
        chain = self._reader.names.chain_of(row[1])
        name = bytes(40) if chain is None else chain.origin + chain.incarnation
        return Provisional(row[3], name, row[2])

    def _take(self, row: _Looked, found: list[StoredEntry]) -> None:
        """Add the entry of a row, if it proves itself and what it says fits."""
        is_opened = self._text is not None and self._plain_text is None
        self._left -= OPEN_COST if is_opened else READ_COST
        stored = self._reader.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE id=?", (row[0],)
        ).fetchone()
        if stored is None or not isinstance(stored[-1], bytes):
            return
        one = self._reader.read(stored)
        if one is not None and self._says(one):
            found.append(one)

    def _says(self, stored: StoredEntry) -> bool:
        body, query = stored.entry.body, self._query
        for wanted, said in (
            (query.actor, body.actor.id),
            (query.entity, body.entity),
            (query.correlation, body.correlation),
        ):
            if wanted is not None and wanted != said:
                return False
        if self._text is None:
            return True
        said_all = (body.type, body.actor.id, body.actor.name, body.reason, body.correlation)
        texts = (*said_all, body.entity, body.data)
        return any(self._text in text.encode().lower() for text in texts)
