"""An export by which anybody can check what was sealed.

It needs no node and no network: it holds the cluster's genesis and member log, all seals up to the
last one when it was begun, and under each its entries as they were signed (of pruned ones the
hash). Its form: a line that names it, then frames of 4 bytes length (big endian) and so many bytes
of CBOR, each ``[kind, value]``: ``members`` (parts of the member log), then for each height
``seal`` and its ``entry`` and ``hash`` frames, then ``end`` with the BLAKE3 of all bytes before it.

Whoever has a file can cut it after any seal, and say that what is left is all of it; nothing in it
can show that. So a verdict tells the last height, to be compared with what a member says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from buildnet.ledger.chain import BEGINNING, UNKNOWN, Tip, objection
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.entry_view import time_text
from buildnet.ledger.export import ExportError, RewoundError
from buildnet.ledger.frontier import Frontier
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.seal import Seal, SealRecord
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, is_pruned, place_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.store.verifying import Problem
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.chain import Chain as MemberChain
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.admission import ChainPart
from buildnet.mesh.wire import WireError

MAGIC = b"buildnet ledger export 1\n"
MAX_PROBLEMS = 1000
_MAX_FRAME = 64 * 1024
_ENTRIES_AT_ONCE = 1000
_FILE = "the file"
_REPAIR = "it is fetched again from a peer: buildnet ledger verify --repair"

Frame = tuple[str, bytes]


async def write_checkable(
    store: LedgerStore, file: IO[bytes], members: Callable[[], MemberChain]
) -> int:
    """Write everything that is sealed now with what proves it; return the number of entries.
    ``members`` gives the member log as far as this node knows it.

    Raises:
        ExportError: the file can't be written; or the cluster was recovered meanwhile.
        LedgerDamagedError: an entry or seal is damaged here: repair it first.
    """
    last = await store.read(lambda reader: reader.last_seal())
    before: bytes | None = None
    count, height = 0, 1
    try:
        out = _Writer(file)
        # A seal is kept only once its voters are known: the log reaches far enough by now.
        await asyncio.to_thread(out.begin, members())
        while last is not None and before != last.hash:
            part = await store.read(partial(_part, before=before, height=height, last=last))
            await asyncio.to_thread(out.put_all, part.frames)
            before, height = part.reached, part.height + 1
            count += part.entries
        await asyncio.to_thread(out.end)
    except OSError as error:
        raise ExportError(
            "the export can't be written",
            cause=error.strerror or str(error),
            hint="it takes some room in the node's data directory until it is handed out",
        ) from error
    return count


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = blake3()

    def begin(self, members: MemberChain) -> None:
        self._write(MAGIC)
        self.put_all([("members", part.encode()) for part in members.parts()])

    def put_all(self, frames: Sequence[Frame]) -> None:
        for kind, value in frames:
            raw = cbor.encode([kind, value])
            self._write(len(raw).to_bytes(4, "big") + raw)

    def end(self) -> None:
        self.put_all([("end", self._hash.digest())])
        self._file.flush()

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


@dataclass(slots=True)
class _Part:
    """Frames of some seals. ``reached``: the hash of the last of them, of ``height``."""

    height: int
    reached: bytes | None
    entries: int = 0
    frames: list[Frame] = field(default_factory=list)


def _part(reader: Reader, *, before: bytes | None, height: int, last: Seal) -> _Part:
    """Read on after the seal whose hash is ``before``, all from one state of the file."""
    part = _Part(height - 1, before)
    while part.entries < _ENTRIES_AT_ONCE and part.height < last.height:
        found = reader.seals(part.height + 1, max_count=1)
        if not found:
            raise LedgerDamagedError(
                f"the seal of height {part.height + 1} is damaged on this node", hint=_REPAIR
            )
        (seal,) = found
        follows = part.reached is None or seal.value.previous == part.reached
        if not follows or (seal.height == last.height and seal.hash != last.hash):
            raise RewoundError
        part.frames.append(("seal", seal.record.encode()))
        entries = _entries(reader, seal)
        part.frames += entries
        part.entries += len(entries)
        part.height, part.reached = seal.height, seal.hash
    return part


def _entries(reader: Reader, seal: Seal) -> list[Frame]:
    found: list[Frame] = []
    for row in reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>=? AND id<? ORDER BY id",
        (place_of(seal.height, 0), place_of(seal.height + 1, 0)),
    ):
        if is_pruned(row):
            found.append(("hash", row[-1]))
            continue
        stored = reader.read(row)
        if stored is None:
            raise LedgerDamagedError(
                f"an entry under the seal of height {seal.height} is damaged on this node",
                hint=_REPAIR,
            )
        found.append(("entry", stored.entry.signed))
    return found


@dataclass(slots=True)
class Verdict:
    """What a check of a file found. ``cluster``: the id of the cluster that it proves to be of;
    ``pruned``: entries of which it holds the hash only; ``last``: the last seal in it."""

    cluster: bytes = b""
    entries_checked: int = 0
    pruned: int = 0
    seals_checked: int = 0
    last: Seal | None = None
    errors: list[Problem] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether everything in it is proven."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of the verdict."""
        last = self.last
        return {
            "verified": self.verified,
            "cluster_id": self.cluster.hex() or None,
            "entries_checked": self.entries_checked,
            "pruned": self.pruned,
            "seals_checked": self.seals_checked,
            "height": 0 if last is None else last.height,
            "seal": None if last is None else last.hash.hex(),
            "sealed_at": None if last is None else time_text(last.value.hlc),
            "errors": [{"where": one.where, "what": one.what} for one in self.errors],
        }


