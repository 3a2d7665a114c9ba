"""Entries for other programs (JSON, NDJSON, CSV), and a file by which anybody can check them.

The checkable file needs no node and no network: it holds the cluster's genesis and member log, all
seals, and under each its entries as they were signed (of pruned ones the hash). Its form: a line
that names it, then frames of 4 bytes length (big endian) and so many bytes of CBOR, each
``[kind, value]``: ``members`` (parts of the member log), then for each height ``seal`` and its
``entry`` and ``hash`` frames, then ``end`` with the BLAKE3 of all bytes before it.
"""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any

from blake3 import blake3

from buildnet.ledger.entry import Entry
from buildnet.ledger.frontier import Frontier
from buildnet.ledger.merkle import CompactRange, root_of
from buildnet.ledger.query import Cursor, Query
from buildnet.ledger.seal import Seal, SealRecord
from buildnet.ledger.store.errors import LedgerDamagedError
from buildnet.ledger.store.reader import Reader
from buildnet.ledger.store.rows import COLUMNS, StoredEntry, is_pruned, place_of
from buildnet.ledger.store.store import LedgerStore
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh import cbor
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.chain import Chain as MemberChain
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.admission import ChainPart
from buildnet.mesh.wire import WireError

MAGIC = b"buildnet ledger export 1\n"
_MAX_FRAME = 64 * 1024
_PAGE = 200
FORMATS = ("json", "ndjson", "csv")
_CSV = (
    "id", "sealed", "height", "index", "time", "origin", "incarnation", "sequence", "type",
    "actor", "actor_name", "actor_kind", "entity", "correlation", "reason", "data",
)  # fmt: skip


class ExportError(BuildNetError):
    """A file that is no export, or does not hold what it should."""

    code = "LEDGER_EXPORT"
    exit_code = 2
    http_status = 400


def as_json(stored: StoredEntry) -> dict[str, Any]:
    """Return an entry as people and programs read it; the field names of section 10.1 where it has
    them."""
    entry, body = stored.entry, stored.entry.body
    at_ms = milliseconds_of(body.hlc)
    return {
        "id": entry.id,
        "sealed": stored.sealed,
        "height": stored.height,
        "index": stored.index,
        "time": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "hlc": body.hlc,
        "origin": body.origin.hex(),
        "incarnation": body.incarnation.hex(),
        "sequence": body.sequence,
        "type": body.type,
        "actor": {"id": body.actor.id, "name": body.actor.name, "kind": body.actor.kind},
        "reason": body.reason,
        "correlation": body.correlation,
        "entity": body.entity,
        "data": entry.data,
        "postings": [
            {
                "account": one.account,
                "side": one.side,
                "unit": one.unit,
                "amount": one.amount,
                "state": one.state,
            }
            for one in body.postings
        ],
        "prev_hash": body.previous.hex(),
        "signature": entry.signed[:64].hex(),
    }


