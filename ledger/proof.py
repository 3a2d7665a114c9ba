"""A proof in one file: that an entry, or a seal, is part of a cluster's ledger. Checked by anybody
who has the file and the cluster's id, without a node, a store or a network.

The file carries the cluster's first record and every change of its members since, with the votes
that made them final; so the voters of each version follow from the id alone. Then a seal, an entry
under it with its Merkle path, and perhaps a later seal.

What is proven, to who knows the cluster's id from somewhere else than the file:

- The origin's key signed the entry: what it says, and its place in the origin's chain.
- A majority of the voters that the seal names, who are the voters of that version of the member
  list, signed that the entry is under the seal, and on their disks.
- With a later seal: a majority of its voters, too, signed a history that holds the first seal. So
  what was sealed by voters who left long ago rests on the later ones.

What is not proven:

- That what an entry tells is true: only that its origin said so. Times are what the clocks of the
  origin and of the coordinator told.
- That there is no newer member list: a key may have been revoked since, the cluster recovered. A
  recovery replaces seals that its voters did not know; a seal from before one that the file knows
  of is proven with a later seal only.
- Anything against a majority of the named voters that lies, or whose keys were stolen, even long
  after. Where one voter decides (in a cluster of one or two nodes) its word is all there is.
- That something did not happen: a proof shows what is there, never that nothing else is.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Self

from buildnet.ledger.entry import MAX_ENTRY_BYTES, MIN_ENTRY_BYTES, Entry
from buildnet.ledger.merkle import (
    MAX_PATH,
    consistency_path,
    inclusion_path,
    is_consistent,
    is_included,
)
from buildnet.ledger.seal import MAX_SEALED_ENTRIES, Seal, SealRecord
from buildnet.ledger.signing import ANYBODY
from buildnet.ledger.voters import VoterHistory
from buildnet.mesh import cbor
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.chain import MAX_ENTRIES
from buildnet.mesh.members.entry import CommitProof
from buildnet.mesh.members.entry import Entry as MemberEntry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.members.member_list import MemberList, Refused
from buildnet.mesh.wire import Hash, Limit, Wire, WireError

MAX_PROOF_BYTES = 64 * 1024 * 1024
_BEGINNING = b"buildnet ledger proof 1\n"

_Path = Annotated[tuple[Hash, ...], Limit(0, MAX_PATH + 1)]


class ProofError(BuildNetError):
    """A file that is no proof at all; one that is, but does not hold, has a :class:`Verdict`."""

    code = "LEDGER_PROOF"
    http_status = 400


@dataclass(frozen=True, slots=True)
class Trust(Wire):
    """From the cluster's id to its voters: its first record, and all changes, which are final."""

    genesis: Genesis
    changes: Annotated[tuple[MemberEntry, ...], Limit(0, MAX_ENTRIES)]
    final: CommitProof
    """Of the last of ``changes``."""


@dataclass(frozen=True, slots=True)
class Inclusion(Wire):
    """An entry under the seal. ``index``: its place in canonical order, from 0."""

    signed: Annotated[bytes, Limit(MIN_ENTRY_BYTES, MAX_ENTRY_BYTES)]
    index: Annotated[int, Limit(0, MAX_SEALED_ENTRIES - 1)]
    path: _Path


@dataclass(frozen=True, slots=True)
class Continuation(Wire):
    """A later seal. ``path``: its history begins with that of the first seal; ``place``: and goes
    on with the first seal."""

    seal: SealRecord
    path: _Path
    place: _Path


