"""How fast bytes come, by what transfers achieved."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.bandwidth import KNOWN_FOR_S, MOST_PEERS, TELLING_BYTES, Bandwidths

ANNA, BERT = b"a" * 32, b"b" * 32
MEGABYTES_10 = 10_000_000


def test_a_transfer_tells_megabits_a_second() -> None:
    bandwidths = Bandwidths()
    bandwidths.came(ANNA, MEGABYTES_10, 0.8, 5.0)
    assert bandwidths.known(6.0) == {ANNA: 100.0}


def test_what_is_small_tells_nothing() -> None:
    bandwidths = Bandwidths()
    bandwidths.came(ANNA, TELLING_BYTES - 1, 0.001, 5.0)
    bandwidths.came(BERT, MEGABYTES_10, 0.0, 5.0)
    assert bandwidths.known(6.0) == {}


def test_faster_counts_at_once_and_slower_by_degrees() -> None:
    bandwidths = Bandwidths()
    bandwidths.came(ANNA, MEGABYTES_10, 0.8, 5.0)
    bandwidths.came(ANNA, MEGABYTES_10, 0.4, 6.0)
    assert bandwidths.known(6.0) == {ANNA: 200.0}
    bandwidths.came(ANNA, MEGABYTES_10, 0.8, 7.0)
    assert bandwidths.known(7.0) == {ANNA: 170.0}


def test_it_is_forgotten_and_bounded() -> None:
    bandwidths = Bandwidths()
    bandwidths.came(ANNA, MEGABYTES_10, 0.4, 0.0)
    assert bandwidths.known(KNOWN_FOR_S) == {}
    bandwidths.came(ANNA, MEGABYTES_10, 0.8, KNOWN_FOR_S)
    assert bandwidths.known(KNOWN_FOR_S) == {ANNA: 100.0}
    for number in range(MOST_PEERS):
        bandwidths.came(number.to_bytes(32, "big"), MEGABYTES_10, 1.0, KNOWN_FOR_S)
    assert len(bandwidths.known(KNOWN_FOR_S)) == MOST_PEERS
    assert ANNA not in bandwidths.known(KNOWN_FOR_S)


@given(st.lists(st.floats(0.01, 100.0), min_size=1))
def test_it_stays_between_the_slowest_and_the_fastest(took_s: list[float]) -> None:
    bandwidths = Bandwidths()
    for at, each in enumerate(took_s):
        bandwidths.came(ANNA, MEGABYTES_10, each, float(at))
    rates = [80 / each for each in took_s]
    known = bandwidths.known(float(len(took_s)))[ANNA]
    assert min(rates) - 0.1 <= known <= max(rates) + 0.1
