"""Puts right what a check found wrong and what this file alone can tell; the rest comes from peers.

Indexes, derived tables, numbers of chains and types, columns, places and the history follow from
entries and seals. Entries that are damaged or gone are asked for (``Damaged``) and come with
``keep``; repair again after that gives those their places that had lost them.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable

from buildnet.ledger.chain import Verify
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Frontier
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.rows import COLUMNS, Rows, is_pruned, mark_of, place_of, short_of
from buildnet.ledger.store.schema import PENDING
from buildnet.ledger.store.sealing import HISTORY, mend_seal, rebuild
from buildnet.ledger.store.writer import Writer
from buildnet.mesh.wire import WireError

_SLICE = 500
_SAMPLE = 5


def repair(writer: Writer, verify: Verify, seals: Iterable[Seal] = ()) -> None:
    """Put right what can be, in the transaction that is open. ``seals``: of a peer, for those that
    are damaged here; their cosignatures are checked.

    Raises:
        sqlite3.DatabaseError: the file's structure is beyond this.
    """
    connection = writer.connection
    connection.execute("REINDEX")
    _begin_anew_if_unknown(writer)
    _rename(writer, verify)
    writer.names.forget()
    writer.forget_keys()
    _rewrite_columns(writer, verify)
    for seal in seals:
        if seal.is_final(verify):
            mend_seal(writer, seal)
    _resettle(writer)
    rebuild(writer)


def _begin_anew_if_unknown(writer: Writer) -> None:
    """Where the token of this run is damaged, the next start can't tell whether the file is a
    copy: it takes it for one."""
    try:
        if read_setting(writer.connection, writer.path, "boot") is not None:
            return
    except LedgerDamagedError:
        pass
    token = os.urandom(16)
    write_setting(writer.connection, "boot", token)
    write_setting(writer.connection, "restored", token)


def _rename(writer: Writer, verify: Verify) -> None:
    """Give the numbers of chains and types the names that their entries tell."""
    connection = writer.connection
    for column, table in (("chain", "chains"), ("type", "types")):
        numbers = connection.execute(f"SELECT DISTINCT {column} FROM entries").fetchall()
        for (number,) in numbers:
            said: set[bytes | str] = set()
            rows = connection.execute(
                f"SELECT {COLUMNS} FROM entries WHERE {column}=? LIMIT {_SAMPLE}", (number,)
            )
            for row in rows:
                entry = _decoded(writer.rows, row[-1])
                if entry is not None and entry.is_signed(verify):
                    chain = entry.chain
                    name = chain.origin + chain.incarnation
                    said.add(name if table == "chains" else entry.body.type)
            if len(said) == 1:
                (name_said,) = said
                held = connection.execute(
                    f"SELECT name FROM {table} WHERE number=?", (number,)
                ).fetchone()
                if held is None or held[0] != name_said:
                    connection.execute(f"DELETE FROM {table} WHERE name=?", (name_said,))
                    connection.execute(
                        f"INSERT OR REPLACE INTO {table} (number, name) VALUES (?, ?)",
                        (number, name_said),
                    )


def _rewrite_columns(writer: Writer, verify: Verify) -> None:
    """Write the columns of damaged rows again whose signed bytes are right: they are signed."""
    connection, after = writer.connection, -1
    while rows := connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>? ORDER BY id LIMIT {_SLICE}", (after,)
    ).fetchall():
        after = rows[-1][0]
        for row in rows:
            if is_pruned(row):
                continue
            try:
                writer.rows.to_entry(row)
            except LedgerDamagedError:
                entry = _decoded(writer.rows, row[-1])
                if entry is not None and entry.is_signed(verify):
                    connection.execute("DELETE FROM entries WHERE id=?", (row[0],))
                    other = writer.at(entry.chain, entry.body.sequence)
                    if other is None:
                        writer.insert(entry, row[0])


def _decoded(rows: Rows, stored: bytes) -> Entry | None:
    try:
        return Entry.decode(rows.vault.open(stored))
    except (LedgerDamagedError, WireError, TypeError):
        return None


def _resettle(writer: Writer) -> None:
    """Give entries the places that the seals say, and write what follows from seals again."""
    connection = writer.connection
    frontier, history = Frontier(), CompactRange()
    while row := connection.execute(
        "SELECT height, hlc, earliest, hash, record FROM seals WHERE height>? "
        "ORDER BY height LIMIT 1",
        (history.size,),
    ).fetchone():
        height, hlc, earliest, seal_hash, record = row
        try:
            seal = Seal.decode(record)
            after = frontier.advanced(seal.value.advances)
        except (WireError, TypeError, ValueError):
            return
        if seal.height != history.size + 1:
            return
        found = _under(writer, frontier, seal)
        frontier, history = after, history.appended(seal.hash)
        least = min([seal.value.hlc, *(order[0] for order, _, _ in found)])
        if (height, hlc, earliest, seal_hash) != (seal.height, seal.value.hlc, least, seal.hash):
            connection.execute("DELETE FROM seals WHERE height=?", (height,))
            connection.execute(
                "INSERT OR REPLACE INTO seals (height, hlc, earliest, hash, record) "
                "VALUES (?, ?, ?, ?, ?)",
                (seal.height, seal.value.hlc, least, seal.hash, record),
            )
        _settle(connection, seal, found)
    write_setting(connection, HISTORY, history.encode())


_Found = list[tuple[tuple[int, bytes, bytes, int], int, tuple[int, bytes, bytes]]]
"""(canonical order, clock, (key, hash, first stored bytes)) of entries."""


def _under(writer: Writer, frontier: Frontier, seal: Seal) -> _Found:
    found: _Found = []
    for advance in seal.value.advances:
        chain: Chain = advance.chain
        for row in writer.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE chain=? AND sequence BETWEEN ? AND ?",
            (writer.names.chain(chain), frontier.sequence(chain) + 1, advance.sequence),
        ).fetchall():
            entry = None if is_pruned(row) else _decoded(writer.rows, row[-1])
            if entry is not None:
                found.append((entry.order, entry.body.hlc, (row[0], entry.hash, row[-1][:64])))
            elif is_pruned(row) and isinstance(row[3], int):
                order = (row[3], chain.origin, chain.incarnation, row[2])
                found.append((order, row[3], (row[0], row[-1], row[-1])))
    return sorted(found)


def _settle(connection: sqlite3.Connection, seal: Seal, found: _Found) -> None:
    keys = [key for _, _, (key, _, _) in found]
    hashes = [entry_hash for _, _, (_, entry_hash, _) in found]
    right = [place_of(seal.height, index) for index in range(len(found))]
    if keys == right or root_of(hashes) != seal.value.root:
        return
    (newest,) = connection.execute("SELECT max(id) FROM entries").fetchone()
    aside = max(PENDING, newest + 1)
    for index, key in enumerate(keys):
        connection.execute("UPDATE entries SET id=? WHERE id=?", (aside + index, key))
    for index, (place, (_, _, (_, entry_hash, start))) in enumerate(zip(right, found, strict=True)):
        held = connection.execute("SELECT 1 FROM entries WHERE id=?", (place,)).fetchone()
        if held is not None:  # of another seal; it gets its own place later
            connection.execute(
                "UPDATE entries SET id=? WHERE id=?", (aside + len(keys) + index, place)
            )
        connection.execute(
            "UPDATE entries SET id=?, mark=? WHERE id=?",
            (place, mark_of(place, short_of(entry_hash), start), aside + index),
        )