@dataclass(frozen=True, slots=True)
class Proof(Wire):
    """One self-contained proof."""

    trust: Trust
    seal: SealRecord
    inclusion: Inclusion | None
    later: Continuation | None

    def to_bytes(self) -> bytes:
        """Return it as the content of a file.

        Raises:
            ProofError: it would be too long.
        """
        found = _BEGINNING + self.encode()
        if len(found) > MAX_PROOF_BYTES:
            raise ProofError(f"a proof has at most {MAX_PROOF_BYTES} bytes")
        return found

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read the content of a file of any origin; nothing of it is checked yet.

        Raises:
            ProofError: it is no proof.
        """
        hint = "a proof is made by buildnet ledger prove"
        if not data.startswith(_BEGINNING):
            raise ProofError("this is no proof of BuildNet's ledger", hint=hint)
        try:
            values = cbor.decode(data[len(_BEGINNING) :], max_bytes=MAX_PROOF_BYTES)
            return cls.from_array(values)
        except (cbor.CborError, WireError) as error:
            raise ProofError("the proof is damaged", cause=str(error), hint=hint) from error


def prove_seal(trust: Trust, seal: Seal) -> Proof:
    """Return the proof of a final seal. ``trust`` reaches the version that the seal names."""
    return Proof(trust, seal.record, None, None)


def prove_entry(trust: Trust, seal: Seal, hashes: Sequence[bytes], entry: Entry) -> Proof:
    """Return the proof of ``entry`` under ``seal``. ``hashes``: of all entries under it, in
    canonical order.

    Raises:
        ValueError: the entry is not among them.
    """
    index = hashes.index(entry.hash) if entry.hash in hashes else -1
    if index < 0:
        raise ValueError("the entry is not under this seal")
    inclusion = Inclusion(entry.signed, index, inclusion_path(hashes, index))
    return Proof(trust, seal.record, inclusion, None)


def prove_later(proof: Proof, later: Seal, values: Sequence[bytes]) -> Proof:
    """Return ``proof`` with a later seal. ``values``: hashes of the values of all seals below
    ``later``, from height 1 on.

    Raises:
        ValueError: it is no later one, or the hashes are too few.
    """
    height = Seal.read(proof.seal).height
    if not height < later.height == len(values) + 1:
        raise ValueError("a later seal comes with the hashes of all before it")
    before = height - 1
    path, place = consistency_path(values, before), inclusion_path(values, before)
    return replace(proof, later=Continuation(later.record, path, place))


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a proof shows. ``problem``: why it shows nothing; None: it holds. ``words``: what it
    shows, a line each; ``cautions``: what to mind; ``cluster_id`` may be of the file's own making
    where no other was given; ``members``: who is and was in it, as far as the file tells."""

    problem: str | None
    words: tuple[str, ...] = ()
    cautions: tuple[str, ...] = ()
    cluster_id: bytes = b""
    entry: Entry | None = None
    seal: Seal | None = None
    members: MemberList | None = None

    @property
    def holds(self) -> bool:
        """Tell whether everything was right."""
        return self.problem is None


def check(
    proof: Proof, cluster_id: bytes | None = None, *, signatures: Signatures | None = None
) -> Verdict:
    """Check a proof of any origin; nothing is raised for what it holds.

    ``cluster_id``: the cluster's, known from elsewhere; None: the verdict tells which one it would
    have to be.
    """
    try:
        return _Check(proof, signatures or ANYBODY).verdict(cluster_id)
    except _WrongError as wrong:
        return Verdict(str(wrong))
    except WireError as error:
        return Verdict(f"the proof is damaged: {error.message}")


class _WrongError(Exception):
    """Why a proof does not hold."""


