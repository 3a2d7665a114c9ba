"""Writes what a core wants kept: entries, seals, promises and evidence, each once."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

from buildnet.ledger.accounts import Account
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Keep
from buildnet.ledger.merkle import CompactRange
from buildnet.ledger.restored import Accepted, Promise, Quarantine
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.database import read_setting, write_setting
from buildnet.ledger.store.deriving import is_shared
from buildnet.ledger.store.errors import (
    ContradictionError,
    LedgerDamagedError,
    PrunedError,
    damaged,
)
from buildnet.ledger.store.folding import account_of, empty_all
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import (
    COLUMNS,
    is_pruned,
    mark_of,
    place_of,
    sealed_place,
    short_of,
)
from buildnet.ledger.store.schema import PENDING, checksum
from buildnet.ledger.store.vault import Vault
from buildnet.ledger.store.writer import Writer
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh import cbor
from buildnet.mesh.wire import WireError

PROMISE = "promise"
ACCEPTED = "accepted"
ABSTAINS = "abstains"
"""There while this voter abstains."""
HISTORY = "history"
PRUNED = "pruned"
"""Up to which height entries were pruned."""
BEHIND = "behind"
"""There while the derived tables tell of what was pruned since they were built."""
_SLICE = 1000
_Places = dict[tuple[Chain, int], int]
"""Keys of entries, by chain and sequence."""
_Sealing = tuple[int, int, int, int, bytes, bytes]
"""Of an entry: key, clock, number of its type, short hash, signature, last two bytes."""
NO_POSTINGS = b"}\x80"
"""How an entry without postings ends: its data's bracket, and an empty array."""


def keep(writer: Writer, *what: Keep) -> None:
    """Write all of ``what`` in their order, in the transaction that is open. To write it again
    changes nothing.

    Raises:
        LedgerDamagedError: an entry under one of its seals is missing.
        ContradictionError: it can't ever be written.
    """
    # An entry whose seal comes later in the same transaction is written at its place at once; but
    # for those of which another one may take the place meanwhile.
    is_plain = not any(one.replaced or one.quarantines for one in what)
    places = _places(*what) if is_plain else {}
    anew = False
    for one in what:
        anew |= _keep(writer, one, places if is_plain else _places(one))
    if anew:
        rebuild(writer)


def _keep(writer: Writer, what: Keep, places: _Places) -> bool:
    """Write one; return whether the derived tables have to be built again."""
    anew = False
    arriving = {(entry.chain, entry.body.sequence): entry for entry in what.entries}
    for stub in what.stubs:
        writer.take_stub(stub)
    for at in what.replaced:
        anew |= _set_aside(writer, at, arriving.get(at))
    anew |= writer.take_all(arriving.values(), places)
    for quarantine in what.quarantines:
        anew |= _quarantine(writer, quarantine)
    for seal, sealed in zip(what.seals, what.sealed, strict=True):
        anew |= _seal(writer, seal, sealed)
    if what.seals:
        _extend_history(writer, what.seals)
    if what.promise is not None:
        write_setting(writer.connection, PROMISE, cbor.encode(what.promise.term))
    if what.accepted is not None:
        one = what.accepted
        body = cbor.encode([one.term, one.height, one.value])
        write_setting(writer.connection, ACCEPTED, body)
    if what.abstains is not None:
        writer.connection.execute("DELETE FROM settings WHERE name=?", (ABSTAINS,))
        if what.abstains:
            write_setting(writer.connection, ABSTAINS, b"yes")
    return anew


def _places(*what: Keep) -> _Places:
    return {
        at: place_of(seal.height, index)
        for one in what
        for seal, sealed in zip(one.seals, one.sealed, strict=True)
        for index, at in enumerate(sealed)
    }


