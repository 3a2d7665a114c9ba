from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.events import BootFact
from buildnet.mesh.link.envelope import Envelope
from buildnet.mesh.link.replay import WINDOW, ReplayError, ReplayWindow, Sequences

ALICE, BOB, ME = b"a" * 32, b"b" * 32, b"m" * 32


def message(sequence: int, *, boot: int = 5, sender: bytes = ALICE, to: bytes = ME) -> Envelope:
    return Envelope(sender, to, 1, boot, sequence, 0, 0, b"")


def taken(window: ReplayWindow, envelope: Envelope) -> bool:
    try:
        window.take(envelope)
    except ReplayError:
        return False
    return True


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=200))
def test_nothing_counts_twice_and_nothing_near_is_lost(sequences: list[int]) -> None:
    window = ReplayWindow()
    seen: set[int] = set()
    for sequence in sequences:
        fresh = sequence > 0 and sequence not in seen
        near = sequence > max(seen, default=0) - WINDOW
        assert taken(window, message(sequence)) == (fresh and near)
        if fresh and near:
            seen.add(sequence)


def test_a_shuffled_window_is_taken_whole_and_once() -> None:
    window = ReplayWindow()
    sequences = list(range(1, WINDOW + 1))
    random.Random(7).shuffle(sequences)
    assert all(taken(window, message(sequence)) for sequence in sequences)
    assert not any(taken(window, message(sequence)) for sequence in sequences)


def test_the_window_ends_where_it_ends() -> None:
    window = ReplayWindow()
    assert taken(window, message(3 * WINDOW))
    assert not taken(window, message(2 * WINDOW))
    assert taken(window, message(2 * WINDOW + 1))


def test_a_huge_step_costs_no_memory() -> None:
    window = ReplayWindow()
    assert taken(window, message(1))
    assert taken(window, message(2**63 - 1))
    assert not taken(window, message(2**63 - 1))
    assert not taken(window, message(1))
    assert taken(window, message(2**63 - WINDOW))


def test_messages_to_one_and_to_all_are_counted_apart() -> None:
    window = ReplayWindow()
    assert taken(window, message(9))
    assert taken(window, message(9, to=b""))
    assert taken(window, message(9, sender=BOB))
    assert not taken(window, message(9, to=b""))


def test_a_later_boot_starts_anew_and_is_to_be_persisted() -> None:
    window = ReplayWindow()
    assert window.take(message(3)) == BootFact(ALICE, 5)
    assert window.take(message(4)) is None
    assert window.take(message(3, boot=6)) == BootFact(ALICE, 6)
    assert window.start(ALICE, 6) is None


def test_an_older_boot_is_an_older_process_or_a_copy() -> None:
    window = ReplayWindow({ALICE: 6})
    with pytest.raises(ReplayError) as refused:
        window.take(message(1, boot=5))
    assert refused.value.reason == "older process or copied key"
    with pytest.raises(ReplayError):
        window.start(ALICE, 5)
    assert window.start(ALICE, 6) is None
    assert window.start(ALICE, 7) == BootFact(ALICE, 7)


def test_who_is_forgotten_keeps_its_boot() -> None:
    window = ReplayWindow()
    window.take(message(1))
    window.forget(ALICE)
    assert not taken(window, message(1, boot=4))


def test_numbers_rise_for_each_recipient() -> None:
    sequences = Sequences()
    assert [sequences.next(to) for to in (ALICE, ALICE, BOB, None, None, ALICE)] == [
        1,
        2,
        1,
        1,
        2,
        3,
    ]