class _Check:
    """One look at one proof."""

    def __init__(self, proof: Proof, signatures: Signatures) -> None:
        self._proof = proof
        self._signatures = signatures
        self._words: list[str] = []
        self._cautions: list[str] = []

    def verdict(self, cluster_id: bytes | None) -> Verdict:
        self._id = self._proof.trust.genesis.cluster_id
        if cluster_id is None:
            self._cautions.append(
                f"compare the cluster's id with one that you know from elsewhere: {self._id.hex()}"
            )
        elif cluster_id != self._id:
            raise _WrongError(f"it is of another cluster: {self._id.hex()}")
        self._fold()
        seal = self._seal(self._proof.seal, "the seal")
        entry = self._entry(seal)
        newest = self._later(seal) or seal
        if newest.value.epoch < self._members.epoch:
            raise _WrongError(
                "the cluster was recovered since, and nothing shows that the seal still counts: "
                "ask for a proof with a later seal"
            )
        words, cautions = tuple(self._words), tuple(self._cautions)
        return Verdict(
            None, words, cautions, self._id, entry=entry, seal=seal, members=self._members
        )

    def _fold(self) -> None:
        """Follow the member list from the cluster's first record."""
        trust = self._proof.trust
        try:
            members = MemberList.of(trust.genesis, self._signatures)
            lists = itertools.accumulate(
                trust.changes,
                lambda at, change: at.apply(change, self._signatures),
                initial=members,
            )
            self._history, members = VoterHistory.follow(lists)
        except Refused as error:
            raise _WrongError(f"the member list does not hold: {error.message}") from error
        if not members.is_committed(trust.final, self._signatures):
            raise _WrongError("the member list is not final")
        self._members = members
        self._words.append(
            f"The cluster {members.genesis.name!r} and all {members.version} changes of its "
            "members are signed as they should be, and final."
        )

    def _seal(self, record: SealRecord, what: str) -> Seal:
        """Check that a seal is final by the voters that the member list tells."""
        seal = Seal.read(record)
        value = seal.value
        if value.cluster != self._id:
            raise _WrongError(f"{what} is of another cluster")
        voters = self._history.at(value.members)
        if voters is None:
            raise _WrongError(f"{what} names voters that the proof does not show")
        if (voters.epoch, voters.voters) != (value.epoch, value.voters):
            raise _WrongError(f"{what} names other voters than the member list")
        if not seal.is_final(self._signatures.verify):
            raise _WrongError(f"{what} is not signed by a majority of its voters")
        signed, number = len(record.cosignatures), len(value.voters)
        self._words.append(
            f"{what.capitalize()}, height {seal.height}, is signed by {signed} of its {number} "
            f"voters (version {value.members} of the member list)."
        )
        if number == 1:
            self._cautions.append(f"one voter decided {what}: it is that node's word")
        return seal

    def _entry(self, seal: Seal) -> Entry | None:
        inclusion = self._proof.inclusion
        if inclusion is None:
            return None
        entry, value = Entry.decode(inclusion.signed), seal.value
        body = entry.body
        if body.cluster != self._id:
            raise _WrongError("the entry is of another cluster")
        if not entry.is_signed(self._signatures.verify):
            raise _WrongError("the entry is not signed by its origin")
        path, index = inclusion.path, inclusion.index
        if not is_included(entry.hash, index, value.count, path, value.root):
            raise _WrongError("the entry is not under the seal")
        reached = {one.chain: one.sequence for one in value.advances}.get(entry.chain, 0)
        if reached < body.sequence or body.hlc > value.hlc:
            raise _WrongError("the seal does not reach the entry")
        self._words.append(
            f"The entry {entry.id[:16]} ({body.type}), number {body.sequence} of a chain of "
            f"{self._name(body.origin)}, is signed by that node and under the seal."
        )
        if self._members.current(body.origin) in self._members.revoked:
            self._cautions.append("the origin's key was revoked")
        return entry

    def _name(self, key: bytes) -> str:
        former = self._members.former.get(key)
        member = self._members.members.get(key) or (former.member if former else None)
        return key.hex()[:16] if member is None else f"{member.name!r} ({member.node_id})"

    def _later(self, seal: Seal) -> Seal | None:
        continuation = self._proof.later
        if continuation is None:
            return None
        later = self._seal(continuation.seal, "the later seal")
        first, last = seal.value, later.value
        if last.height <= first.height:
            raise _WrongError("the later seal is not later")
        before, size = first.height - 1, last.height - 1
        if not is_consistent(before, first.history, size, last.history, continuation.path):
            raise _WrongError("the two seals have not the same history")
        if not is_included(seal.hash, before, size, continuation.place, last.history):
            raise _WrongError("the later seal's history does not hold the seal")
        if last.members < first.members or last.epoch < first.epoch or last.hlc <= first.hlc:
            raise _WrongError("the later seal is older")
        self._words.append(f"The seal is part of the later one's history, height {last.height}.")
        return later
