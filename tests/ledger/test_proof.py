"""Proofs: what holds is told, and nothing that was changed holds."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import entry
from tests.mesh.member_changes import BEN, CARA, CHECK, DAN, FOUNDER, admit, beginning, put, said
from tests.mesh.member_changes import recover as recovery
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.entry import Entry
from buildnet.ledger.frontier import Advance, Frontier
from buildnet.ledger.merkle import root_of
from buildnet.ledger.proof import (
    Continuation,
    Proof,
    ProofError,
    Trust,
    Verdict,
    check,
    prove_entry,
    prove_later,
    prove_seal,
)
from buildnet.ledger.seal import Cosignature, Seal, SealRecord, SealValue, cosign_statement
from buildnet.ledger.voters import VoterSet
from buildnet.mesh.members.changes import ChangeBody, Rename, Revoke, SetVoters
from buildnet.mesh.members.entry import CommitProof, Vote, accepted_statement
from buildnet.mesh.members.entry import Entry as MemberEntry
from buildnet.mesh.members.member_list import MemberList, Rights
from buildnet.mesh.testing import key_number

EVERYBODY = {one.public_key: one for one in (FOUNDER, BEN, CARA, DAN)}


@dataclass
class Cluster:
    """A cluster whose members and seals are made by hand."""

    members: MemberList = field(default_factory=beginning)
    changes: list[MemberEntry] = field(default_factory=list)
    seals: list[Seal] = field(default_factory=list)
    sealed: list[list[Entry]] = field(default_factory=list)
    frontier: Frontier = field(default_factory=Frontier)
    tips: dict[bytes, Tip] = field(default_factory=dict)

    @property
    def id(self) -> bytes:
        return self.members.cluster_id

    def change(self, *bodies: ChangeBody) -> None:
        for body in bodies:
            self.changes.append(put(self.members, said(self.members, FOUNDER, body)))
            self.members = self.members.apply(self.changes[-1], CHECK)

    @property
    def trust(self) -> Trust:
        members = self.members
        ballot = members.ballot
        statement = accepted_statement(self.id, ballot, members.version, members.head)
        votes = tuple(Vote(key, EVERYBODY[key].sign(statement)) for key in members.voters)
        proof = CommitProof(*ballot, members.version, members.head, votes)
        return Trust(members.genesis, tuple(self.changes), proof)

    def seal(
        self, *origins: CheapSigner, voters: VoterSet | None = None, signers: int | None = None
    ) -> Seal:
        """Append an entry of each origin, and seal them."""
        entries = []
        for who in origins:
            tip = self.tips.get(who.public_key, BEGINNING)
            entries.append(
                entry(
                    who, after=tip, data={} if tip.sequence else None, cluster=self.id, entity="x:1"
                )
            )
            self.tips[who.public_key] = Tip.of(entries[-1])
        entries.sort(key=lambda one: one.order)
        advances = tuple(
            Advance(*self._head(one))
            for one in sorted(entries, key=lambda one: (one.body.origin, one.body.incarnation))
        )
        self.frontier = self.frontier.advanced(advances)
        hashes = [one.hash for one in self.seals]
        voters = voters or VoterSet.of(self.members)
        value = SealValue(
            cluster=self.id,
            epoch=voters.epoch,
            height=len(self.seals) + 1,
            previous=hashes[-1] if hashes else self.id,
            history=root_of(hashes),
            frontier=self.frontier.digest(),
            advances=advances,
            count=len(entries),
            root=root_of([one.hash for one in entries]),
            members=voters.version,
            voters=voters.voters,
            hlc=max(one.body.hlc for one in entries) + 9,
        )
        seal = signed(value, [EVERYBODY[key] for key in voters.voters][:signers])
        self.seals.append(seal)
        self.sealed.append(entries)
        return seal

    @staticmethod
    def _head(one: Entry) -> tuple[bytes, bytes, int, bytes]:
        return one.body.origin, one.body.incarnation, one.body.sequence, one.hash

    def prove(self, height: int, index: int, later: int | None = None) -> Proof:
        entries = self.sealed[height - 1]
        hashes = [one.hash for one in entries]
        proof = prove_entry(self.trust, self.seals[height - 1], hashes, entries[index])
        if later is None:
            return proof
        below = [one.hash for one in self.seals[: later - 1]]
        return prove_later(proof, self.seals[later - 1], below)


def signed(value: SealValue, signers: Sequence[CheapSigner], term: int = 4) -> Seal:
    raw = Seal.read(SealRecord(value.encode(), term, (Cosignature(b"v" * 32, bytes(64)),)))
    statement = cosign_statement(value.cluster, value.height, raw.hash, term)
    votes = tuple(Cosignature(one.public_key, one.sign(statement)) for one in signers)
    return Seal.read(SealRecord(value.encode(), term, votes))


def verdict(proof: Proof, cluster: Cluster | None = None) -> Verdict:
    return check(proof, None if cluster is None else cluster.id, signatures=CHECK)


def grown() -> Cluster:
    """One voter, then three; two seals of the first, four of the others."""
    cluster = Cluster()
    cluster.seal(FOUNDER)
    cluster.seal(FOUNDER, BEN)
    cluster.change(admit(BEN, Rights.ADMIN), admit(CARA, Rights.ADMIN))
    cluster.change(SetVoters(BEN.public_key, None))
    cluster.seal(FOUNDER, BEN, CARA)
    cluster.change(SetVoters(CARA.public_key, None))
    for _ in range(3):
        cluster.seal(FOUNDER, BEN, CARA)
    return cluster


CLUSTER = grown()
OTHER = Cluster(beginning(name="other"))
OTHER.seal(FOUNDER)
HEIGHTS = st.integers(1, len(CLUSTER.seals))


@given(HEIGHTS, st.data())
def test_every_entry_is_proven_from_a_file(height: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(CLUSTER.sealed[height - 1]) - 1))
    later = data.draw(st.none() | st.integers(height + 1, len(CLUSTER.seals) + 1))
    if later is not None and later > len(CLUSTER.seals):
        later = None
    proof = Proof.from_bytes(CLUSTER.prove(height, index, later).to_bytes())
    found = verdict(proof, CLUSTER)
    assert found.holds, found.problem
    assert found.entry == CLUSTER.sealed[height - 1][index]
    assert found.seal == CLUSTER.seals[height - 1]
    assert len(found.words) == (3 if later is None else 5)
    assert any("one voter" in one for one in found.cautions) is (height <= 2)


def test_a_seal_alone_is_proven() -> None:
    found = verdict(prove_seal(CLUSTER.trust, CLUSTER.seals[3]), CLUSTER)
    assert found.holds
    assert found.entry is None
    assert "height 4, is signed by 3 of its 3 voters" in found.words[1]


def test_people_read_who_and_what() -> None:
    found = verdict(CLUSTER.prove(4, 1), CLUSTER)
    assert "all 4 changes" in found.words[0]
    assert "build.started" in found.words[2]
    assert "'node'" in found.words[2] or "'a'" in found.words[2]
    assert found.cautions == ()


def test_without_an_id_the_verdict_says_which_it_would_have_to_be() -> None:
    found = verdict(CLUSTER.prove(4, 1))
    assert found.holds
    assert CLUSTER.id.hex() in found.cautions[0]
    assert found.cluster_id == CLUSTER.id


def test_another_clusters_proof_is_told() -> None:
    found = verdict(OTHER.prove(1, 0), CLUSTER)
    assert not found.holds
    assert found.problem is not None
    assert OTHER.id.hex() in found.problem
    assert verdict(OTHER.prove(1, 0), OTHER).holds


@given(st.sampled_from([(4, 1, None), (3, 2, 6), (2, 0, 4)]), st.data())
def test_whatever_byte_is_changed_does_not_hold(
    which: tuple[int, int, int | None], data: st.DataObject
) -> None:
    raw = bytearray(CLUSTER.prove(*which).to_bytes())
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    try:
        proof = Proof.from_bytes(bytes(raw))
    except ProofError:
        return
    assert not verdict(proof, CLUSTER).holds


@given(st.binary(max_size=200))
def test_any_bytes_are_a_proof_or_an_error_with_a_hint(data: bytes) -> None:
    for raw in (data, b"buildnet ledger proof 1\n" + data):
        with pytest.raises(ProofError) as error:
            Proof.from_bytes(raw)
        assert error.value.hint


def wrong(proof: Proof, words: str, cluster: Cluster = CLUSTER) -> None:
    found = verdict(proof, cluster)
    assert found.problem is not None
    assert words in found.problem
    assert (found.words, found.entry, found.seal) == ((), None, None)


def test_a_member_list_that_does_not_hold_is_told() -> None:
    proof = CLUSTER.prove(4, 1)
    trust = proof.trust
    forged = replace(trust.changes[1], signature=bytes(64))
    changes = (trust.changes[0], forged, *trust.changes[2:])
    wrong(replace(proof, trust=replace(trust, changes=changes)), "does not hold")
    wrong(replace(proof, trust=replace(trust, changes=trust.changes[:-1])), "not final")
    few = replace(trust.final, votes=trust.final.votes[:1])
    wrong(replace(proof, trust=replace(trust, final=few)), "not final")


def test_voters_that_the_file_does_not_show_are_told() -> None:
    earlier = Cluster(CLUSTER.members, CLUSTER.changes[:3])
    earlier.members = beginning()
    for change in earlier.changes:
        earlier.members = earlier.members.apply(change, CHECK)
    wrong(replace(CLUSTER.prove(4, 1), trust=earlier.trust), "does not show")


def changed_seal(signers: Sequence[CheapSigner], **changes: object) -> Proof:
    """The proof of the fourth seal with other values, signed by ``signers``."""
    value = replace(CLUSTER.seals[3].value, **changes)  # type: ignore[arg-type]
    return replace(CLUSTER.prove(4, 1), seal=signed(value, signers).record)


ALL = [EVERYBODY[key] for key in CLUSTER.members.voters]


def test_seals_that_do_not_hold_are_told() -> None:
    wrong(changed_seal(ALL[:1]), "not signed by a majority")
    wrong(changed_seal([*ALL[:1], DAN]), "not signed by a majority")
    wrong(changed_seal(ALL, cluster=OTHER.id), "of another cluster")
    alone = (DAN.public_key,)
    wrong(changed_seal([DAN], voters=alone), "other voters")
    wrong(changed_seal(ALL, epoch=1), "other voters")
    wrong(changed_seal(ALL, members=2), "does not show")
    wrong(changed_seal(ALL, root=bytes(32)), "the entry is not under the seal")
    wrong(changed_seal(ALL, hlc=1), "does not reach the entry")
    advances = CLUSTER.seals[3].value.advances
    here = CLUSTER.sealed[3][1].chain
    others = tuple(one for one in advances if one.chain != here)
    wrong(changed_seal(ALL, advances=others), "does not reach the entry")
    assert verdict(changed_seal(ALL[:2]), CLUSTER).holds


def test_entries_that_do_not_hold_are_told() -> None:
    proof = CLUSTER.prove(4, 1)
    inclusion = proof.inclusion
    assert inclusion is not None
    for change, words in (
        (replace(inclusion, index=0), "not under the seal"),
        (replace(inclusion, path=()), "not under the seal"),
        (replace(inclusion, signed=bytes(64) + inclusion.signed[64:]), "not signed by its origin"),
        (replace(inclusion, signed=b"x" * 300), "the proof is damaged"),
        (replace(inclusion, signed=OTHER.sealed[0][0].signed), "of another cluster"),
    ):
        wrong(replace(proof, inclusion=change), words)
    foreign = CLUSTER.sealed[4][1]
    wrong(replace(proof, inclusion=replace(inclusion, signed=foreign.signed)), "not under the seal")


def test_later_seals_that_do_not_hold_are_told() -> None:
    proof = CLUSTER.prove(3, 1, 6)
    later = proof.later
    assert later is not None
    for change, words in (
        (replace(later, path=()), "not the same history"),
        (replace(later, place=()), "does not hold the seal"),
        (replace(later, seal=CLUSTER.seals[2].record), "not later"),
        (replace(later, seal=CLUSTER.seals[1].record), "not later"),
        (replace(later, seal=CLUSTER.seals[4].record), "history"),
        (replace(later, seal=replace(later.seal, cosignatures=later.seal.cosignatures[:1])), "maj"),
    ):
        wrong(replace(proof, later=change), words)


def test_a_forked_history_has_no_proof() -> None:
    """Two seals of one height: the later one's history holds one of them, never the other."""
    forked = grown()
    forked.seals = forked.seals[:3]
    forked.sealed = forked.sealed[:3]
    forked.seal(DAN)
    proof = CLUSTER.prove(3, 0, 6)
    fork = prove_entry(
        forked.trust, forked.seals[3], [forked.sealed[3][0].hash], forked.sealed[3][0]
    )
    assert verdict(fork, CLUSTER).holds  # by itself, since a majority signed it
    for values in itertools.combinations([one.hash for one in (*CLUSTER.seals, *forked.seals)], 5):
        wrong(prove_later(fork, CLUSTER.seals[5], values), "histor")
    assert verdict(proof, CLUSTER).holds