def verify_checkable(
    path: Path, signatures: Signatures, *, cluster: bytes | None = None
) -> Verdict:
    """Check a file in bounded memory, without a node. ``cluster``: the id that it must be of;
    without it the file only proves to be consistent with the cluster that it names.

    Raises:
        ExportError: it is no export that can be checked, or can't be read.
    """
    verdict = Verdict()
    try:
        with path.open("rb") as file:
            _Check(verdict, signatures, cluster).run(_read(file))
    except OSError as error:
        raise ExportError(
            f"{path} can't be read",
            cause=error.strerror or str(error),
            hint="name a file that is there and that you may read",
        ) from error
    except ExportError:
        raise
    except (BuildNetError, cbor.CborError) as error:  # it holds what can't be read
        verdict.errors.append(Problem(_FILE, str(error)))
    return verdict


def _read(file: IO[bytes]) -> Iterator[Frame]:
    hasher = blake3()
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        text = magic[:1] in (b"[", b"{") or magic.startswith(b"id,")
        raise ExportError(
            "JSON, NDJSON and CSV can't be checked: they lack what is signed"
            if text
            else "this is no export of a ledger",
            hint="buildnet audit export --format checkable --out FILE makes one that can be",
        )
    hasher.update(magic)
    while True:
        head = file.read(4)
        size = int.from_bytes(head, "big")
        raw = file.read(size) if len(head) == 4 and size <= _MAX_FRAME else b""
        if len(raw) != size or not raw:
            raise WireError("it ends early or is damaged")
        frame = cbor.decode(raw)
        if not (
            isinstance(frame, list)
            and len(frame) == 2
            and isinstance(frame[0], str)
            and isinstance(frame[1], bytes)
        ):
            raise WireError("it holds what is no frame")
        if frame[0] == "end":
            if frame[1] != hasher.digest() or file.read(1):
                raise WireError("it is not what was written")
            return
        hasher.update(head + raw)
        yield frame[0], frame[1]


