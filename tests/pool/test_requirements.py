"""Requirements: what is inherited, what a host grants, and how the refusal is worded."""

from __future__ import annotations

import pytest

from buildnet.pool.quantity import bytes_text, parse_bytes
from buildnet.pool.requirements import Grant, Requirements, RequirementsError

GIB = 1 << 30
GRANT = Grant(cores=4, memory_bytes=8 * GIB, disk_bytes=64 * GIB, processes=4096)


def test_what_a_task_does_not_say_it_takes_from_its_package() -> None:
    package = Requirements(cores=2, memory_bytes=GIB, timeout_s=60)
    task = Requirements(cores=1, disk_bytes=5)
    assert task.over(package) == Requirements(1, GIB, 5, None, 60)


def test_who_asks_nothing_takes_one_slot() -> None:
    assert (Requirements().slots, Requirements(cores=3).slots) == (1, 3)


@pytest.mark.parametrize(
    "needed", [Requirements(), Requirements(4, 8 * GIB, 64 * GIB, 4096, timeout_s=1e9)]
)
def test_all_that_is_granted_may_be_asked_for(needed: Requirements) -> None:
    GRANT.check(needed)
    Grant(4).check(needed)  # without a bound there is none


def test_what_is_granted_is_told_in_short_and_no_more_than_it_is() -> None:
    with pytest.raises(RequirementsError, match=r"at most 23\.5 GB$"):
        Grant(1, memory_bytes=24684092 * 1024).check(Requirements(memory_bytes=24 * GIB))


def test_all_that_is_too_much_is_named_at_once() -> None:
    needed = Requirements(cores=5, memory_bytes=9 * GIB + (1 << 29), processes=4097)
    with pytest.raises(RequirementsError) as caught:
        GRANT.check(needed)
    assert caught.value.message == (
        "it needs more than this node grants: cores 5 of at most 4, "
        "memory 9728 MB of at most 8 GB, processes 4097 of at most 4096"
    )
    assert "lower cores and memory and processes in buildnet.yaml" in (caught.value.hint or "")


@pytest.mark.parametrize("size", [1, 1023, 1024, 1536, 3 << 29, 1 << 40, (1 << 30) + 1])
def test_a_size_in_words_is_exact(size: int) -> None:
    assert parse_bytes(bytes_text(size)) == size