def test_an_older_seal_put_on_later_heights_is_told() -> None:
    value = replace(CLUSTER.seals[5].value, members=0, voters=(FOUNDER.public_key,))
    proof = CLUSTER.prove(4, 1, 6)
    assert proof.later is not None
    fake = Continuation(signed(value, [FOUNDER]).record, proof.later.path, proof.later.place)
    wrong(replace(proof, later=fake), "older")


def test_after_a_recovery_a_later_seal_is_needed() -> None:
    cluster = grown()
    cluster.change(recovery(cluster.members, FOUNDER, at=FOUNDER))
    wrong(cluster.prove(4, 1), "recovered since", cluster)
    cluster.seal(FOUNDER)
    assert verdict(cluster.prove(4, 1, 7), cluster).holds
    assert verdict(cluster.prove(7, 0), cluster).holds


def test_a_revoked_origin_is_told() -> None:
    cluster = grown()
    cluster.change(Revoke(CARA.public_key, "lost"), Rename(None, "renamed"))
    index = [one.body.origin for one in cluster.sealed[3]].index(CARA.public_key)
    found = verdict(cluster.prove(4, index), cluster)
    assert found.holds
    assert "the origin's key was revoked" in found.cautions


def test_what_can_not_be_proven_is_refused() -> None:
    with pytest.raises(ValueError, match="not under"):
        prove_entry(CLUSTER.trust, CLUSTER.seals[0], [b"h" * 32], CLUSTER.sealed[0][0])
    proof = CLUSTER.prove(3, 1)
    for later, values in ((3, 2), (2, 1), (6, 4)):
        hashes = [one.hash for one in CLUSTER.seals[:values]]
        with pytest.raises(ValueError, match="later seal"):
            prove_later(proof, CLUSTER.seals[later - 1], hashes)