class _Check:
    """Follows the frames of one file. It believes no voter: entries have to follow each other, too,
    not only be what was sealed."""

    def __init__(self, verdict: Verdict, signatures: Signatures, cluster: bytes | None) -> None:
        self._verdict = verdict
        self._signatures = signatures
        self._cluster = cluster
        self._parts: list[ChainPart] = []
        self._voters: VoterHistory | None = None
        self._frontier = Frontier()
        self._history = CompactRange()
        self._tips: dict[Chain, Tip] = {}
        self._hashes: list[bytes] = []
        self._order: tuple[int, bytes, bytes, int] | None = None
        self._hidden = 0
        """Entries under this seal of which there is only the hash."""
        self._missing = 0
        """Entries that the chains lack under this seal: as many should be hidden."""

    def run(self, frames: Iterator[Frame]) -> None:
        for kind, value in frames:
            if kind == "members" and self._voters is None:
                self._parts.append(ChainPart.decode(value))
                continue
            self._begin()
            seal = self._verdict.last
            if kind == "seal":
                self._close()
                self._open(Seal.read(SealRecord.decode(value)))
            elif kind not in ("entry", "hash") or (kind == "hash" and len(value) != 32):
                self._wrong(_FILE, f"an unexpected frame {kind!r:.40}")
            elif seal is None or len(self._hashes) == seal.value.count:
                where = "before the first seal" if seal is None else f"seal {seal.height}"
                raise WireError(f"{where}: more entries than were sealed")
            elif kind == "entry":
                self._entry(seal, Entry.decode(value))
            else:
                self._verdict.pruned += 1
                self._hidden += 1
                self._hashes.append(value)
        self._begin()
        self._close()

    def _wrong(self, where: str, what: str) -> None:
        if len(self._verdict.errors) < MAX_PROBLEMS:
            self._verdict.errors.append(Problem(where, what))

    def _begin(self) -> None:
        if self._voters is not None:
            return
        if not self._parts:
            raise WireError("the member log is missing")
        chain = MemberChain.of(self._parts)
        chain.fold(self._signatures)  # and the proof that the last version is final
        founded = MemberList.of(chain.genesis, self._signatures)
        self._voters = VoterHistory.fold(founded, chain.entries)
        self._verdict.cluster = founded.cluster_id
        if self._cluster is not None and self._cluster != self._verdict.cluster:
            self._wrong(_FILE, "it is of another cluster")

    def _open(self, seal: Seal) -> None:
        assert self._voters is not None
        value, where, before = seal.value, f"seal {seal.height}", self._verdict.last
        self._verdict.seals_checked += 1
        self._hashes, self._order, self._hidden, self._missing = [], None, 0, 0
        height = 1 if before is None else before.height + 1
        previous = self._verdict.cluster if before is None else before.hash
        if (value.cluster, value.height) != (self._verdict.cluster, height):
            self._wrong(where, "it is not the next one of this cluster")
        if value.previous != previous or value.history != self._history.root:
            self._wrong(where, "it does not follow the one before")
        if before is not None and value.hlc <= before.value.hlc:
            self._wrong(where, "its clock went back")
        objection = self._voters.objection(
            None if before is None else before.value.members,
            version=value.members,
            epoch=value.epoch,
            voters=value.voters,
        )
        if objection is not None:
            self._wrong(where, objection)
        if not seal.is_final(self._signatures.verify):
            self._wrong(where, "it is not cosigned by a majority of its voters")
        try:
            self._frontier = self._frontier.advanced(value.advances)
        except ValueError as error:
            self._wrong(where, str(error))
        if self._frontier.digest() != value.frontier:
            self._wrong(where, "it names another frontier")
        self._history = self._history.appended(seal.hash)
        self._verdict.last = seal

    def _entry(self, seal: Seal, entry: Entry) -> None:
        self._verdict.entries_checked += 1
        self._hashes.append(entry.hash)
        body, chain = entry.body, entry.chain
        where = f"entry {entry.id[:16]}"
        if not entry.is_signed(self._signatures.verify):
            self._wrong(where, "it is not signed by its origin")
        if body.hlc > seal.value.hlc or (self._order is not None and entry.order <= self._order):
            self._wrong(where, "it is not in its place")
        self._order = entry.order
        tip = self._tips.get(chain, BEGINNING)
        if body.sequence > tip.sequence + 1:
            self._missing += body.sequence - tip.sequence - 1
            tip = Tip(body.sequence - 1, UNKNOWN, tip.hlc)
        wrong = objection(self._verdict.cluster, chain, tip, entry)
        if wrong is not None:
            self._wrong(where, wrong)
        self._tips[chain] = Tip.of(entry)

    def _close(self) -> None:
        seal = self._verdict.last
        if seal is None:
            return
        where = f"seal {seal.height}"
        if len(self._hashes) != seal.value.count or root_of(self._hashes) != seal.value.root:
            self._wrong(where, "its entries are not those that were sealed")
        for advance in seal.value.advances:
            tip = self._tips.get(advance.chain, BEGINNING)
            if tip.sequence > advance.sequence or (
                tip.sequence == advance.sequence and tip.hash != advance.hash
            ):
                self._wrong(where, "a chain does not reach as far as it says")
            self._missing += max(0, advance.sequence - tip.sequence)
            self._tips[advance.chain] = Tip(advance.sequence, advance.hash, tip.hlc)
        if self._missing != self._hidden:
            self._wrong(where, "entries of its chains are missing, or too many are pruned")