def _seal(writer: Writer, seal: Seal, sealed: tuple[tuple[Chain, int], ...]) -> bool:
    """Keep a seal and give its entries their places; return whether the derived tables have to be
    built again."""
    connection = writer.connection
    if len(sealed) != seal.value.count:
        raise ContradictionError(f"the seal of height {seal.height} counts other entries")
    known = connection.execute(
        "SELECT height, hlc, hash, record FROM seals WHERE height=?", (seal.height,)
    ).fetchone()
    if known is not None and _is_right(known, seal):
        return False
    rows = _rows_under(writer, sealed)
    earliest = seal.value.hlc
    moved: list[tuple[int, int, int]] = []
    told: list[tuple[Chain, int, int]] = []
    anew = False
    for index, at in enumerate(sealed):
        if (row := rows.get(at)) is None:
            raise damaged(writer.path, f"entry {at[1]} under seal {seal.height} is missing")
        place, (key, hlc, type_number, short, start, end) = place_of(seal.height, index), row
        earliest = min(earliest, hlc)
        if key != place:
            moved.append((place, mark_of(place, short, start), key))
        bound = writer.quarantined.get(at[0])
        anew |= bound is not None and at[1] >= bound
        type_name = writer.names.type_of(type_number)
        plain = writer.vault.key is None
        if type_name is None or is_shared(type_name) or not (plain and end == NO_POSTINGS):
            told.append((*at, place))
    connection.executemany("UPDATE entries SET id=?, mark=? WHERE id=?", moved)
    connection.execute(
        "INSERT OR REPLACE INTO seals (height, hlc, earliest, hash, record) VALUES (?, ?, ?, ?, ?)",
        (seal.height, seal.value.hlc, earliest, seal.hash, seal.record.encode()),
    )
    for chain, sequence, place in told:
        _fold_sealed(writer, chain, sequence, place)
    return anew


def _rows_under(
    writer: Writer, sealed: tuple[tuple[Chain, int], ...]
) -> dict[tuple[Chain, int], _Sealing]:
    """Return what sealing has to know of each entry that is there."""
    ends: dict[Chain, tuple[int, int]] = {}
    for chain, sequence in sealed:
        first, last = ends.get(chain, (sequence, sequence))
        ends[chain] = (min(first, sequence), max(last, sequence))
    return {
        (chain, sequence): tuple(row)
        for chain, (first, last) in ends.items()
        for sequence, *row in writer.connection.execute(
            "SELECT sequence, id, hlc, type, short, substr(signed, 1, 64), substr(signed, -2) "
            "FROM entries WHERE chain=? AND sequence BETWEEN ? AND ?",
            (writer.names.chain(chain), first, last),
        )
    }


def _is_right(row: tuple[int, int, bytes, bytes], seal: Seal) -> bool:
    """Tell whether a seal is kept as it should be; not, if its row is damaged.

    Raises:
        ContradictionError: another one is kept at its height.
    """
    height, hlc, seal_hash, record = row
    try:
        held = Seal.decode(record)
    except (WireError, TypeError):
        return False
    if (held.height, held.value.hlc, held.hash) != (height, hlc, seal_hash):
        return False
    if held.hash != seal.hash:
        raise ContradictionError(f"another final seal of height {height} is kept")
    return held.record == seal.record


def mend_seal(writer: Writer, seal: Seal) -> None:
    """Write a seal again that a peer has, in place of a row that is damaged or gone: the one that
    the row's hash or the next seal names. Its cosignatures are the caller's to check."""
    connection = writer.connection
    row = connection.execute(
        "SELECT height, hlc, hash, record FROM seals WHERE height=?", (seal.height,)
    ).fetchone()
    named = row is not None and row[2] == seal.hash
    following = connection.execute(
        "SELECT record FROM seals WHERE height=?", (seal.height + 1,)
    ).fetchone()
    if following is not None and not named:
        with contextlib.suppress(WireError, TypeError):
            named = Seal.decode(following[0]).value.previous == seal.hash
    if not named and (following is not None or row is None):
        return
    if row is not None:
        connection.execute("DELETE FROM seals WHERE height=?", (seal.height,))
    connection.execute(
        "INSERT OR REPLACE INTO seals (height, hlc, earliest, hash, record) VALUES (?, ?, ?, ?, ?)",
        (seal.height, seal.value.hlc, seal.value.hlc, seal.hash, seal.record.encode()),
    )


def _fold_sealed(writer: Writer, chain: Chain, sequence: int, place: int) -> None:
    try:
        entry = writer.require(chain, sequence).entry
        if is_shared(entry.body.type):
            writer.fold.apply(entry, place)
        writer.fold.post(entry, place)
    except PrunedError:  # of peers that forgot it: nothing is left to fold
        return
    except LedgerDamagedError:  # verify tells where; it is folded once it was fetched again
        return


