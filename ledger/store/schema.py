"""The tables of the ledger's file.

``entries`` holds the signed bytes and what queries look for. Its key is an entry's place: sealed
ones have height * 4096 + index in the seal, so the table and each of its indexes are in the sealed
order by themselves; provisional ones stand behind, as they arrived, and get their place when they
are sealed. The indexes of queries are of sealed entries only. Hashes, which are random, have two
indexes: so each entry touches the large one once. What entries say of an entity, an actor, a
correlation or a build is found by a hash of 8 bytes; whoever reads an entry compares the texts.

Every row that does not prove itself (as entries and seals do) has a checksum.
"""

from __future__ import annotations

import sqlite3

from blake3 import blake3

from buildnet.ledger.store.tables import TABLES

APPLICATION_ID = 0x424E4C47  # BNLG
SCHEMA_VERSION = 3
"""Another one with every change of a statement below. 2: one index of the hashes of all entries.
1: indexed the least clock of every seal; its first files had other derived tables."""
PLACES_A_SEAL = 4096
PENDING = 1 << 62
"""The first key of entries that are not sealed."""
CHECKSUM_BYTES = 8
LATE = 1000 << 16
"""Seals whose least clock is that much before their own, one second, have an index: they are few,
so what was written up to a time is found without reading all later seals."""

_SEALED = f"id < {PENDING}"
_PENDING = f"id >= {PENDING}"

STATEMENTS = [
    "CREATE TABLE settings (name TEXT PRIMARY KEY, body BLOB NOT NULL, checksum BLOB NOT NULL) "
    "WITHOUT ROWID",
    "CREATE TABLE digests (name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID",
    # The 32 bytes of the origin and the 8 of the incarnation.
    "CREATE TABLE chains (number INTEGER PRIMARY KEY, name BLOB NOT NULL UNIQUE)",
    "CREATE TABLE types (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, chain INTEGER NOT NULL, "
    "sequence INTEGER NOT NULL, hlc INTEGER NOT NULL, type INTEGER NOT NULL, "
    "short INTEGER NOT NULL, actor INTEGER NOT NULL, entity INTEGER, correlation INTEGER, "
    "build INTEGER, request INTEGER, mark INTEGER NOT NULL, signed BLOB NOT NULL)",
    "CREATE UNIQUE INDEX entries_sequence ON entries(chain, sequence)",
    f"CREATE INDEX entries_short ON entries(short) WHERE {_SEALED}",
    f"CREATE INDEX entries_short_pending ON entries(short) WHERE {_PENDING}",
    f"CREATE INDEX entries_pending ON entries(hlc) WHERE {_PENDING}",
    "CREATE INDEX entries_request ON entries(request) WHERE request IS NOT NULL",
    f"CREATE INDEX entries_chain ON entries(chain) WHERE {_SEALED}",
    f"CREATE INDEX entries_type ON entries(type) WHERE {_SEALED}",
    f"CREATE INDEX entries_actor ON entries(actor) WHERE {_SEALED}",
    f"CREATE INDEX entries_entity ON entries(entity) WHERE {_SEALED} AND entity IS NOT NULL",
    "CREATE INDEX entries_correlation ON entries(correlation) "
    f"WHERE {_SEALED} AND correlation IS NOT NULL",
    f"CREATE INDEX entries_build ON entries(build) WHERE {_SEALED} AND build IS NOT NULL",
    # ``earliest``: the least clock of its entries.
    "CREATE TABLE seals (height INTEGER PRIMARY KEY, hlc INTEGER NOT NULL, "
    "earliest INTEGER NOT NULL, hash BLOB NOT NULL, record BLOB NOT NULL)",
    "CREATE UNIQUE INDEX seals_hlc ON seals(hlc)",
    f"CREATE INDEX seals_late ON seals(earliest, height) WHERE hlc - earliest > {LATE}",
    "CREATE TABLE superseded (hash BLOB PRIMARY KEY, height INTEGER NOT NULL, "
    "record BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE quarantines (chain BLOB PRIMARY KEY, sequence INTEGER NOT NULL, "
    "one BLOB NOT NULL, other BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
    # Entries of a branch that does not count.
    "CREATE TABLE aside (chain BLOB NOT NULL, sequence INTEGER NOT NULL, short INTEGER NOT NULL, "
    "signed BLOB NOT NULL, checksum BLOB NOT NULL, PRIMARY KEY (chain, sequence, short)) "
    "WITHOUT ROWID",
    "CREATE TABLE drafts (request BLOB PRIMARY KEY, kept_ms INTEGER NOT NULL, "
    "body BLOB NOT NULL, checksum BLOB NOT NULL) WITHOUT ROWID",
    # The accounts after the last seal whose entries were pruned.
    "CREATE TABLE carried (account TEXT PRIMARY KEY, body BLOB NOT NULL, "
    "checksum BLOB NOT NULL) WITHOUT ROWID",
    *(table.ddl for table in TABLES),
]


