"""What waits for readers is bounded, for each and for all; the slowest are told no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.node.durable import waiting
from buildnet.node.durable.waiting import Waiting

A, B, C = b"a", b"b", b"c"


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "MAX_WAITING_BYTES", 50)
    monkeypatch.setattr(waiting, "MAX_WAITING_IN_ALL_BYTES", 100)


def test_one_that_reads_too_slowly_is_dropped() -> None:
    found = Waiting()
    assert found.add(A, 50) == {}
    found.read(A, 30)
    assert found.add(A, 30) == {}
    assert list(found.add(A, 1)) == [A]
    assert found.by_reader == {}


def test_where_all_together_are_too_many_the_slowest_goes() -> None:
    found = Waiting()
    for reader, size in ((A, 30), (B, 45), (C, 20)):
        assert found.add(reader, size) == {}
    dropped = found.add(C, 9)
    assert list(dropped) == [B]
    assert "by all who watch" in dropped[B]
    assert found.by_reader == {A: 30, C: 29}
    found.read(B, 45)  # what it still took before it noticed
    found.forget(B)
    assert found.by_reader == {A: 30, C: 29}


@given(st.lists(st.tuples(st.sampled_from([A, B, C]), st.integers(0, 70), st.booleans())))
def test_there_is_never_more_than_the_bounds(steps: list[tuple[bytes, int, bool]]) -> None:
    found = Waiting()
    for reader, size, reads in steps:
        if reads:
            found.read(reader, min(size, found.by_reader.get(reader, 0)))
        else:
            dropped = found.add(reader, size)
            assert not dropped.keys() & found.by_reader.keys()
        assert sum(found.by_reader.values()) <= 100
        assert all(0 <= each <= 50 for each in found.by_reader.values())