def rewind(writer: Writer, height: int, voters: VoterHistory | None = None) -> None:
    """Set final seals from ``height`` on aside, and those below whose voters are none of
    ``voters``: a recovery began a new epoch. Their entries are provisional again, and the derived
    tables are built again."""
    connection = writer.connection
    if voters is not None:
        height = _disowned_from(connection, height, voters)
    rows = connection.execute(
        "SELECT height, hash, record FROM seals WHERE height>=? ORDER BY height", (height,)
    ).fetchall()
    if not rows:
        return
    for at, seal_hash, record in rows:
        connection.execute(
            "INSERT OR REPLACE INTO superseded (hash, height, record, checksum) "
            "VALUES (?, ?, ?, ?)",
            (seal_hash, at, record, checksum("superseded", seal_hash, at, record)),
        )
    first = rows[0][0]
    connection.execute("DELETE FROM seals WHERE height>=?", (first,))
    start = place_of(first, 0)
    (newest,) = connection.execute("SELECT max(id) FROM entries").fetchone()
    key = max(PENDING, newest + 1)
    found = connection.execute(
        "SELECT id, short, substr(signed, 1, 64) FROM entries WHERE id>=? AND id<? ORDER BY id",
        (start, PENDING),
    ).fetchall()
    connection.executemany(
        "UPDATE entries SET id=?, mark=? WHERE id=?",
        [
            (key + at, mark_of(key + at, short, begins), old)
            for at, (old, short, begins) in enumerate(found)
        ],
    )
    writer.forget_keys()
    hashes = connection.execute("SELECT hash FROM seals ORDER BY height")
    write_setting(connection, HISTORY, CompactRange.of(one for (one,) in hashes).encode())
    rebuild(writer)


def _disowned_from(connection: sqlite3.Connection, height: int, voters: VoterHistory) -> int:
    """Return from which height on, at ``height`` or below, seals name none of these voters."""
    rows = connection.execute(
        "SELECT height, record FROM seals WHERE height<? ORDER BY height DESC", (height,)
    )
    for at, record in rows:
        with contextlib.suppress(WireError):  # what is damaged goes with those below it
            value = Seal.decode(record).value
            if voters.names(value.members, value.epoch, value.voters):
                break
            height = at
    return height


def _set_aside(writer: Writer, at: tuple[Chain, int], other: Entry | None) -> bool:
    """Make room for another branch of a chain; return whether an entry was set aside. ``other``
    takes its place: what is the same, or sealed, stays."""
    row = writer.at(*at)
    if row is None or row[0] < PENDING:
        return False
    if other is not None and row[5] == short_of(other.hash):
        return False
    if not is_pruned(row):
        values = (at[0].origin + at[0].incarnation, at[1], row[5], row[-1])
        writer.connection.execute(
            "INSERT OR REPLACE INTO aside (chain, sequence, short, signed, checksum) "
            "VALUES (?, ?, ?, ?, ?)",
            (*values, checksum("aside", *values)),
        )
    writer.connection.execute("DELETE FROM entries WHERE id=?", (row[0],))
    return True


def _extend_history(writer: Writer, seals: tuple[Seal, ...]) -> None:
    history = read_history(writer)
    more = [seal.hash for seal in seals if seal.height > history.size]
    write_setting(writer.connection, HISTORY, history.extended(more).encode())


def read_history(writer: Writer | Reader) -> CompactRange:
    """Return the Merkle range over the hashes of all final seals.

    Raises:
        LedgerDamagedError: it is not what was written.
    """
    body = read_setting(writer.connection, writer.path, HISTORY)
    return CompactRange() if body is None else CompactRange.decode(body)


def _quarantine(writer: Writer, quarantine: Quarantine) -> bool:
    """Keep evidence; return whether it is new."""
    chain = quarantine.chain
    bound = writer.quarantined.get(chain)
    if bound is not None and bound <= quarantine.sequence:
        return False
    name = chain.origin + chain.incarnation
    one, other = (writer.vault.close(each) for each in (quarantine.one, quarantine.other))
    values = (name, quarantine.sequence, one, other)
    writer.connection.execute(
        "INSERT OR REPLACE INTO quarantines (chain, sequence, one, other, checksum) "
        "VALUES (?, ?, ?, ?, ?)",
        (*values, checksum("quarantines", *values)),
    )
    writer.quarantined[chain] = quarantine.sequence
    return True


