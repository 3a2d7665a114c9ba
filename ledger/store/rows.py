"""Entries as rows: what stands in the columns, and reading back only what proves itself."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct

from blake3 import blake3

from buildnet.ledger.entry import Body, Chain, Entry
from buildnet.ledger.events import Stub
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.schema import PENDING, PLACES_A_SEAL
from buildnet.ledger.store.vault import Vault
from buildnet.mesh.wire import WireError

HASH_BYTES = 32
PRUNED_TYPE = "pruned"
"""Stands for the type of an entry of which only the hash ever came here."""
COLUMNS = (
    "id, chain, sequence, hlc, type, short, actor, entity, correlation, build, request, "
    "mark, signed"
)
_MAX_REMEMBERED = 4096
_tied = Struct(">qq").pack
StoredRow = tuple[
    int, int, int, int, int, int, int, int | None, int | None, int | None, int | None, int, bytes
]


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry and its place in the sealed order: under the seal of ``height`` (from 1), number
    ``index`` (from 0). Both None: it is provisional."""

    entry: Entry
    height: int | None = None
    index: int | None = None

    @property
    def sealed(self) -> bool:
        """Whether it is under a final seal."""
        return self.height is not None


def place_of(height: int, index: int) -> int:
    """Return the key of a sealed entry."""
    return height * PLACES_A_SEAL + index


def sealed_place(key: int) -> int | None:
    """Return the key of an entry if it is sealed."""
    return key if key < PENDING else None


def short_of(entry_hash: bytes) -> int:
    """Return the beginning of a hash as the number that is stored."""
    return int.from_bytes(entry_hash[:8], "big", signed=True)


def mark_of(key: int, short: int, stored: bytes) -> int:
    """Return what ties an entry's hash to its place, which the entry does not tell, and to its
    signature, which the hash does not cover: 32 bits. ``stored``: the signed bytes as they are
    stored, or the first 64 of them."""
    return int.from_bytes(blake3(_tied(key, short) + stored[:64]).digest(length=4), "big")


class Names:
    """The numbers that stand for chains and types. Of chains few are remembered, of types all
    that were met lately."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._numbers: OrderedDict[tuple[str, bytes | str], int] = OrderedDict()
        self._names: OrderedDict[tuple[str, int], bytes | str] = OrderedDict()

    def forget(self) -> None:
        """Forget what may have been rolled back."""
        self._numbers.clear()
        self._names.clear()

    def chain(self, chain: Chain, *, make: bool = False) -> int | None:
        """Return the number of a chain; None: it has none, and ``make`` is not asked for."""
        return self._number("chains", chain.origin + chain.incarnation, make)

    def type(self, name: str, *, make: bool = False) -> int | None:
        """Return the number of a type."""
        return self._number("types", name, make)

    def chain_of(self, number: int) -> Chain | None:
        """Return the chain of a number."""
        name = self.chain_name(number)
        return None if name is None else Chain(name[:32], name[32:])

    def chain_name(self, number: int) -> bytes | None:
        """Return origin and incarnation of a chain's number."""
        name = self._name("chains", number)
        return name if isinstance(name, bytes) and len(name) == 40 else None

    def type_of(self, number: int) -> str | None:
        """Return the type of a number."""
        name = self._name("types", number)
        return name if isinstance(name, str) else None

    def _number(self, table: str, name: bytes | str, make: bool) -> int | None:
        number = self._numbers.get((table, name))
        if number is not None:
            return number
        found = self._connection.execute(
            f"SELECT number FROM {table} WHERE name=?", (name,)
        ).fetchone()
        if found is None and not make:
            return None
        if found is None:
            cursor = self._connection.execute(f"INSERT INTO {table} (name) VALUES (?)", (name,))
            found = (cursor.lastrowid,)
        _remember(self._numbers, (table, name), int(found[0]))
        return int(found[0])

    def _name(self, table: str, number: int) -> bytes | str | None:
        name = self._names.get((table, number))
        if name is None:
            found = self._connection.execute(
                f"SELECT name FROM {table} WHERE number=?", (number,)
            ).fetchone()
            if found is None:
                return None
            name = found[0]
            if not isinstance(name, bytes | str):
                return None
            _remember(self._names, (table, number), name)
        return name


