"""The slow reading of all blobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.node.store import Store
from buildnet.node.store.scrubbing import Scrubber

DAY_S = 86400.0


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 1 << 30, clock=clock) as store:
        yield store


def scrub_until(
    store: Store, clock: Clock, done: Callable[[], bool], busy: Callable[[], bool] = lambda: False
) -> None:
    """Run a scrubber that reads 1,000 bytes a second, until ``done``."""

    async def sleep(seconds: float) -> None:
        clock.now += seconds
        if done():
            raise asyncio.CancelledError

    scrubber = Scrubber(
        store, busy, interval_s=7 * DAY_S, bytes_per_s=1000, sleep=sleep, clock=clock
    )
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(scrubber.run())


def damage(store: Store, digest: Digest) -> Path:
    path = store.directory / "blobs" / digest.hash[:2] / digest.hash
    path.chmod(0o644)
    path.write_bytes(bytes(digest.size_bytes))
    return path


def test_damage_is_found_at_the_given_rate_and_told(store: Store, clock: Clock) -> None:
    digests = [store.put(b"%d" % number * 1000) for number in range(100)]
    path = damage(store, digests[7])
    began = clock.now
    scrub_until(store, clock, lambda: store.scrubbed().finished_at is not None)
    assert not path.exists()
    assert store.missing(digests) == {digests[7]}
    assert (store.stats().damaged, store.stats().blobs) == (1, 99)
    read_s = (store.stats().bytes) / 1000
    assert read_s < clock.now - began < read_s + 256 + 120
    later = damage(store, digests[8])
    before = clock.now
    scrub_until(store, clock, lambda: clock.now > before + 6.9 * DAY_S)
    assert later.exists()
    scrub_until(store, clock, lambda: not later.exists() and not store.scrubbed().next_part)
    assert store.stats().damaged == 1


def test_it_goes_on_where_it_was_after_a_restart(tmp_path: Path, clock: Clock) -> None:
    with Store.open(tmp_path / "store", 1 << 30, clock=clock) as store:
        scrub_until(store, clock, lambda: store.scrubbed().next_part == 100)
    with Store.open(tmp_path / "store", 1 << 30, clock=clock) as store:
        assert store.scrubbed().next_part == 100


def test_it_waits_for_builds(store: Store, clock: Clock) -> None:
    store.put(b"x")
    until = clock.now + 3600
    scrub_until(store, clock, lambda: clock.now > until, busy=lambda: True)
    assert store.scrubbed().next_part == 0