def test_real_signatures_are_checked_unless_told_otherwise() -> None:
    found = check(CLUSTER.prove(4, 1), CLUSTER.id)
    assert found.problem is not None
    assert "not signed as it should be" in found.problem


def test_real_keys_hold_without_anything_else() -> None:
    cluster, founder = key_number(1), key_number(2)
    members = MemberList.found(
        cluster, founder, name="real", founder_name="f", created=1, nonce=bytes(16)
    )
    first = entry(CheapSigner(founder.public_key), cluster=members.cluster_id)
    real = Entry.sign(first.body, founder.sign)
    advance = Advance(real.body.origin, real.body.incarnation, 1, real.hash)
    value = SealValue(
        members.cluster_id,
        0,
        1,
        members.cluster_id,
        root_of([]),
        Frontier().advanced([advance]).digest(),
        (advance,),
        1,
        root_of([real.hash]),
        0,
        (founder.public_key,),
        real.body.hlc,
    )
    raw = value.encode()
    unsigned_seal = Seal.read(SealRecord(raw, 1, (Cosignature(founder.public_key, bytes(64)),)))
    said_by = founder.sign(cosign_statement(members.cluster_id, 1, unsigned_seal.hash, 1))
    record = SealRecord(raw, 1, (Cosignature(founder.public_key, said_by),))
    final = CommitProof(0, bytes(32), 0, members.cluster_id, ())
    proof = prove_entry(Trust(members.genesis, (), final), Seal.read(record), [real.hash], real)
    assert check(Proof.from_bytes(proof.to_bytes()), members.cluster_id).holds
    assert not check(replace(proof, seal=unsigned_seal.record), members.cluster_id).holds
