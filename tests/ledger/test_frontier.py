"""Frontiers: values with one digest each, that only go on."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from buildnet.ledger.entry import Chain
from buildnet.ledger.frontier import Advance, Frontier, Head
from buildnet.mesh.wire import WireError

ORIGINS = st.sampled_from([b"a" * 32, b"b" * 32])
INCARNATIONS = st.sampled_from([b"1" * 8, b"2" * 8])
HASHES = st.sampled_from([b"x" * 32, b"y" * 32])
ADVANCES = st.builds(Advance, ORIGINS, INCARNATIONS, st.integers(1, 9), HASHES)
HEADS = st.dictionaries(
    st.builds(Chain, ORIGINS, INCARNATIONS), st.builds(Head, st.integers(1, 9), HASHES)
)
ONE = Advance(b"a" * 32, b"1" * 8, 4, b"x" * 32)


@given(st.lists(ADVANCES, max_size=8))
def test_a_frontier_goes_on_or_refuses_and_stays_as_it_was(advances: list[Advance]) -> None:
    frontier = Frontier()
    for advance in advances:
        before, digest = dict(frontier), frontier.digest()
        if advance.sequence > frontier.sequence(advance.chain):
            after = frontier.advanced([advance])
            assert after[advance.chain] == advance.head
            assert {**before, advance.chain: advance.head} == dict(after)
            assert after.digest() != digest
        else:
            with pytest.raises(ValueError, match="does not advance"):
                frontier.advanced([advance])
            after = frontier
        assert (dict(frontier), frontier.digest()) == (before, digest)
        frontier = after


@given(HEADS, HEADS)
def test_equal_frontiers_and_no_others_have_the_same_digest(
    one: dict[Chain, Head], other: dict[Chain, Head]
) -> None:
    assert (Frontier(one).digest() == Frontier(other).digest()) is (one == other)
    assert Frontier(dict(reversed(one.items()))).digest() == Frontier(one).digest()


def test_the_digest_is_of_80_bytes_a_chain_in_order() -> None:
    frontier = Frontier().advanced([Advance(b"b" * 32, b"1" * 8, 258, b"y" * 32), ONE])
    said = b"buildnet ledger frontier 1\0"
    said += b"a" * 32 + b"1" * 8 + (4).to_bytes(8, "big") + b"x" * 32
    said += b"b" * 32 + b"1" * 8 + (258).to_bytes(8, "big") + b"y" * 32
    assert frontier.digest() == blake3(said).digest()
    assert len(said) == 27 + 2 * 80


def test_a_chain_that_is_not_there_reaches_nowhere() -> None:
    assert Frontier().sequence(ONE.chain) == 0
    assert len(Frontier()) == 0
    assert ONE.chain in Frontier({ONE.chain: ONE.head})


@given(ADVANCES)
def test_an_advance_travels(advance: Advance) -> None:
    assert Advance.decode(advance.encode()) == advance


@pytest.mark.parametrize(
    "advance",
    [
        Advance(b"a" * 31, b"1" * 8, 1, b"x" * 32),
        Advance(b"a" * 32, b"1" * 9, 1, b"x" * 32),
        Advance(b"a" * 32, b"1" * 8, 0, b"x" * 32),
        Advance(b"a" * 32, b"1" * 8, 2**63, b"x" * 32),
        Advance(b"a" * 32, b"1" * 8, 1, b""),
    ],
)
def test_an_advance_that_does_not_fit_is_refused(advance: Advance) -> None:
    with pytest.raises(WireError):
        Advance.decode(advance.encode())


@given(st.binary(max_size=120))
def test_hostile_bytes_are_no_advance(data: bytes) -> None:
    try:
        found = Advance.decode(data)
    except WireError:
        return
    assert found.encode() == data