def _remember(memory: OrderedDict, key: object, value: object) -> None:  # type: ignore[type-arg]
    memory[key] = value
    if len(memory) > _MAX_REMEMBERED:
        memory.popitem(last=False)


class Rows:
    """Turns entries into rows and rows into entries."""

    def __init__(self, names: Names, vault: Vault) -> None:
        self.names = names
        self.vault = vault
        # The same actors, builds and requests stand in many entries that follow each other.
        self._number_of = lru_cache(_MAX_REMEMBERED)(vault.number_of)

    def to_row(self, key: int, entry: Entry) -> StoredRow:
        """Return the row of an entry; its chain and type get numbers if they have none."""
        body = entry.body
        chain = self.names.chain(entry.chain, make=True)
        type_number = self.names.type(body.type, make=True)
        assert chain is not None
        assert type_number is not None
        stored = self.vault.close(entry.signed)
        short = short_of(entry.hash)
        return (
            key,
            chain,
            body.sequence,
            body.hlc,
            type_number,
            short,
            *self.lookups(entry),
            mark_of(key, short, stored),
            stored,
        )

    def to_stub(self, key: int, stub: Stub) -> StoredRow:
        """Return the row of an entry of which only hash and clock are known."""
        chain = self.names.chain(stub.chain, make=True)
        type_number = self.names.type(PRUNED_TYPE, make=True)
        assert chain is not None
        assert type_number is not None
        short = short_of(stub.hash)
        known = (key, chain, stub.sequence, stub.hlc, type_number, short)
        return (*known, 0, None, None, None, None, mark_of(key, short, stub.hash), stub.hash)

    def lookups(self, entry: Entry) -> tuple[int, int | None, int | None, int | None, int | None]:
        """Return the columns from ``actor`` to ``request``."""
        body, number = entry.body, self._number_of
        build = build_of(entry)
        return (
            number(b"actor", body.actor.id.encode()),
            number(b"entity", body.entity.encode()) if body.entity else None,
            number(b"correlation", body.correlation.encode()) if body.correlation else None,
            number(b"build", build.encode()) if build else None,
            self.vault.number_of(b"request", body.origin + body.request) if body.request else None,
        )

    def to_entry(self, row: StoredRow) -> StoredEntry:
        """Return the entry of a row, whose hash and columns are right.

        The signature is not checked: whoever could make the hash right could have changed it
        before. ``verify`` checks signatures.

        Raises:
            LedgerDamagedError: the row is not what was written.
        """
        key, chain, sequence, hlc, type_number, short, *lookups, mark, stored = row
        if not isinstance(stored, bytes):
            raise LedgerDamagedError("an entry's bytes are none")
        try:
            entry = Entry.decode(self.vault.open(stored))
        except WireError as error:
            raise LedgerDamagedError("a row holds no entry", cause=error.message) from error
        body = entry.body
        if (
            short_of(entry.hash) != short
            or mark_of(key, short, stored) != mark
            or (body.sequence, body.hlc) != (sequence, hlc)
            or self.names.chain_name(chain) != body.origin + body.incarnation
            or self.names.type_of(type_number) != body.type
            or self.lookups(entry) != tuple(lookups)
        ):
            raise LedgerDamagedError("an entry is not what was written")
        if key >= PENDING:
            return StoredEntry(entry)
        return StoredEntry(entry, *divmod(key, PLACES_A_SEAL))


def is_pruned(row: StoredRow) -> bool:
    """Tell whether only the hash of the entry was kept."""
    return isinstance(row[-1], bytes) and len(row[-1]) == HASH_BYTES


def build_of(entry: Entry) -> str | None:
    """Return the id of the build that an entry is about: its entity's, or its data's ``build``."""
    body: Body = entry.body
    if body.entity.startswith("build:"):
        return body.entity.removeprefix("build:") or None
    if '"build":' not in body.data:
        return None
    found = entry.data.get("build")
    return found if isinstance(found, str) and found else None
