"""Runs of entries: what is wrong is found and located, and nothing else is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.ledger.entries import ANN, BOB, CLUSTER, START, VERIFY, chain_of, entry, run

from buildnet.ledger.chain import (
    BEGINNING,
    UNKNOWN,
    Checked,
    Fault,
    Tip,
    check_entries,
    check_links,
    objection,
)
from buildnet.ledger.chain import (
    START as NO_HEAD,
)
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.frontier import Head
from buildnet.ledger.opening import Opening, Why

CHAIN = chain_of(ANN)
RUN = run(12)
SIGNED = [one.signed for one in RUN]


def check(signed: list[bytes], tip: Tip = BEGINNING) -> Checked:
    return check_entries(CLUSTER, CHAIN, tip, signed, VERIFY)


def kinds(found: tuple[Fault, ...]) -> list[tuple[int, int, str]]:
    return [(one.sequence, one.last, one.kind) for one in found]


@given(st.integers(0, len(RUN)))
def test_a_good_run_is_good_in_one_piece_and_in_two(cut: int) -> None:
    whole = check(SIGNED)
    assert whole == Checked(Tip.of(RUN[-1]), tuple(RUN), ())
    first = check(SIGNED[:cut])
    assert check(SIGNED[cut:], first.tip).tip == whole.tip
    links = check_links(CHAIN, NO_HEAD, SIGNED[:cut])
    rest = check_links(CHAIN, links.head, SIGNED[cut:], end=RUN[-1].hash)
    assert (links.faults, rest.faults, rest.head) == ((), (), whole.tip.head)


@given(st.integers(0, len(RUN) - 1), st.data())
def test_every_flipped_bit_is_located(at: int, data: st.DataObject) -> None:
    spoilt = bytearray(SIGNED[at])
    bit = data.draw(st.integers(0, len(spoilt) * 8 - 1))
    spoilt[bit // 8] ^= 1 << bit % 8
    signed = [*SIGNED[:at], bytes(spoilt), *SIGNED[at + 1 :]]
    found = check(signed)
    assert [one[:2] for one in kinds(found.faults)] == [(at + 1, at + 1)]
    assert found.faults[0].kind in ("no entry", "not signed by its origin")
    assert found.entries == tuple(RUN[:at])
    links = check_links(CHAIN, NO_HEAD, signed, end=RUN[-1].hash)
    if bit >= 64 * 8:  # links do not look at signatures
        assert links.faults
        assert {one.sequence for one in links.faults} <= {at + 1, at + 2}
    else:
        assert not links.faults


@given(st.integers(0, len(RUN) - 1), st.integers(1, 4))
def test_a_gap_is_told_as_one(at: int, size: int) -> None:
    signed = [*SIGNED[:at], *SIGNED[at + size :]]
    rest = len(RUN) - at - size
    found = check(signed)
    if rest > 0:
        assert kinds(found.faults) == [(at + 1, at + size, "missing")]
        assert found.tip == Tip.of(RUN[-1])
        assert check_links(CHAIN, NO_HEAD, signed).faults
    else:  # nothing shows that a run could be longer, but its end
        assert not found.faults
        assert check_links(CHAIN, NO_HEAD, signed, end=RUN[-1].hash).faults


def test_an_end_that_is_another_one_is_told() -> None:
    links = check_links(CHAIN, NO_HEAD, SIGNED, end=b"x" * 32)
    assert kinds(links.faults) == [(12, 12, "another end")]


@pytest.mark.parametrize("piece", [b"", b"x", b"x" * 100, b"x" * 60_000])
def test_pieces_are_no_entries(piece: bytes) -> None:
    signed = [*SIGNED[:3], piece, *SIGNED[4:]]
    assert kinds(check(signed).faults) == [(4, 4, "no entry")]
    assert kinds(check_links(CHAIN, NO_HEAD, signed).faults) == [(4, 4, "no entry")]


def test_an_entry_that_stands_twice_is_told_once() -> None:
    assert kinds(check([*SIGNED[:5], *SIGNED[3:]]).faults) == [
        (4, 4, "stands twice"),
        (5, 5, "stands twice"),
    ]


def test_one_entry_put_into_the_place_of_another_is_told() -> None:
    other = entry(ANN, after=Tip.of(RUN[3])._replace(hash=b"y" * 32), data={"other": True})
    signed = [*SIGNED[:4], other.signed, *SIGNED[5:]]
    found = check(signed)
    assert kinds(found.faults) == [(5, 5, "does not follow")]
    assert found.tip == Tip.of(RUN[-1])
    assert {one.sequence for one in check_links(CHAIN, NO_HEAD, signed).faults} == {5, 6}


def test_a_fork_that_follows_well_shows_where_the_next_one_does_not() -> None:
    other = entry(ANN, after=Tip.of(RUN[3]), data={"other": True})
    signed = [*SIGNED[:4], other.signed, *SIGNED[5:]]
    assert kinds(check(signed).faults) == [(6, 6, "does not follow")]


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"cluster": b"d" * 32}, "of another cluster"),
        ({"chain": chain_of(ANN, 2)}, "of another chain"),
        ({"who": BOB, "chain": chain_of(BOB)}, "of another chain"),
        ({"previous": b"z" * 32}, "does not follow"),
        ({"hlc": START + 3}, "clock went back"),
        ({"hlc": 0}, "clock went back"),
        ({"type": "chain.opened"}, "opened before"),
    ],
)
def test_an_entry_that_does_not_belong_there_is_told(changes: dict[str, Any], kind: str) -> None:
    wrong = entry(**{"after": Tip.of(RUN[3]), "data": {}, **changes})
    found = check([*SIGNED[:4], wrong.signed, *SIGNED[5:]])
    assert kinds(found.faults) == [(5, 5, kind)]
    assert found.entries == tuple(RUN[:4])


def test_somebody_elses_signature_is_told() -> None:
    wrong = Entry.sign(RUN[4].body, BOB.sign)
    assert wrong.hash == RUN[4].hash
    found = check([*SIGNED[:4], wrong.signed, *SIGNED[5:]])
    assert kinds(found.faults) == [(5, 5, "not signed by its origin")]


OTHER = Opening(Why.RESTORE, (chain_of(ANN, 9), Head(4, b"h" * 32)))


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"data": OTHER.as_data(), "type": "chain.opened"}, None),
        ({"data": {}, "type": "chain.opened"}, "opens no chain"),
        ({"data": {}, "type": "build.started"}, "opens no chain"),
        ({"previous": b"p" * 32}, "does not follow"),
        ({"sequence": 2}, "out of order"),
    ],
)
def test_a_first_entry_opens_its_chain(changes: dict[str, Any], kind: str | None) -> None:
    first = entry(**changes)
    assert objection(CLUSTER, CHAIN, BEGINNING, first) == kind


def test_a_first_entry_is_judged_after_a_lost_beginning_too() -> None:
    assert objection(CLUSTER, CHAIN, Tip(0, UNKNOWN, 0), entry(previous=b"p" * 32)) is not None


@given(st.lists(st.sampled_from([*SIGNED, b"", b"junk", SIGNED[3][:-1]]), max_size=20))
def test_any_content_is_told_not_raised(signed: list[bytes]) -> None:
    found = check(signed)
    links = check_links(CHAIN, NO_HEAD, signed)
    good = signed == SIGNED[: len(signed)]
    assert (not found.faults) is good
    assert (not links.faults) is good
    assert found.entries == tuple(RUN[: len(found.entries)])


def test_faults_read_well() -> None:
    chain = Chain(b"\xab" * 32, b"\x01" * 8)
    assert str(Fault(chain, 4, "missing", 4)) == (
        "entry 4 of chain abababababababab/0101010101010101: missing"
    )
    assert str(Fault(chain, 4, "missing", 6)).startswith("entries 4 to 6 of chain ab")
