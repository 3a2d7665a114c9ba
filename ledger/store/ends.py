"""Where the chains end on this disk, also where the last entry of one is damaged.

How far a chain is sealed the seals tell, with the hash of its last entry: where what the entries
say does not fit the last seal, it is read from all seals. After the first unsealed entry that is
damaged a chain counts no further: the rest comes again from peers, with what was damaged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.events import Damaged
from buildnet.ledger.frontier import Frontier, Head
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.errors import LedgerDamagedError, damaged
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS
from buildnet.ledger.store.schema import PENDING
from buildnet.mesh.wire import WireError

Tails = dict[Chain, tuple[tuple[bytes, int], ...]]


@dataclass(frozen=True, slots=True)
class Ends:
    """``heads``: of each chain the newest entry that is sure, and its clock (of a damaged one what
    is known of it); ``sealed``: the frontier of the last final seal; ``unsealed``: of each chain
    (hash, clock) of the entries between; ``unsure``: chains whose newest entry is damaged."""

    heads: dict[Chain, tuple[Head, int]]
    sealed: dict[Chain, Head]
    unsealed: Tails
    unsure: frozenset[Chain]


def ends_of(reader: Reader) -> Ends:
    """Return where the chains end; what is damaged there is told to the reader's ``report``.

    Raises:
        LedgerDamagedError: entries and seals are damaged, so that nothing tells how far is sealed.
    """
    heads, last = reader.heads(), reader.last_seal()
    sealed = _sealed(reader)
    if last is not None and Frontier(sealed).digest() != last.value.frontier:
        sealed = _sealed_by_seals(reader, last)
    unsealed = _unsealed(reader, sealed)
    unsure = {chain for chain in heads if heads[chain][0].sequence < _reach(reader, chain)}
    for chain, head in sealed.items():
        if chain not in heads or heads[chain][0].sequence < head.sequence:
            unsure.add(chain)
            reader.report(Damaged(chain, head.sequence, head.sequence))
            least = heads[chain][1] if chain in heads else 0
            assert last is not None
            heads[chain] = (head, _clock(reader, chain, head, least, last.value.hlc))
    for chain in list(heads):
        begun, tail = sealed.get(chain), unsealed.get(chain, ())
        end = len(tail) + (0 if begun is None else begun.sequence)
        if end == heads[chain][0].sequence:
            continue
        unsure.add(chain)
        if tail:
            heads[chain] = (Head(end, tail[-1][0]), tail[-1][1])
        elif begun is not None:
            clock = _clock(reader, chain, begun, 0, heads[chain][1])
            heads[chain] = (begun, clock)
        else:
            del heads[chain]
    return Ends(heads, sealed, unsealed, frozenset(unsure))


def _sealed(reader: Reader) -> dict[Chain, Head]:
    """Return the newest sealed entry of each chain, as the entries say; damaged ones are left
    out."""
    found: dict[Chain, Head] = {}
    for number, name in reader.connection.execute("SELECT number, name FROM chains").fetchall():
        row = reader.connection.execute(
            f"SELECT {COLUMNS} FROM entries WHERE chain=? AND +id<{PENDING} "
            "ORDER BY sequence DESC LIMIT 1",
            (number,),
        ).fetchone()
        head = None if row is None else reader.head_of(row)
        if head is not None:
            found[Chain(name[:32], name[32:])] = head
    return found


def _sealed_by_seals(reader: Reader, last: Seal) -> dict[Chain, Head]:
    """Return the frontier as all seals tell it; one that is damaged does not matter where the
    chains that it names go on in later ones."""
    found: dict[Chain, Head] = {}
    for (record,) in reader.connection.execute("SELECT record FROM seals ORDER BY height"):
        try:
            advances = Seal.decode(record).value.advances
        except (WireError, TypeError):
            continue
        found.update((one.chain, one.head) for one in advances)
    if Frontier(found).digest() != last.value.frontier:
        raise damaged(reader.path, "neither entries nor seals tell how far each chain is sealed")
    return found


def _unsealed(reader: Reader, sealed: Mapping[Chain, Head]) -> Tails:
    """Return of each chain (hash, clock) of what is not sealed, ascending, up to the first one
    that is damaged or missing."""
    found: dict[Chain, list[tuple[bytes, int]]] = {}
    broken: set[int] = set()
    # The entries themselves are too large to be sorted, and the index of chains is of all.
    keys = reader.connection.execute(
        f"SELECT id FROM entries WHERE id>={PENDING} ORDER BY +chain, +sequence"
    ).fetchall()
    for key in keys:
        row = reader.connection.execute(f"SELECT {COLUMNS} FROM entries WHERE id=?", key).fetchone()
        chain, head = reader.names.chain_of(row[1]), reader.head_of(row)
        if row[1] in broken or chain is None or head is None:
            broken.add(row[1])
            continue
        begun, tail = sealed.get(chain), found.setdefault(chain, [])
        if head.sequence != len(tail) + 1 + (0 if begun is None else begun.sequence):
            broken.add(row[1])
            continue
        tail.append((head.hash, row[3]))
    return {chain: tuple(tail) for chain, tail in found.items() if tail}


def _reach(reader: Reader, chain: Chain) -> int:
    """Return the greatest sequence of a chain that any row tells."""
    (found,) = reader.connection.execute(
        "SELECT max(sequence) FROM entries WHERE chain=?", (reader.names.chain(chain),)
    ).fetchone()
    return int(found or 0)


def _clock(reader: Reader, chain: Chain, head: Head, least: int, most: int) -> int:
    """Return the clock of an entry whose row is damaged, as far as the row tells it: else a lower
    bound, so that nothing of the chain is taken for too early."""
    row = reader.row_at(chain, head.sequence)
    if row is None:
        return least
    try:
        entry = Entry.decode(reader.vault.open(row[-1]))
    except (LedgerDamagedError, WireError, TypeError):
        entry = None
    if entry is not None and entry.hash == head.hash:
        return entry.body.hlc
    return row[3] if isinstance(row[3], int) and least < row[3] <= most else least
