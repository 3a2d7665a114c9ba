"""What others expect to need here: bounded whatever they say, and forgotten in time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.digest import Digest
from buildnet.mesh.wire import MAX_COUNTER, WireError
from buildnet.pool.expectations import (
    BATCH,
    BATCH_BLOB_BYTES,
    LEAST_BYTES,
    LONGEST_S,
    MOST,
    MOST_OF_ONE,
    WITHIN_S,
    Batch,
    Expectations,
)
from buildnet.pool.messages.expecting import LONGEST_MS, MAX_EXPECTED, WorkExpected
from buildnet.pool.messages.results import WireDigest

A, B = b"a" * 32, b"b" * 32


def blob(number: int, size_bytes: int) -> Digest:
    return Digest(f"{number:064x}", size_bytes)


LARGE, OTHER = blob(1, 50_000_000), blob(2, 40_000_000)
SMALL = tuple(blob(number, 100) for number in range(10, 10 + BATCH + 5))


def all_of(expected: Expectations, now: float = 0.0) -> list[Batch]:
    return list(iter(lambda: expected.next(now), None))


def test_large_blobs_come_alone_and_small_ones_together_in_the_order_they_were_told() -> None:
    expected = Expectations(1 << 30)
    expected.told(A, b"w", (LARGE, *SMALL, OTHER), 30.0, 0.0)
    expected.told(B, b"w", (LARGE,), 30.0, 0.0)
    assert all_of(expected) == [
        Batch(A, (LARGE,)),
        Batch(A, SMALL[:BATCH]),
        Batch(A, SMALL[BATCH:]),
        Batch(A, (OTHER,)),
        Batch(B, (LARGE,)),
    ]


def test_the_latest_word_counts_and_none_is_one_too() -> None:
    expected = Expectations(1 << 30)
    expected.told(A, b"w", (LARGE,), 30.0, 0.0)
    batch = expected.next(0.0)
    assert batch is not None
    expected.told(A, b"w", (OTHER,), 30.0, 1.0)
    assert (expected.expects((LARGE,)), expected.expects((OTHER,))) == (False, True)
    expected.again(batch)  # it was interrupted, and nobody needs it now
    assert all_of(expected) == [Batch(A, (OTHER,))]
    expected.told(A, b"w", (), 0.0, 2.0)
    assert (len(expected), expected.next(2.0)) == (0, None)


def test_what_was_interrupted_comes_first_again() -> None:
    expected = Expectations(1 << 30)
    expected.told(A, b"w", (LARGE, OTHER), 30.0, 0.0)
    batch = expected.next(0.0)
    assert batch is not None
    expected.again(batch)
    assert all_of(expected) == [batch, Batch(A, (OTHER,))]


@pytest.mark.parametrize("said_s", [5.0, 1e9])
def test_it_is_forgotten_in_time_however_long_it_is_to_count(said_s: float) -> None:
    expected = Expectations(1 << 30)
    expected.told(A, b"w", (LARGE,), said_s, 0.0)
    assert expected.next(min(said_s, LONGEST_S)) is None
    assert len(expected) == 0


def test_nobody_can_be_made_to_expect_or_fetch_without_bound() -> None:
    expected = Expectations(100_000_000)
    for number in range(2 * MOST):
        holder = bytes([number // (MOST_OF_ONE + 1)]) * 32
        expected.told(holder, number.to_bytes(16), (LARGE,), 30.0, 0.0)
    assert len(expected) == MOST
    expected.forget()
    # Who says something new again and again has no more fetched for that.
    for number in range(10):
        one = blob(100 + number, 40_000_000)
        expected.told(A, b"w", (one,), 30.0, float(number))
        batch = expected.next(float(number))
        if batch is not None:
            expected.fetched(batch, (one,))
    assert expected.fetched_bytes == 80_000_000
    later = WITHIN_S + 10.0
    expected.told(A, b"w", (LARGE,), 30.0, later)
    assert expected.next(later) == Batch(A, (LARGE,))


@pytest.mark.parametrize("end", ["fails", "interrupted"])
def test_who_says_what_it_does_not_send_is_asked_for_no_more_than_others(end: str) -> None:
    expected = Expectations(100_000_000)
    asked_bytes = 0
    for number in range(10):
        expected.told(A, b"w", (blob(100 + number, 40_000_000),), 30.0, float(number))
        batch = expected.next(float(number))
        if batch is not None:
            asked_bytes += batch.counted_bytes
            if end == "interrupted":
                expected.again(batch)
    assert asked_bytes == 80_000_000


def test_what_is_here_already_does_not_count_and_very_many_small_ones_do() -> None:
    expected = Expectations(BATCH * LEAST_BYTES)
    small = tuple(blob(number, number % 2) for number in range(1000))
    expected.told(A, b"w", small, 30.0, 0.0)
    batch = expected.next(0.0)
    assert batch == Batch(A, small[:BATCH])
    assert expected.next(0.0) is None
    expected.told(A, b"w", small, 30.0, 1.0)
    expected.fetched(batch, small[:3])
    batch = expected.next(1.0)
    assert batch == Batch(A, small[: BATCH - 3])
    expected.told(A, b"w", small, 30.0, 1.0)
    expected.lapse(WITHIN_S + 2.0)
    expected.fetched(batch, ())  # it took very long
    expected.told(A, b"w", small, 30.0, WITHIN_S + 2.0)
    assert len(all_of(expected, WITHIN_S + 2.0)) == 1


def test_what_was_of_use_is_counted_once() -> None:
    expected = Expectations(1 << 30)
    expected.told(A, b"w", (LARGE, OTHER), 30.0, 0.0)
    for batch in all_of(expected):
        expected.fetched(batch, batch.blobs)
    expected.used((LARGE, SMALL[0]))
    expected.used((LARGE,))
    assert (expected.fetched_bytes, expected.used_bytes) == (90_000_000, 50_000_000)
    expected.gone(A)
    expected.lapse(2.0)
    expected.used((OTHER,))  # nobody expected it any more
    assert expected.used_bytes == 50_000_000


@given(
    said=st.lists(
        st.tuples(
            st.sampled_from([A, B]),
            st.binary(min_size=1, max_size=1),
            st.lists(st.builds(blob, st.integers(0, 30), st.integers(0, 1 << 40)), max_size=20),
            st.floats(0, 100),
        ),
        max_size=40,
    )
)
def test_whatever_is_said_the_bytes_are_bounded(
    said: list[tuple[bytes, bytes, list[Digest], float]],
) -> None:
    most_bytes = 1 << 30
    expected = Expectations(most_bytes)
    now, spent = 0.0, list[tuple[float, int]]()
    for holder, name, blobs, for_s in said:
        now += 7.0
        expected.told(holder, name, blobs, for_s, now)
        while (batch := expected.next(now)) is not None:
            assert expected.expects(batch.blobs)
            assert len(batch.blobs) == 1 or max(map(_size, batch.blobs)) <= BATCH_BLOB_BYTES
            expected.fetched(batch, batch.blobs)
            spent.append((now, sum(map(_size, batch.blobs))))
        assert sum(size for at, size in spent if at > now - WITHIN_S) <= most_bytes


def _size(blob: Digest) -> int:
    return blob.size_bytes


def test_a_message_that_says_too_much_is_not_read() -> None:
    one = WireDigest.of(LARGE)
    whole = WorkExpected(bytes(16), LONGEST_MS, (one,) * MAX_EXPECTED, ("node",))
    assert WorkExpected.decode(whole.encode()) == whole
    assert len(whole.encode()) < 64 * 1024
    wrong = [
        WorkExpected(bytes(15), 1, ()),
        WorkExpected(bytes(16), LONGEST_MS + 1, ()),
        WorkExpected(bytes(16), -1, ()),
        WorkExpected(bytes(16), 1, (one,) * (MAX_EXPECTED + 1)),
        WorkExpected(bytes(16), 1, (WireDigest(bytes(31), 1),)),
        WorkExpected(bytes(16), 1, (WireDigest(bytes(32), MAX_COUNTER + 1),)),
        WorkExpected(bytes(16), 1, (), ("x" * 129,)),
        WorkExpected(bytes(16), 1, (), ("",)),
        WorkExpected(bytes(16), 1, (), ("x",) * 65),
    ]
    for each in wrong:
        with pytest.raises((WireError, ValueError)):
            WorkExpected.decode(each.encode())
