"""Follows the seals of a file from the first one on: each cosigned, after the one before, and over
just the entries that stand under it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Frontier
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.seal import Seal
from buildnet.ledger.store.beside import Beside
from buildnet.ledger.store.rows import Names, place_of
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh.wire import WireError

SLICE = 50


class ReadSeal(NamedTuple):
    """A row of a seal; ``seal`` None: it holds none."""

    height: int
    hlc: int
    earliest: int
    hash: bytes
    seal: Seal | None


class Under(NamedTuple):
    """What of an entry its seal is about: its key and columns, and the hash of what is there."""

    key: int
    chain: int
    sequence: int
    hlc: int
    hash: bytes


class Findings(Protocol):
    """Where a course tells what it found."""

    def wrong(self, where: str, what: str) -> None:
        """Something is not as it should be."""

    def lost(self, chain: Chain, first: int, last: int, what: str) -> None:
        """Entries have to be fetched again."""


def read_seals(
    connection: sqlite3.Connection, beside: Beside, verify: Callable[[bytes, bytes, bytes], bool]
) -> Iterator[tuple[ReadSeal, bool]]:
    """Iterate over all seals by their height, each with whether it is cosigned."""
    rows = connection.execute(
        "SELECT height, hlc, earliest, hash, record FROM seals ORDER BY height"
    )

    def read() -> Iterator[list[ReadSeal]]:
        while some := rows.fetchmany(SLICE):
            yield [_read(*row) for row in some]

    def is_final(read: ReadSeal) -> bool:
        return read.seal is None or read.seal.is_final(verify)

    for some in beside.judged(read(), is_final):
        yield from some


def _read(height: int, hlc: int, earliest: int, seal_hash: bytes, record: bytes) -> ReadSeal:
    try:
        return ReadSeal(height, hlc, earliest, seal_hash, Seal.decode(record))
    except (WireError, TypeError):
        return ReadSeal(height, hlc, earliest, seal_hash, None)


class SealCourse:
    """Takes the entries under seals in their order, by :meth:`put`; :meth:`finish` at the end."""

    def __init__(
        self,
        seals: Iterator[tuple[ReadSeal, bool]],
        cluster: bytes,
        voters: VoterHistory | None,
        names: Names,
        findings: Findings,
    ) -> None:
        self._seals = seals
        self._cluster = cluster
        self._voters = voters
        self._names = names
        self._findings = findings
        self._next = next(seals, None)
        self._height = 0
        self._under: list[Under] = []
        self._frontier = Frontier()
        self._before: Seal | None = None
        self.history = CompactRange()
        """Of the seals so far."""
        self.last = 0
        """The height of the last one."""
        self.checked = 0

    def put(self, height: int, under: Under) -> None:
        """Take the next entry, which stands under the seal of ``height``."""
        if height != self._height:
            self._close()
            self._height = height
        self._under.append(under)

    def finish(self) -> None:
        """Check what is left."""
        self._close()
        while self._next is not None:
            self._check(*self._next, [])
        if self._height > self.last:
            told = "missing, but there are entries under it or later"
            self._findings.wrong(f"seal {self.last + 1}", told)

    def _close(self) -> None:
        """Check the seals up to the one whose entries are all here."""
        while self._next is not None and self._next[0].height <= self._height:
            mine = self._next[0].height == self._height
            self._check(*self._next, self._under if mine else [])
        self._under = []

    def _check(self, read: ReadSeal, is_final: bool, under: list[Under]) -> None:
        self._next = next(self._seals, None)
        self.checked += 1
        seal = self._read(read, is_final)
        if read.height != self.last + 1:
            self._findings.wrong(f"seal {self.last + 1}", "missing")
        self.last = read.height
        if seal is None:
            self._before = None
            return
        whole = self._before is not None or seal.height == 1
        if whole:
            self._follows(seal)
        self._advance(seal, under, whole)
        self.history = self.history.appended(seal.hash)
        self._compare(seal, under, read.earliest)
        self._before = seal

    def _read(self, read: ReadSeal, is_final: bool) -> Seal | None:
        where, seal = f"seal {read.height}", read.seal
        if seal is None:
            self._findings.wrong(where, "is no seal")
            return None
        if (seal.height, seal.value.hlc, seal.hash) != (read.height, read.hlc, read.hash):
            self._findings.wrong(where, "is not what was written")
            return None
        if seal.value.cluster != self._cluster:
            self._findings.wrong(where, "is of another cluster")
        if not is_final:
            self._findings.wrong(where, "is not cosigned by a majority of its voters")
        return seal

    def _follows(self, seal: Seal) -> None:
        value, where, before = seal.value, f"seal {seal.height}", self._before
        if value.previous != (self._cluster if before is None else before.hash):
            self._findings.wrong(where, "does not follow the one before")
        if value.history != self.history.root:
            self._findings.wrong(where, "names another history")
        if before is not None and value.hlc <= before.value.hlc:
            self._findings.wrong(where, "its clock went back")
        if self._voters is not None:
            wrong = self._voters.objection(
                None if before is None else before.value.members,
                version=value.members,
                epoch=value.epoch,
                voters=value.voters,
            )
            if wrong is not None:
                self._findings.wrong(where, wrong)

    def _advance(self, seal: Seal, under: list[Under], whole: bool) -> None:
        before = self._frontier
        try:
            self._frontier = before.advanced(seal.value.advances)
        except ValueError as error:
            self._findings.wrong(f"seal {seal.height}", str(error))
            return
        if not whole:
            return
        if self._frontier.digest() != seal.value.frontier:
            self._findings.wrong(f"seal {seal.height}", "names another frontier")
        for advance in seal.value.advances:
            low, high = before.sequence(advance.chain) + 1, advance.sequence
            number = self._names.chain(advance.chain)
            count = sum(one.chain == number and low <= one.sequence <= high for one in under)
            if count != high - low + 1:
                told = f"not all under their seal {seal.height}"
                self._findings.lost(advance.chain, low, high, told)

    def _compare(self, seal: Seal, under: list[Under], earliest: int) -> None:
        where, value = f"seal {seal.height}", seal.value
        for index, one in enumerate(under):
            if one.key != place_of(seal.height, index):
                self._findings.wrong(where, f"nothing is at index {index}")
        if len(under) != value.count or root_of(one.hash for one in under) != value.root:
            self._findings.wrong(where, "its entries are not those that were sealed")
        if earliest != min(
            (one.hlc for one in under if isinstance(one.hlc, int)), default=value.hlc
        ):
            self._findings.wrong(where, "is not what was written")
