"""Seals: final by a majority of their voters in one term, by nothing else."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.frontier import Advance
from buildnet.ledger.seal import (
    MAX_ADVANCES,
    MAX_SEAL_BYTES,
    MAX_VOTERS,
    Cosignature,
    Seal,
    SealRecord,
    SealValue,
    cosign_statement,
    hash_of_value,
    majority_of,
)
from buildnet.mesh.testing import CheapSignatures, key_number
from buildnet.mesh.wire import WireError

SIGNERS = sorted(
    (CheapSigner(key_number(number).public_key) for number in range(8)),
    key=lambda one: one.public_key,
)
VERIFY = CheapSignatures(SIGNERS[0].public_key).verify
TERM = 6


def value(voters: int = 3, **changes: Any) -> SealValue:
    plain = SealValue(
        cluster=b"c" * 32,
        epoch=0,
        height=5,
        previous=b"p" * 32,
        history=b"h" * 32,
        frontier=b"f" * 32,
        advances=(
            Advance(b"a" * 32, b"1" * 8, 4, b"x" * 32),
            Advance(b"a" * 32, b"2" * 8, 1, b"y" * 32),
        ),
        count=3,
        root=b"r" * 32,
        members=2,
        voters=tuple(one.public_key for one in SIGNERS[:voters]),
        hlc=77,
    )
    return replace(plain, **changes)


def cosigned(
    of: SealValue, who: list[CheapSigner], term: int = TERM, said: dict[str, Any] | None = None
) -> Seal:
    """``of``, with signatures of ``who``; ``said``: what they signed instead."""
    raw = of.encode()
    words: dict[str, Any] = {
        "cluster": of.cluster,
        "height": of.height,
        "value_hash": hash_of_value(raw),
        "term": term,
    }
    statement = cosign_statement(**{**words, **(said or {})})
    votes = tuple(Cosignature(one.public_key, one.sign(statement)) for one in who)
    return Seal.read(SealRecord(raw, term, votes))


@given(st.integers(1, 7), st.sets(st.sampled_from(SIGNERS), min_size=1))
def test_a_seal_is_final_by_a_majority_of_its_voters(voters: int, who: set[CheapSigner]) -> None:
    seal = cosigned(value(voters), list(who))
    good = {one.public_key for one in who} <= set(seal.value.voters)
    assert seal.is_final(VERIFY) is (good and len(who) * 2 > voters)


@given(st.integers(1, 7))
def test_two_majorities_meet(voters: int) -> None:
    keys = value(voters).voters
    most = majority_of(keys)
    assert most * 2 > voters
    assert (most - 1) * 2 <= voters
    for one, other in itertools.combinations(itertools.combinations(keys, most), 2):
        assert set(one) & set(other)


@pytest.mark.parametrize(
    "said",
    [
        {"cluster": b"d" * 32},
        {"height": 4},
        {"value_hash": b"v" * 32},
        {"term": TERM - 1},
        {"term": TERM + 1},
    ],
)
def test_a_cosignature_is_of_cluster_height_value_and_term(said: dict[str, Any]) -> None:
    assert cosigned(value(), SIGNERS[:2]).is_final(VERIFY)
    assert not cosigned(value(), SIGNERS[:2], said=said).is_final(VERIFY)


def test_every_signature_must_be_right_and_counts_once() -> None:
    seal = cosigned(value(), SIGNERS[:2])
    one, other = seal.record.cosignatures
    for votes in (
        (one, one),
        (one,),
        (one, replace(other, signature=bytes(64))),
        (one, other, Cosignature(SIGNERS[2].public_key, bytes(64))),
        (one, replace(other, voter=SIGNERS[2].public_key)),
    ):
        record = replace(seal.record, cosignatures=votes)
        assert not Seal.read(record).is_final(VERIFY)


def test_votes_of_two_terms_make_no_majority() -> None:
    one = cosigned(value(), SIGNERS[:1], term=6).record.cosignatures
    other = cosigned(value(), SIGNERS[1:2], term=7).record.cosignatures
    for term in (6, 7):
        record = SealRecord(value().encode(), term, (*one, *other))
        assert not Seal.read(record).is_final(VERIFY)


def test_the_hash_is_of_the_value_without_term_and_votes() -> None:
    one, other = cosigned(value(), SIGNERS[:2]), cosigned(value(), SIGNERS[1:3], term=9)
    assert one.hash == other.hash == hash_of_value(value().encode())
    assert cosigned(value(hlc=78), SIGNERS[:2]).hash != one.hash
    assert (one.height, one.order) == (5, (0, 5))
    assert cosigned(value(epoch=1, height=2), SIGNERS[:2]).order > one.order


ADVANCE = value().advances[0]
WRONG: list[tuple[str, Any]] = [
    ("cluster", b"c" * 31),
    ("epoch", -1),
    ("height", 0),
    ("height", 2**63),
    ("previous", b""),
    ("history", b"h" * 33),
    ("frontier", None),
    ("advances", ()),
    ("advances", tuple(reversed(value().advances))),
    ("advances", (ADVANCE, ADVANCE)),
    ("advances", (ADVANCE, replace(ADVANCE, sequence=9))),
    ("count", 0),
    ("count", 1),
    ("count", 4097),
    ("root", b"r" * 31),
    ("members", -1),
    ("voters", ()),
    ("voters", tuple(reversed(value().voters))),
    ("voters", value().voters[:1] * 2),
    ("voters", (b"v" * 31,)),
    ("hlc", -1),
    ("hlc", 1.5),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG, ids=lambda one: f"{one!r:.30}")
def test_a_value_that_does_not_fit_is_refused(name: str, wrong: Any) -> None:
    array = value().as_array()
    assert SealValue.decode(cbor2.dumps(array)) == value()
    names = list(SealValue.__dataclass_fields__)
    plain = [one.as_array() for one in wrong] if name == "advances" else wrong
    array[names.index(name)] = plain
    with pytest.raises(WireError):
        SealValue.decode(cbor2.dumps(array))


def test_a_seal_may_have_no_entries() -> None:
    empty = value(advances=(), count=0)
    assert SealValue.decode(empty.encode()) == empty


def test_the_greatest_seal_is_within_its_bounds() -> None:
    advances = tuple(
        Advance(number.to_bytes(32, "big"), b"1" * 8, 2**63 - 1, b"x" * 32)
        for number in range(MAX_ADVANCES)
    )
    voters = tuple(number.to_bytes(32, "big") for number in range(MAX_VOTERS))
    great = replace(value(count=4096), advances=advances, voters=voters, hlc=2**63 - 1)
    assert len(great.encode()) <= MAX_SEAL_BYTES
    assert SealValue.decode(great.encode()) == great
    more = Advance(b"\xff" * 32, b"1" * 8, 1, b"x" * 32)
    with pytest.raises(WireError):
        SealValue.decode(replace(great, advances=(*advances, more)).encode())


@given(st.data())
def test_a_changed_seal_is_not_final(data: st.DataObject) -> None:
    raw = bytearray(cosigned(value(), SIGNERS[:2]).record.encode())
    assert Seal.decode(bytes(raw)).is_final(VERIFY)
    bit = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[bit // 8] ^= 1 << bit % 8
    try:
        seal = Seal.decode(bytes(raw))
    except WireError:
        return
    assert not seal.is_final(VERIFY)


@given(st.binary(max_size=300))
def test_hostile_bytes_are_no_seal(data: bytes) -> None:
    for raw in (data, SealRecord(data + b"x", 1, (Cosignature(b"v" * 32, bytes(64)),)).encode()):
        try:
            seal = Seal.decode(raw)
        except WireError:
            continue
        assert seal.record.encode() == raw
        assert seal.value.encode() == seal.record.value


def test_a_seal_comes_back_as_it_went() -> None:
    seal = cosigned(value(), SIGNERS[:3])
    assert Seal.decode(seal.record.encode()) == seal
    assert Seal.read(seal.record).value == value()
