"""The bound: what goes, in which order, and what a running build keeps."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.store import ActionDetails, ActionRecord, CollectReport, Store
from buildnet.node.store.collection import BATCH
from buildnet.node.store.database import LARGE_BYTES

STAGED = frozenset({"staged"})
MINUTE_S = 60.0


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[Store]:
    with Store.open(tmp_path / "store", 10_000, clock=clock) as store:
        yield store


def content(number: int, size: int = 1000) -> bytes:
    return b"%09d " % number * (size // 10)


def put_in_order(store: Store, clock: Clock, count: int, size: int = 1000) -> list[Digest]:
    digests = []
    for number in range(count):
        clock.now += MINUTE_S
        digests.append(store.put(content(number, size)))
    return digests


def files(store: Store) -> set[str]:
    return {path.name for path in (store.directory / "blobs").glob("*/*")}


def record_of(name: str, *references: Digest) -> ActionRecord:
    action = Digest.of(name.encode())
    return ActionRecord(action, b"", "staged", b"", b"", 0.0, 0, name, references)


def agrees(store: Store) -> bool:
    """Whether files, rows and totals say the same."""
    report = store.verify()
    return not (report.damaged or report.missing or report.orphans or report.repaired)


def test_what_was_used_longest_ago_goes_first(store: Store, clock: Clock) -> None:
    a, b, c, d = put_in_order(store, clock, 4)
    clock.now += 2 * MINUTE_S
    store.get(a)
    clock.now += 2 * MINUTE_S
    store.missing([b])
    report = store.collect(2000)
    assert (report.blobs, report.bytes) == (2, 2000)
    assert store.missing([a, b, c, d]) == {c, d}
    assert files(store) == {a.hash, b.hash}
    assert store.stats().bytes == 2000
    assert agrees(store)


def test_use_survives_a_restart(tmp_path: Path, clock: Clock) -> None:
    with Store.open(tmp_path / "store", 10_000, clock=clock) as store:
        a, b = put_in_order(store, clock, 2)
        clock.now += 2 * MINUTE_S
        store.get(a)
    with Store.open(tmp_path / "store", 10_000, clock=clock) as store:
        assert store.stats().oldest_used_at == clock.now - 2 * MINUTE_S
        store.collect(1000)
        assert store.missing([a, b]) == {b}


def test_a_use_is_noted_once_a_minute(store: Store, clock: Clock) -> None:
    blob = store.put(b"one")
    store.get(blob)
    store.stats()  # writes what was gathered
    store.get(blob)
    assert store._index.gathered == 0
    clock.now += MINUTE_S
    store.get(blob)
    assert store._index.gathered == 1
    assert store.stats().oldest_used_at == clock.now


def test_a_hit_uses_the_result_and_its_blobs(store: Store, clock: Clock) -> None:
    a, b, c = put_in_order(store, clock, 3)
    store.put_action(record_of("first", a))
    store.put_action(record_of("second", b, c))
    clock.now += 2 * MINUTE_S
    assert store.get_action(Digest.of(b"first"), STAGED) is not None
    report = store.collect(1000)
    assert (report.blobs, report.actions) == (2, 1)
    assert store.get_action(Digest.of(b"first"), STAGED) is not None
    assert store.get_action(Digest.of(b"second"), STAGED) is None
    assert agrees(store)


def test_a_result_goes_with_its_first_blob(store: Store, clock: Clock) -> None:
    a, b = put_in_order(store, clock, 2)
    store.put_action(record_of("both", a, b))
    clock.now += 2 * MINUTE_S
    store.get(b)
    report = store.collect(1000)
    assert (report.blobs, report.actions) == (1, 1)
    assert store.missing([a, b]) == {a}
    assert store.stats().actions == 0
    assert store._database.rows("SELECT * FROM referrers") == []


def test_a_result_without_own_blobs_goes_by_age(store: Store, clock: Clock) -> None:
    log = store.put(b"")
    store.put_action(record_of("old", log))
    store.put_action(record_of("old but used", log))
    store.put_action(record_of("old but held", log))
    put_in_order(store, clock, 3)
    clock.now += 2 * MINUTE_S
    store.put_action(record_of("new", log))
    assert store.get_action(Digest.of(b"old but used"), STAGED) is not None
    with store.hold() as hold:
        hold.add([Digest.of(b"old but held")])
        assert store.collect(1000).actions == 1
    left = {item.label for item in store.list_actions().items}
    assert left == {"old but used", "old but held", "new"}


def test_crossing_the_bound_collects_down_to_the_low_water_mark(store: Store, clock: Clock) -> None:
    digests = put_in_order(store, clock, 10)
    assert store.stats().bytes == 10_000
    clock.now += MINUTE_S
    digests.append(store.put(content(10)))
    assert store.stats().bytes == 9000
    assert store.missing(digests) == set(digests[:2])
    assert agrees(store)


def test_the_bound_holds_over_many_puts(store: Store, clock: Clock) -> None:
    numbers = random.Random(7)
    for number in range(400):
        clock.now += 1
        store.put(content(number, numbers.randrange(10, 3000, 10)))
        assert store.stats().bytes <= 10_000
    assert agrees(store)


def test_a_long_collection_is_spread_over_puts(tmp_path: Path, clock: Clock) -> None:
    """After the capacity was lowered, no single put pays for everything."""
    count = 3 * BATCH
    with Store.open(tmp_path / "store", 1 << 30, clock=clock) as store:
        for number in range(count):
            store.put(content(number, 100))
    with Store.open(tmp_path / "store", 1000, clock=clock) as store:
        clock.now += MINUTE_S
        store.put(b"small")
        assert store.stats().blobs == count + 1 - BATCH
        for number in range(3):
            store.put(b"small %d" % number)
        assert store.stats().bytes <= 1000
        assert store.missing([Digest.of(b"small")]) == set()


def test_a_blob_larger_than_the_bound_stays_until_the_next_put(store: Store) -> None:
    large = store.put(content(1, 20_000))
    assert store.missing([large]) == set()
    store.put(content(2))
    assert store.missing([large]) == {large}


def test_a_blob_that_can_never_fit_costs_no_other(store: Store, clock: Clock) -> None:
    small = put_in_order(store, clock, 5)
    store.put_action(record_of("small", *small))
    clock.now += MINUTE_S
    with store.hold() as hold:
        huge = hold.put(content(7, 20_000))
        hold.put_action(record_of("huge", huge))
        hold.put(content(8))
        assert store.missing([huge, *small]) == set()
        assert store.stats().bytes == 26_000  # what is held and can't fit comes on top
        assert store.collect(10_000) == CollectReport(0, 0, 0)
    assert store.missing([huge, *small]) == {huge}
    assert [item.label for item in store.list_actions().items] == ["small"]
    assert agrees(store)


@pytest.mark.parametrize("size", [4500, LARGE_BYTES + 10])
def test_a_target_drops_first_what_is_larger_than_it(
    tmp_path: Path, clock: Clock, size: int
) -> None:
    with Store.open(tmp_path / "store", 1 << 30, clock=clock) as store:
        older, *small = put_in_order(store, clock, 4, size // 10 * 10 // 3)
        store.put_action(record_of("recent, no blob"))
        clock.now += MINUTE_S
        huge = store.put(content(7, size // 10 * 10 + 10))
        store.collect(size)
        assert store.missing([older, *small, huge]) == {huge, older}
        assert store.stats().actions == 1
        assert store.stats().bytes <= size
        assert agrees(store)


def test_other_blobs_keep_to_the_bound_beside_one_that_cannot(store: Store, clock: Clock) -> None:
    with store.hold() as hold:
        hold.put(content(1, 30_000))
        for number in range(100):
            clock.now += 1
            store.put(content(number))
            assert store.stats().bytes <= 30_000 + 10_000
    assert store.stats().bytes <= 10_000
    assert agrees(store)


def test_what_a_build_holds_is_never_collected(store: Store, clock: Clock) -> None:
    before = put_in_order(store, clock, 4)
    store.put_action(record_of("cached", before[2]))
    with store.hold() as hold, store.hold() as other:
        kept = {
            hold.put(content(100)),
            hold.put(content(0)),  # there already
            before[1],
            before[2],
        }
        hold.get(before[1])
        assert hold.get_action(Digest.of(b"cached"), STAGED) is not None
        later = Digest.of(content(200))
        hold.missing([later])
        other.get(before[1])
        clock.now += 2 * MINUTE_S
        store.put(content(200))
        report = store.collect(0)
        assert report.blobs == 1  # before[3]
        assert store.missing([*kept, later]) == set()
        assert store.stats().held == 6  # with the action
        hold.close()
        store.collect(0)
        assert files(store) == {before[1].hash}
    store.collect(0)
    assert files(store) == set()
    assert agrees(store)


def test_a_build_may_exceed_the_bound_until_its_hold_closes(store: Store, clock: Clock) -> None:
    with store.hold() as hold:
        digests = []
        for number in range(30):
            clock.now += 1
            digests.append(hold.put(content(number)))
        assert store.missing(digests) == set()
        assert store.stats().bytes == 30_000
    assert store.stats().bytes == 10_000
    assert store.missing(digests) == set(digests[:20])


def test_a_closed_hold_is_of_no_more_use(store: Store) -> None:
    hold = store.hold()
    hold.close()
    hold.close()
    with pytest.raises(ValueError, match="closed"):
        hold.put(b"x")


def test_collection_can_be_cancelled(store: Store, clock: Clock) -> None:
    put_in_order(store, clock, 3)
    assert store.collect(0, cancelled=lambda: True).blobs == 0
    assert store.stats().blobs == 3


def test_builds_and_collections_at_the_same_time_agree_in_the_end(tmp_path: Path) -> None:
    """Threads put, look up and collect the same few blobs; held ones are always there, and no row
    is left without a file."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    failures: list[BaseException] = []
    with Store.open(tmp_path / "store", 5000) as store:

        def build(numbers: random.Random) -> None:
            try:
                for _ in range(40):
                    with store.hold() as hold:
                        held = [hold.put(content(numbers.randrange(20))) for _ in range(5)]
                        store.collect(0)
                        hold.put_action(record_of(str(numbers.randrange(5)), *held))
                        for digest in held:
                            assert Digest.of(hold.get(digest)) == digest
                        assert hold.missing(held) == set()
            except BaseException as error:
                failures.append(error)

        builders = [
            threading.Thread(target=build, args=(random.Random(seed + number),))
            for number in range(3)
        ]
        for thread in builders:
            thread.start()
        for thread in builders:
            thread.join()
        assert failures == []
        assert store.stats().bytes <= 5000
        assert agrees(store)
        for item in store.list_actions().items:
            assert store.get_action(item.action, STAGED) is not None


