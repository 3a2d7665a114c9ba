"""Whether a run of entries is what its chain should be, and where it is not.

Two depths. :func:`check_links` hashes and compares, nothing else: each entry names the hash of the
one before, so a run that ends in a trusted hash is what it was when that hash was made.
:func:`check_entries` reads every entry and checks its signature and the chain's rules, so it needs
no trusted end. Neither raises for what it finds; both say where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from buildnet.ledger.entry import (
    MAX_ENTRY_BYTES,
    MIN_ENTRY_BYTES,
    NO_ENTRY,
    Chain,
    Entry,
    hash_of,
    previous_of,
)
from buildnet.ledger.frontier import Head
from buildnet.ledger.opening import OPENED, Opening
from buildnet.mesh.wire import WireError

Verify = Callable[[bytes, bytes, bytes], bool]
"""``verify(key, message, signature)``; see :class:`buildnet.mesh.local.Signatures`."""

START = Head(0, NO_ENTRY)
"""The head of a chain without entries."""
_TOGETHER = 200
"""So many entries are read at a time."""
UNKNOWN = b""
"""In place of a hash: of an entry that can't be trusted, so what follows names any."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a chain's entries ``sequence`` to ``last``; ``kind``: a few stable words.

    A sequence is told by the place in the run where the entry itself can't be believed.
    """

    chain: Chain
    sequence: int
    kind: str
    last: int

    def __str__(self) -> str:
        origin, incarnation = self.chain.origin.hex()[:16], self.chain.incarnation.hex()
        entries = f"entry {self.sequence}"
        if self.last > self.sequence:
            entries = f"entries {self.sequence} to {self.last}"
        return f"{entries} of chain {origin}/{incarnation}: {self.kind}"


class Tip(NamedTuple):
    """Where a chain stands: what its next entry must follow. ``hash`` may be :data:`UNKNOWN`."""

    sequence: int
    hash: bytes
    hlc: int

    @classmethod
    def of(cls, entry: Entry) -> Tip:
        """Return where a chain stands after ``entry``."""
        return cls(entry.body.sequence, entry.hash, entry.body.hlc)

    @property
    def head(self) -> Head:
        """Without the clock."""
        return Head(self.sequence, self.hash)


BEGINNING = Tip(0, NO_ENTRY, 0)
"""Where a chain without entries stands."""


@dataclass(frozen=True, slots=True)
class Links:
    """What :func:`check_links` found. ``head``: the last entry of the run, to go on from."""

    head: Head
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What :func:`check_entries` found. ``entries``: those before the first fault; ``tip``: after
    the whole run, to go on from."""

    tip: Tip
    entries: tuple[Entry, ...]
    faults: tuple[Fault, ...]


def check_links(
    chain: Chain, head: Head, run: Iterable[bytes], *, end: bytes | None = None
) -> Links:
    """Check that the stored entries of ``run`` follow ``head`` (:data:`START`) one by one.

    ``end``: the hash that the last one must have. Where an entry does not follow, it or the one
    before is damaged, or some between are missing; :func:`check_entries` tells which.
    """
    faults: list[Fault] = []
    sequence, found = head.sequence, head.hash
    for signed in run:
        sequence += 1
        if not MIN_ENTRY_BYTES <= len(signed) <= MAX_ENTRY_BYTES:
            faults.append(Fault(chain, sequence, "no entry", sequence))
            found = UNKNOWN
            continue
        if previous_of(signed) != found and found != UNKNOWN:
            faults.append(Fault(chain, sequence, "does not follow", sequence))
        found = hash_of(signed)
    if end is not None and found != end:
        faults.append(Fault(chain, sequence, "another end", sequence))
    return Links(Head(sequence, found), tuple(faults))


def check_entries(
    cluster: bytes, chain: Chain, tip: Tip, run: Iterable[bytes], verify: Verify
) -> Checked:
    """Check the stored entries of ``run`` in full, from ``tip`` (:data:`BEGINNING`) on.

    After a fault it goes on, so every damaged entry and every gap is told once: an entry that can't
    be believed is passed over, and what follows it may name any hash.
    """
    faults: list[Fault] = []
    good: list[Entry] = []
    for entry, signed in _judged(run, verify):
        if entry is None or not signed:
            at = tip.sequence + 1
            unread = "no entry" if entry is None else "not signed by its origin"
            faults.append(Fault(chain, at, unread, at))
            tip = Tip(at, UNKNOWN, tip.hlc)
            continue
        at, sequence = tip.sequence + 1, entry.body.sequence
        if sequence != at and entry.chain == chain:
            if sequence < at:
                faults.append(Fault(chain, sequence, "stands twice", sequence))
                continue
            faults.append(Fault(chain, at, "missing", sequence - 1))
            tip = Tip(sequence - 1, UNKNOWN, tip.hlc)
        kind = objection(cluster, chain, tip, entry)
        if kind is not None:
            at = tip.sequence + 1
            faults.append(Fault(chain, at, kind, at))
            tip = Tip(at, UNKNOWN, tip.hlc)
            continue
        if not faults:
            good.append(entry)
        tip = Tip.of(entry)
    return Checked(tip, tuple(good), tuple(faults))


def objection(cluster: bytes, chain: Chain, tip: Tip, entry: Entry) -> str | None:
    """Tell in a few stable words why ``entry``, whose signature is right, is not the next one of
    ``chain`` after ``tip``; None: it is."""
    body = entry.body
    if body.cluster != cluster:
        return "of another cluster"
    if body.origin != chain.origin or body.incarnation != chain.incarnation:
        return "of another chain"
    if body.sequence != tip.sequence + 1:
        return "out of order"
    if tip.hash not in (body.previous, UNKNOWN):
        return "does not follow"
    if body.hlc <= tip.hlc:
        return "clock went back"
    if (body.sequence == 1) is not (body.type == OPENED):
        return "opens no chain" if body.sequence == 1 else "opened before"
    return _opening_objection(entry) if body.sequence == 1 else None


def _opening_objection(entry: Entry) -> str | None:
    if entry.body.previous != NO_ENTRY:
        return "does not follow"
    try:
        return Opening.read(entry.data).objection(entry.chain)
    except ValueError:
        return "opens no chain"


def _judged(run: Iterable[bytes], verify: Verify) -> Iterator[tuple[Entry | None, bool]]:
    """Read the entries of a run, and tell of each whether its origin signed it. Some are read, then
    their signatures checked: a processor that does the same many times is faster at it."""
    left = iter(run)
    while some := [_read(signed) for signed in islice(left, _TOGETHER)]:
        yield from [(one, one is not None and one.is_signed(verify)) for one in some]


def _read(signed: bytes) -> Entry | None:
    try:
        return Entry.decode(signed)
    except WireError:
        return None
