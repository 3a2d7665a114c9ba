"""Entries for other programs: JSON, NDJSON, CSV. What can be checked without a node is in
:mod:`buildnet.ledger.checkable`.

An export is of one moment: what is recorded or sealed while it is made is not in it. That costs no
long transaction, in which the file could only grow: it begins with the last seal and how far each
chain reaches, and leaves out what is beyond.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace

from buildnet.ledger.entry import Chain
from buildnet.ledger.entry_view import entry_view
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import StoredEntry, place_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import BuildNetError

_PAGE = 200
FORMATS = ("json", "ndjson", "csv")
_CSV = (
    "id", "sealed", "index", "time", "origin", "node_id", "incarnation", "sequence", "type",
    "actor", "actor_name", "actor_kind", "entity", "correlation", "reason", "text", "data",
)  # fmt: skip


class ExportError(BuildNetError):
    """A file that is no export, or does not hold what it should."""

    code = "LEDGER_EXPORT"
    exit_code = 2
    http_status = 400


class RewoundError(ExportError):
    """The cluster was recovered while an export was made, so what it told is no more what is
    sealed."""

    http_status = 503

    def __init__(self) -> None:
        super().__init__(
            "the cluster was recovered while the export was made", hint="export it again"
        )


async def export(store: LedgerStore, query: Query, form: str) -> AsyncIterator[str]:
    """Iterate over the text of an export of all entries that fit, in their order.

    Raises:
        ExportError: there is no such form; or the cluster was recovered meanwhile.
    """
    if form not in FORMATS:
        raise ExportError(f"there is no export form {form!r}", hint=", ".join(FORMATS))
    if form == "csv":
        yield _csv_line(_CSV)
    if form == "json":
        yield "["
    before = ""
    async for stored in everything(store, query):
        if form == "csv":
            yield _csv_line(_csv_values(stored))
        else:
            text = json.dumps(entry_view(stored), ensure_ascii=False, separators=(",", ":"))
            yield f"{before}{text}" if form == "json" else f"{text}\n"
            before = ",\n"
    if form == "json":
        yield "]\n"


@dataclass(frozen=True, slots=True)
class _Moment:
    """What was there when an export began."""

    last: Seal | None
    reach: Mapping[Chain, int]

    @classmethod
    def of(cls, reader: Reader) -> _Moment:
        heads = reader.heads()
        return cls(reader.last_seal(), {chain: head.sequence for chain, (head, _) in heads.items()})

    @property
    def height(self) -> int:
        """Of the last seal."""
        return 0 if self.last is None else self.last.height

    def holds(self, reader: Reader) -> bool:
        """Tell whether what was sealed then still is."""
        now = reader.connection.execute(
            "SELECT hash FROM seals WHERE height=?", (self.height,)
        ).fetchone()
        return self.last is None or now == (self.last.hash,)

    def seen(self, stored: StoredEntry) -> StoredEntry | None:
        """Return an entry as it was then; None: it was not there."""
        entry = stored.entry
        if entry.body.sequence > self.reach.get(entry.chain, 0):
            return None
        return stored if (stored.height or 0) <= self.height else StoredEntry(entry)


async def everything(store: LedgerStore, query: Query) -> AsyncIterator[StoredEntry]:
    """Iterate over all entries that fit at this moment, in their order.

    Raises:
        RewoundError: the cluster was recovered meanwhile.
    """
    moment = await store.read(_Moment.of)
    cursor: Cursor | None = None
    if query.sealed is False:  # some of them may be sealed meanwhile
        cursor = Cursor(place_of(moment.height + 1, 0) - 1)
    wanted = replace(query, sealed=query.sealed or None)
    while True:
        page = await store.query(wanted, cursor=cursor, limit=_PAGE)
        for stored in page.entries:
            seen = moment.seen(stored)
            if seen is not None and query.sealed in (None, seen.sealed):
                yield seen
        if page.next is None:
            break
        cursor = page.next
    if not await store.read(moment.holds):
        raise RewoundError


def _csv_values(stored: StoredEntry) -> tuple[object, ...]:
    said = entry_view(stored)
    actor = said["actor"]
    values: dict[str, object] = {
        **said,
        "actor": actor["id"],
        "actor_name": actor["name"],
        "actor_kind": actor["kind"],
        "data": stored.entry.body.data,
    }
    return tuple(values[name] for name in _CSV)


def _csv_line(values: Sequence[object]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_harmless(value) for value in values])
    return text.getvalue()


def _harmless(value: object) -> object:
    """Return a cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value