def test_a_result_is_deleted_with_the_blobs_that_only_it_needs(store: Store) -> None:
    shared, own = store.put(content(1)), store.put(content(2))
    store.put_action(record_of("one", shared, own))
    store.put_action(record_of("other", shared))
    assert store.delete(Digest.of(b"one").hash[:12]) == CollectReport(1, 1, own.size_bytes)
    assert files(store) == {shared.hash}
    assert [each.label for each in store.list_actions().items] == ["other"]
    assert store.verify().repaired == 0


def test_deleting_leaves_what_a_running_build_holds(store: Store) -> None:
    blob = store.put(content(1))
    store.put_action(record_of("one", blob))
    with store.hold() as hold:
        hold.add((blob,))
        assert store.delete(Digest.of(b"one").hash) == CollectReport(0, 1, 0)
        assert files(store) == {blob.hash}


def test_only_results_are_deleted(store: Store) -> None:
    blob = store.put(content(1))
    with pytest.raises(NotFoundError):
        store.delete(blob.hash)
    with pytest.raises(NotFoundError):
        store.delete("%")
    assert files(store) == {blob.hash}


def test_what_was_found_is_counted_for_each_result(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", 10_000) as store:
        store.put_action(record_of("one"))
        store.put_action(record_of("other"))
        for _ in range(3):
            assert store.get_action(Digest.of(b"one"), STAGED)
        assert store.get_action(Digest.of(b"other"), frozenset({"strict"})) is None
    with Store.open(tmp_path / "store", 10_000) as store:
        assert {each.label: each.hits for each in store.list_actions().items} == {
            "one": 3,
            "other": 0,
        }
        store.get_action(Digest.of(b"one"), STAGED)
        shown = store.show(Digest.of(b"one").hash)
        assert isinstance(shown, ActionDetails)
        assert shown.hits == 4


def test_an_index_of_before_hits_were_counted_is_taken_over(tmp_path: Path) -> None:
    with Store.open(tmp_path / "store", 10_000) as store:
        store.put_action(record_of("one"))
    with closing(sqlite3.connect(tmp_path / "store/index.db", isolation_level=None)) as database:
        database.execute("ALTER TABLE actions DROP COLUMN hits")
    with Store.open(tmp_path / "store", 10_000) as store:
        assert store.get_action(Digest.of(b"one"), STAGED)
        store.stats()
        assert [each.hits for each in store.list_actions().items] == [1]