def create(connection: sqlite3.Connection) -> None:
    """Make all tables, in the transaction that is open."""
    for statement in STATEMENTS:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of the schema that the file was made with."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def objection(connection: sqlite3.Connection) -> str | None:
    """Tell what of the schema is not as this version makes it; None: nothing."""
    found = {sql for _, _, sql in _objects(connection)}
    wrong = sorted(set(STATEMENTS) - found) + sorted(found - set(STATEMENTS))
    return _told(wrong[0]) if wrong else None


def refusal(connection: sqlite3.Connection) -> str | None:
    """Tell what of the schema :func:`bring_up_to_date` can't put right: a table that does not
    follow from others is another one, or gone. None: nothing."""
    found = {name: sql for _, name, sql in _objects(connection)}
    for name, sql in _OWN.items():
        if found.get(name) != sql and not (name in found and _is_empty(connection, name)):
            return _told(sql)
    return None


def _told(statement: str) -> str:
    return f"its schema is another one: {statement!r:.200}"


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make the schema that of this version, in the transaction that is open: indexes anew where
    they are others, and derived tables anew and empty, so that they have to be built again."""
    for kind, name, sql in sorted(_objects(connection)):  # indexes stand before tables
        if sql not in _KEPT:
            connection.execute(f"DROP {kind} {name}")
    left = {sql for _, _, sql in _objects(connection)}
    for statement in STATEMENTS:
        if statement not in left:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")


def _objects(connection: sqlite3.Connection) -> list[tuple[str, str, str]]:
    """Return kind, name and statement of all tables and indexes that a statement made."""
    return connection.execute(
        "SELECT upper(type), name, sql FROM sqlite_master WHERE sql IS NOT NULL"
    ).fetchall()


def _is_empty(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is None


_DERIVED = {"digests", *(table.name for table in TABLES)}
_OWN = {
    name: statement
    for statement in STATEMENTS
    if statement.startswith("CREATE TABLE") and (name := statement.split()[2]) not in _DERIVED
}
_KEPT = {statement for statement in STATEMENTS if not statement.startswith("CREATE TABLE")}
_KEPT |= set(_OWN.values())


def checksum(*values: object) -> bytes:
    """Return the checksum of a row's values (numbers, texts, bytes, None)."""
    return row_hash(*values)[:CHECKSUM_BYTES]


def row_hash(*values: object) -> bytes:
    """Return BLAKE3 of a row's values, each with its kind and length."""
    parts = [b"buildnet ledger row 1\0"]
    for value in values:
        if value is None:
            parts.append(_NOTHING)
            continue
        if isinstance(value, str):
            raw, kind = value.encode("utf-8", "surrogatepass"), b"s"
        elif isinstance(value, bytes):
            raw, kind = value, b"b"
        else:
            raw, kind = repr(value).encode(), b"i"
        parts += (kind, len(raw).to_bytes(4, "big"), raw)
    return blake3(b"".join(parts)).digest()


_NOTHING = b"n\0\0\0\0"