async def export(store: LedgerStore, query: Query, form: str) -> AsyncIterator[str]:
    """Iterate over the text of an export of all entries that fit, in their order.

    Raises:
        ExportError: there is no such form.
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
            text = json.dumps(as_json(stored), ensure_ascii=False, separators=(",", ":"))
            yield f"{before}{text}" if form == "json" else f"{text}\n"
            before = ",\n"
    if form == "json":
        yield "]\n"


async def everything(store: LedgerStore, query: Query) -> AsyncIterator[StoredEntry]:
    """Iterate over all entries that fit, page by page."""
    cursor: Cursor | None = None
    while True:
        page = await store.query(query, cursor=cursor, limit=_PAGE)
        for stored in page.entries:
            yield stored
        if page.next is None:
            return
        cursor = page.next


def _csv_values(stored: StoredEntry) -> tuple[object, ...]:
    said = as_json(stored)
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


# --- the file that can be checked ----------------------------------------------------------------


async def write_export(store: LedgerStore, path: Path, members: MemberChain) -> int:
    """Write everything sealed with what proves it; return the number of entries. ``members``: the
    member log up to the version that the last seal names, or later.

    Raises:
        ExportError: the file exists or can't be written.
        LedgerDamagedError: an entry or seal is damaged here: repair it first.
    """
    count, height = 0, 1
    try:
        with path.open("xb") as file:
            out = _Writer(file)
            await asyncio.to_thread(out.begin, members)
            while seals := await store.seals(height, max_count=8):
                for seal in seals:
                    frames = await store.read(partial(_frames, seal=seal))
                    await asyncio.to_thread(out.put_all, frames)
                    count += len(frames) - 1
                height += len(seals)
            last = await store.read(lambda reader: reader.last_seal())
            if last is not None and last.height != height - 1:
                raise LedgerDamagedError(f"the seal of height {height} is damaged on this node")
            await asyncio.to_thread(out.end)
    except OSError as error:
        raise ExportError(f"{path} can't be written", cause=str(error)) from error
    return count


class _Writer:
    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = blake3()

    def begin(self, members: MemberChain) -> None:
        self._write(MAGIC)
        self.put_all([("members", part.encode()) for part in members.parts()])

    def put_all(self, frames: Sequence[tuple[str, bytes]]) -> None:
        for kind, value in frames:
            raw = cbor.encode([kind, value])
            self._write(len(raw).to_bytes(4, "big") + raw)

    def end(self) -> None:
        self.put_all([("end", self._hash.digest())])
        self._file.flush()
        os.fsync(self._file.fileno())

    def _write(self, data: bytes) -> None:
        self._hash.update(data)
        self._file.write(data)


def _frames(reader: Reader, seal: Seal) -> list[tuple[str, bytes]]:
    found = [("seal", seal.record.encode())]
    for row in reader.connection.execute(
        f"SELECT {COLUMNS} FROM entries WHERE id>=? AND id<? ORDER BY id",
        (place_of(seal.height, 0), place_of(seal.height + 1, 0)),
    ):
        if is_pruned(row):
            found.append(("hash", row[-1]))
            continue
        stored = reader.read(row)
        if stored is None:
            raise LedgerDamagedError(f"an entry under seal {seal.height} is damaged on this node")
        found.append(("entry", stored.entry.signed))
    return found


@dataclass(slots=True)
class Verdict:
    """What a check of a file found. ``cluster``: the id of the cluster that it proves to be of."""

    cluster: bytes = b""
    entries_checked: int = 0
    pruned: int = 0
    seals_checked: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def verified(self) -> bool:
        """Whether everything in it is proven."""
        return not self.errors

    def as_dict(self) -> dict[str, Any]:
        """Return the JSON of the verdict."""
        return {
            "verified": self.verified,
            "cluster": self.cluster.hex(),
            "entries_checked": self.entries_checked,
            "pruned": self.pruned,
            "seals_checked": self.seals_checked,
            "errors": list(self.errors),
        }


def verify_export(path: Path, signatures: Signatures, *, cluster: bytes | None = None) -> Verdict:
    """Check a file in bounded memory, without a node. ``cluster``: the id that it must be of;
    without it the file only proves to be consistent with the cluster that it names.

    Raises:
        ExportError: it is no export, or can't be read.
    """
    verdict = Verdict()
    try:
        with path.open("rb") as file:
            _Check(verdict, signatures, cluster).run(_read(file))
    except OSError as error:
        raise ExportError(f"{path} can't be read", cause=str(error)) from error
    except (WireError, cbor.CborError, BuildNetError) as error:
        if isinstance(error, ExportError):
            raise
        verdict.errors.append(str(error))
    return verdict


def _read(file: IO[bytes]) -> Iterator[tuple[str, bytes]]:
    hasher = blake3()
    magic = file.read(len(MAGIC))
    if magic != MAGIC:
        raise ExportError("this is no export of a ledger", hint="buildnet audit export makes one")
    hasher.update(magic)
    while True:
        head = file.read(4)
        size = int.from_bytes(head, "big")
        raw = file.read(size) if len(head) == 4 and size <= _MAX_FRAME else b""
        if len(raw) != size or not raw:
            raise WireError("the file ends early or is damaged")
        frame = cbor.decode(raw)
        if not (
            isinstance(frame, list)
            and len(frame) == 2
            and isinstance(frame[0], str)
            and isinstance(frame[1], bytes)
        ):
            raise WireError("the file holds what is no frame")
        if frame[0] == "end":
            if frame[1] != hasher.digest() or file.read(1):
                raise WireError("the file is not what was written")
            return
        hasher.update(head + raw)
        yield frame[0], frame[1]


class _Check:
    """Follows the frames of one file."""

    def __init__(self, verdict: Verdict, signatures: Signatures, cluster: bytes | None) -> None:
        self._verdict = verdict
        self._signatures = signatures
        self._cluster = cluster
        self._parts: list[ChainPart] = []
        self._voters: VoterHistory | None = None
        self._frontier = Frontier()
        self._history = CompactRange()
        self._before: Seal | None = None
        self._seal: Seal | None = None
        self._hashes: list[bytes] = []

    def run(self, frames: Iterator[tuple[str, bytes]]) -> None:
        for kind, value in frames:
            if kind == "members" and self._voters is None:
                self._parts.append(ChainPart.decode(value))
                continue
            self._begin()
            if kind == "seal":
                self._close()
                self._open(Seal.read(SealRecord.decode(value)))
            elif kind == "entry":
                self._entry(Entry.decode(value))
            elif kind == "hash" and len(value) == 32:
                self._verdict.pruned += 1
                self._hashes.append(value)
            else:
                self._wrong(f"an unexpected frame {kind!r:.40}")
        self._begin()
        self._close()

    def _wrong(self, what: str) -> None:
        if len(self._verdict.errors) < 1000:
            self._verdict.errors.append(what)

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
            self._wrong("the file is of another cluster")

    def _open(self, seal: Seal) -> None:
        assert self._voters is not None
        value, where, before = seal.value, f"seal {seal.height}", self._before
        self._verdict.seals_checked += 1
        self._seal, self._hashes = seal, []
        height = 1 if before is None else before.height + 1
        previous = self._verdict.cluster if before is None else before.hash
        if (value.cluster, value.height) != (self._verdict.cluster, height):
            self._wrong(f"{where} is not the next one of this cluster")
        if value.previous != previous or value.history != self._history.root:
            self._wrong(f"{where} does not follow")
        objection = self._voters.objection(
            None if before is None else before.value.members,
            version=value.members,
            epoch=value.epoch,
            voters=value.voters,
        )
        if objection is not None:
            self._wrong(f"{where}: {objection}")
        if not seal.is_final(self._signatures.verify):
            self._wrong(f"{where} is not cosigned by a majority of its voters")
        try:
            self._frontier = self._frontier.advanced(value.advances)
        except ValueError as error:
            self._wrong(f"{where}: {error}")
        if self._frontier.digest() != value.frontier:
            self._wrong(f"{where} names another frontier")
        self._history = self._history.appended(seal.hash)
        self._before = seal

    def _entry(self, entry: Entry) -> None:
        self._verdict.entries_checked += 1
        self._hashes.append(entry.hash)
        if not entry.is_signed(self._signatures.verify):
            self._wrong(f"entry {entry.id[:16]} is not signed by its origin")

    def _close(self) -> None:
        seal = self._seal
        if seal is None:
            if self._hashes:
                self._wrong("entries stand under no seal")
            return
        if len(self._hashes) != seal.value.count or root_of(self._hashes) != seal.value.root:
            self._wrong(f"seal {seal.height}: its entries are not those that were sealed")