def read_quarantines(writer: Writer | Reader) -> list[Quarantine]:
    """Return the evidence that is kept.

    Raises:
        LedgerDamagedError: it is not what was written.
    """
    found: list[Quarantine] = []
    for *values, mark in writer.connection.execute(
        "SELECT chain, sequence, one, other, checksum FROM quarantines ORDER BY chain"
    ):
        if checksum("quarantines", *values) != mark:
            raise damaged(writer.path, "the evidence against a chain is not what was written")
        name, sequence, one, other = values
        chain = Chain(name[:32], name[32:])
        found.append(Quarantine(chain, sequence, writer.vault.open(one), writer.vault.open(other)))
    return found


def read_promise(writer: Writer | Reader) -> Promise | None:
    """Return what this voter promised; None: nothing yet.

    Raises:
        LedgerDamagedError: it is not what was written.
    """
    body = read_setting(writer.connection, writer.path, PROMISE)
    return None if body is None else Promise(cbor.decode(body))


def read_accepted(writer: Writer | Reader) -> Accepted | None:
    """Return what this voter accepted last; None: nothing yet.

    Raises:
        LedgerDamagedError: it is not what was written.
    """
    body = read_setting(writer.connection, writer.path, ACCEPTED)
    return None if body is None else Accepted(*cbor.decode(body))


def read_abstains(reader: Reader) -> bool:
    """Tell whether this voter abstains; it does, too, where that is damaged."""
    try:
        return read_setting(reader.connection, reader.path, ABSTAINS) is not None
    except LedgerDamagedError:
        return True


def rebuild(writer: Writer) -> int:
    """Build the derived tables again from the entries, in the transaction that is open; return how
    many entries were read. Entries that are damaged are left out.

    Raises:
        LedgerDamagedError: what pruning left of the accounts is damaged; nothing was changed.
    """
    connection, fold = writer.connection, writer.fold
    accounts = carried(connection, writer.path, writer.vault)
    pruned = read_setting(connection, writer.path, PRUNED)
    fold.flush()
    empty_all(connection)
    writer.wrong_tables.clear()
    for name, account in accounts.items():
        fold.set_account(name, account)
    books_from = place_of(cbor.decode(pruned) + 1, 0) if pruned is not None else 0
    count, after = 0, -1
    while rows := connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>? ORDER BY id LIMIT {_SLICE}", (after,)
    ).fetchall():
        after = rows[-1][0]
        for row in rows:
            count += 1
            if is_pruned(row):
                continue
            try:
                entry = writer.rows.to_entry(row).entry
            except LedgerDamagedError:
                continue
            place = sealed_place(row[0])
            bound = writer.quarantined.get(entry.chain)
            if place is not None or bound is None or entry.body.sequence < bound:
                fold.apply(entry, place)
            if place is not None and place >= books_from:
                fold.post(entry, place)
    fold.flush()
    connection.execute("DELETE FROM settings WHERE name=?", (BEHIND,))
    return count


def is_behind(connection: sqlite3.Connection) -> bool:
    """Tell whether the derived tables have to be built again since something was pruned."""
    found = connection.execute("SELECT 1 FROM settings WHERE name=?", (BEHIND,)).fetchone()
    return found is not None


def catch_up(writer: Writer) -> None:
    """Build the derived tables again if something was pruned since they were."""
    if is_behind(writer.connection):
        rebuild(writer)


def carried(connection: sqlite3.Connection, path: Path, vault: Vault) -> dict[str, Account]:
    """Return the accounts as they were after the last seal whose entries were pruned.

    Raises:
        LedgerDamagedError: they are not what was written.
    """
    found: dict[str, Account] = {}
    for name, body, mark in connection.execute("SELECT account, body, checksum FROM carried"):
        if checksum("carried", name, body) != mark:
            raise damaged(path, "the accounts before what was pruned are not what was written")
        found[name] = account_of(json.loads(vault.open(body)))
    return found


def begin(writer: Writer) -> None:
    """Read what the writer holds in memory.

    Raises:
        LedgerDamagedError: promises or evidence are damaged.
    """
    writer.quarantined = {one.chain: one.sequence for one in read_quarantines(writer)}
