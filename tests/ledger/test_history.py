"""The record of builds survives, pages and refuses what it can't read."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.ledger.history import (
    LOST_TOO_SOON,
    Durability,
    History,
    HistoryFullError,
    Unchanged,
)
from buildnet.ledger.history_cursor import cursor_of, read_cursor
from buildnet.ledger.history_filter import Wanted
from buildnet.ledger.history_schema import SCHEMA_VERSION, HistoryError
from buildnet.mesh.errors import NotFoundError, UsageError

FAILED = Wanted(status="failed")
T = TypeVar("T")


def using(path: Path, work: Callable[[History], Awaitable[T]]) -> T:
    async def run() -> T:
        history = await History.open(path)
        try:
            return await work(history)
        finally:
            await history.close()

    return asyncio.run(run())


async def record(
    history: History,
    build_id: str,
    started_at: float,
    status: str,
    durable: Durability | None = None,
) -> None:
    await history.begin(
        build_id,
        workspace="shop",
        root="/shop",
        request={"force": False},
        started_at=started_at,
        triggered_by="ann",
        durable=durable,
    )
    if status != "running":
        await history.finish(
            build_id,
            status=status,
            completed_at=started_at + 1,
            duration_ms=1000.0,
            error=None,
            packages=[{"name": "core"}, {"name": "app"}],
        )


def test_a_build_is_found_again_after_reopening(tmp_path: Path) -> None:
    using(tmp_path / "h.db", lambda history: record(history, "abc123", 5.0, "succeeded"))
    build = using(tmp_path / "h.db", lambda history: history.build("abc"))
    assert (build.id, build.status, build.request) == ("abc123", "succeeded", {"force": False})
    assert [package["name"] for package in build.packages] == ["core", "app"]


def test_interrupted_builds_are_closed(tmp_path: Path) -> None:
    using(tmp_path / "h.db", lambda history: record(history, "abc123", 5.0, "running"))
    (told,) = using(tmp_path / "h.db", lambda history: history.close_interrupted(9.0))
    build = using(tmp_path / "h.db", lambda history: history.build("abc123"))
    assert replace(build, packages=()) == told
    assert (build.status, build.error) == ("cancelled", "the node stopped during this build")


def test_what_was_to_be_durable_fails_and_what_was_goes_on_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "h.db"

    async def begun(history: History) -> None:
        for name in ("early", "kept", "taken"):
            await record(history, name, 5.0, "running", Durability("not yet"))
        await history.mark("kept", Durability("durable", "node-id", "mac", 1))
        await history.mark("taken", Durability("taken over", "other-id", "hal", 2))

    async def after(history: History) -> list[str]:
        marked = await history.close_interrupted(9.0)
        assert [one.id for one in marked] == ["early"]
        assert {one.id for one in await history.running()} == {"kept", "taken"}
        early, kept = await history.build("early"), await history.build("kept")
        assert early.status == "failed"
        assert early.error == LOST_TOO_SOON
        assert kept.durable == Durability("durable", "node-id", "mac", 1)
        return []

    using(path, begun)
    using(path, after)


def test_pages_hold_every_build_once_newest_first(tmp_path: Path) -> None:
    async def work(history: History) -> list[str]:
        for number in range(25):
            status = "failed" if number % 5 == 0 else "succeeded"
            await record(history, f"{number:06}", float(number // 2), status)
        found: list[str] = []
        cursor: str | None = None
        while True:
            page, cursor = await history.page(limit=7, before=cursor)
            found += [build.id for build in page]
            if cursor is None:
                return found

    found = using(tmp_path / "h.db", work)
    assert found == sorted(found, reverse=True)
    assert len(found) == 25
    failed = using(tmp_path / "h.db", lambda history: history.page(limit=50, wanted=FAILED))
    assert len(failed[0]) == 5


def test_builds_are_found_by_what_is_said_of_them(tmp_path: Path) -> None:
    path = tmp_path / "h.db"

    async def work(history: History) -> None:
        for build_id, workspace, packages in (
            ("aa1", "shop", ["API"]),
            ("bb2", "shop", []),
            ("cc3", "docs", ["site%"]),
        ):
            await history.begin(
                build_id,
                workspace=workspace,
                root="/w",
                request={"packages": packages, "task": "build"},
                started_at=1.0,
                triggered_by="Ann" if build_id == "bb2" else "ci",
            )
        await history.close_interrupted(2.0)

    def found(wanted: Wanted) -> set[str]:
        page, _ = using(path, lambda history: history.page(limit=9, wanted=wanted))
        return {build.id for build in page}

    using(path, work)
    assert found(Wanted(workspace="shop")) == {"aa1", "bb2"}
    assert found(Wanted(text="api")) == {"aa1"}
    assert found(Wanted(text="ANN")) == {"bb2"}
    assert found(Wanted(text="c3")) == {"cc3"}
    assert found(Wanted(text="%")) == {"cc3"}  # what is searched for is no pattern
    assert found(Wanted(text="build")) == {"aa1", "bb2", "cc3"}
    assert found(Wanted(workspace="shop", workspaces=["docs"])) == set()

    def counts(wanted: Wanted) -> dict[str, int]:
        return using(path, lambda history: history.counts(wanted))

    assert counts(Wanted(status="failed", workspace="shop")) == {"cancelled": 2}
    assert counts(Wanted(workspace="none")) == {}


def test_builds_that_end_at_once_are_all_recorded(tmp_path: Path) -> None:
    async def work(history: History) -> int:
        builds = [record(history, f"{number:04}", float(number), "failed") for number in range(20)]
        await asyncio.gather(*builds)
        return len((await history.page(limit=50, wanted=FAILED))[0])

    assert using(tmp_path / "h.db", work) == 20


@pytest.mark.parametrize("prefix", ["", "zz", "0"])
def test_prefixes_that_name_no_or_several_builds_are_not_found(tmp_path: Path, prefix: str) -> None:
    async def work(history: History) -> Any:
        await record(history, "01", 1.0, "succeeded")
        await record(history, "02", 1.0, "succeeded")
        return await history.build(prefix)

    with pytest.raises(NotFoundError):
        using(tmp_path / "h.db", work)


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "yesterday_x", "inf_x", "nan_x", "-1_x", " 1_x", "1_0_x", "1e999_x", "٣_x", "1_"],
)
def test_a_strange_cursor_is_refused(tmp_path: Path, cursor: str) -> None:
    with pytest.raises(UsageError, match="no cursor of this list"):
        using(tmp_path / "h.db", lambda history: history.page(limit=1, before=cursor))


@given(st.floats(0, 1e12), st.uuids())
def test_what_a_list_tells_is_its_cursor(started: float, build: UUID) -> None:
    assert read_cursor(cursor_of(started, build.hex)) == (started, build.hex)


def test_estimates_may_be_those_of_one_actor(tmp_path: Path) -> None:
    async def work(history: History) -> list[int]:
        await record(history, "01", 1.0, "succeeded")
        await history._connection.execute("UPDATE builds SET estimate='{}', duration_ms=7")
        (build,) = (await history.page(limit=1))[0]
        asked = (None, build.triggered_by, "nobody")
        return [len(await history.estimated(5, Wanted(actor=actor))) for actor in asked]

    assert using(tmp_path / "h.db", work) == [1, 1, 0]


def test_a_damaged_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    path.write_bytes(b"this is not a database at all, not even nearly one" * 50)
    before = path.read_bytes()
    with pytest.raises(HistoryError) as error:
        using(path, lambda history: history.page(limit=1))
    assert error.value.hint
    assert path.read_bytes() == before


def test_a_newer_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    using(path, lambda history: history.page(limit=1))
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()
    with pytest.raises(HistoryError, match="newer"):
        using(path, lambda history: history.page(limit=1))


def fill(volume: Path, leave_bytes: int = 0) -> Path:
    """Take all room on ``volume`` but ``leave_bytes``; return the file that takes it."""
    filler = volume / "filler"
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    with filler.open("r+b") as file:
        file.truncate(filler.stat().st_size - leave_bytes)
    return filler


def test_a_full_disk_is_told_as_that_and_passes(small_volume: Path) -> None:
    path = small_volume / "h.db"

    async def record_many(history: History) -> None:
        for number in range(100):
            await record(history, f"full{number}", 2.0, "succeeded")

    async def work(history: History) -> None:
        await record(history, "01", 1.0, "succeeded")
        filler = fill(small_volume)
        with pytest.raises(HistoryFullError) as error:
            await record_many(history)
        assert "free room" in (error.value.hint or "")
        assert "full" in (error.value.cause or "")
        filler.unlink()
        await record(history, "03", 3.0, "succeeded")
        found = {build.id for build in (await history.page(limit=500))[0]}
        assert {"01", "03"} <= found

    using(path, work)


@pytest.mark.parametrize("exists", [True, False])
def test_on_a_full_disk_nobody_is_told_to_move_the_record_away(
    small_volume: Path, exists: bool
) -> None:
    path = small_volume / "h.db"
    if exists:
        using(path, lambda history: record(history, "01", 1.0, "succeeded"))
    before = path.read_bytes() if exists else b""
    filler = fill(small_volume)
    with pytest.raises(HistoryFullError) as error:
        using(path, lambda history: history.page(limit=1))
    assert "free room" in (error.value.hint or "")
    assert "move it" not in (error.value.hint or "")
    assert path.read_bytes() == before
    filler.unlink()
    using(path, lambda history: record(history, "02", 1.0, "succeeded"))


def test_a_record_that_exists_opens_with_little_room(small_volume: Path) -> None:
    path = small_volume / "h.db"
    using(path, lambda history: record(history, "01", 1.0, "succeeded"))
    fill(small_volume, leave_bytes=32 * 1024)  # room for the shared memory, none for a page more
    assert using(path, lambda history: history.close_interrupted(9.0)) == []


def test_after_an_error_inside_a_transaction_the_next_one_works(tmp_path: Path) -> None:
    async def work(history: History) -> None:
        with pytest.raises(TypeError):
            await history.begin(
                "01",
                workspace="shop",
                root="/shop",
                request={"not JSON": object()},
                started_at=1.0,
                triggered_by="ann",
            )
        await record(history, "02", 1.0, "succeeded")

    using(tmp_path / "h.db", work)


def told(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "task": "build", "tier": "full", "error": None, **more}


AS_BEFORE = {"tier": "instant-skip", "error": None}


def test_unchanged_packages_are_told_by_the_builds_before(tmp_path: Path) -> None:
    async def go(history: History) -> None:
        end: dict[str, Any] = {"completed_at": 2.0, "duration_ms": 1.0}
        begin: dict[str, Any] = {"workspace": "w", "root": "/w", "request": {}, "started_at": 1.0}
        end |= {"status": "succeeded", "error": None}
        await history.begin("a1", **begin, triggered_by="ann")
        failed = told("c", error={"message": "no"})
        await history.finish("a1", **end, packages=[told("a"), told("b"), failed])
        await history.begin("b2", **begin, triggered_by="ann")
        same = Unchanged("a1", AS_BEFORE)
        mine = [told("b", tier="local-cache"), told("c")]
        await history.finish("b2", **end, packages=mine, unchanged=same)
        await history.add_unchanged(
            "c3",
            **begin,
            completed_at=3.0,
            duration_ms=0.5,
            triggered_by="bob",
            unchanged=Unchanged("b2", AS_BEFORE),
        )

    path = tmp_path / "h.db"
    using(path, go)
    second = using(path, lambda history: history.build("b2"))
    assert {one["name"]: one["tier"] for one in second.packages} == {
        "a": "instant-skip",
        "b": "local-cache",
        "c": "full",
    }
    third = using(path, lambda history: history.build("c3"))
    assert [one["name"] for one in third.packages] == ["a", "b", "c"]
    assert all(one["tier"] == "instant-skip" for one in third.packages)
    assert all(one["error"] is None for one in third.packages)
    assert (third.status, third.triggered_by, third.duration_ms) == ("succeeded", "bob", 0.5)


@pytest.mark.parametrize("version", [1, 2, 3, 4, 5, 6])
def test_a_record_of_an_earlier_version_is_taken_over(tmp_path: Path, version: int) -> None:
    path = tmp_path / "h.db"
    using(path, lambda history: record(history, "abc123", 5.0, "succeeded"))
    with contextlib.closing(sqlite3.connect(path)) as old:
        make_older(old, version)
    using(path, lambda history: record(history, "def456", 6.0, "succeeded"))
    build = using(path, lambda history: history.build("abc"))
    assert [package["name"] for package in build.packages] == ["core", "app"]
    named = Wanted(text=build.workspace.upper())
    page, _ = using(path, lambda history: history.page(limit=9, wanted=named))
    assert [each.id for each in page] == ["def456", "abc123"]
    assert using(path, lambda history: history.counts(named)) == {"succeeded": 2}


def test_what_people_were_told_of_a_build_stands_in_its_record(tmp_path: Path) -> None:
    path = tmp_path / "h.db"

    async def go(history: History) -> None:
        await record(history, "quiet", 5.0, "succeeded")
        await record(history, "told", 6.0, "running")
        end: dict[str, Any] = {"completed_at": 7.0, "duration_ms": 1.0, "error": None}
        await history.finish("told", status="succeeded", packages=(), notices=["b is lost"], **end)

    using(path, go)
    assert using(path, lambda history: history.build("told")).notices == ("b is lost",)
    assert using(path, lambda history: history.build("quiet")).notices == ()


def make_older(connection: sqlite3.Connection, version: int) -> None:
    """Make a record what an earlier version wrote."""
    if version < 6:
        for trigger in ("builds_asked", "builds_handed_over"):
            connection.execute(f"DROP TRIGGER {trigger}")
        for index in ("started", "status"):
            connection.execute(f"DROP INDEX idx_builds_{index}")
        connection.execute("DROP TABLE askings")
        connection.execute("CREATE INDEX idx_builds_started ON builds(started_at DESC, id)")
        connection.execute("CREATE INDEX idx_builds_status ON builds(status)")
    columns = ("notices", "asking", "estimate", "phases", "durable", "unchanged")
    for column in columns[: 7 - version]:
        connection.execute(f"ALTER TABLE builds DROP COLUMN {column}")
    connection.execute(f"PRAGMA user_version={version}")
    connection.commit()


def test_a_record_that_can_not_be_taken_over_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    using(path, lambda history: record(history, "abc123", 5.0, "succeeded"))
    with contextlib.closing(sqlite3.connect(path)) as old:
        make_older(old, 4)
        old.execute("CREATE TABLE askings (of INTEGER, another INTEGER, shape INTEGER)")
        before = list(old.iterdump())
    with pytest.raises(HistoryError):
        using(path, lambda history: history.page(limit=1))
    with contextlib.closing(sqlite3.connect(path)) as same:
        assert list(same.iterdump()) == before


def test_what_is_asked_for_again_is_kept_once_and_found_under_its_new_owner(
    tmp_path: Path,
) -> None:
    path = tmp_path / "h.db"

    async def go(history: History) -> None:
        for build_id in ("a1", "b2", "c3", "a1"):
            await history.begin(
                build_id,
                workspace="Shop",
                root="/w",
                request={"packages": ["api"], "task": "build"},
                started_at=1.0,
                triggered_by="ann",
            )
        await history.hand_over("b2", "bob")

    def found(text: str) -> list[str]:
        page, _ = using(path, lambda history: history.page(limit=9, wanted=Wanted(text=text)))
        return sorted(build.id for build in page)

    using(path, go)
    with contextlib.closing(sqlite3.connect(path)) as read:
        assert [row[0] for row in read.execute("SELECT text FROM askings ORDER BY number")] == [
            'shop\nann\nbuild\n["api"]',
            'shop\nbob\nbuild\n["api"]',
        ]
    assert found("shop") == ["a1", "b2", "c3"]
    assert (found("bob"), found("ann")) == (["b2"], ["a1", "c3"])
    assert (found("B2"), found("api")) == (["b2"], ["a1", "b2", "c3"])


def test_a_search_reads_no_row_of_a_build_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "h.db"
    using(path, lambda history: record(history, "abc123", 5.0, "succeeded"))
    where, arguments = Wanted(text="cafe").condition()
    with contextlib.closing(sqlite3.connect(path)) as read:
        counting = f"SELECT status, count(*) FROM builds WHERE {where} GROUP BY status"
        (first, *_) = read.execute(f"EXPLAIN QUERY PLAN {counting}", arguments)
        assert first[3] == "SCAN builds USING COVERING INDEX idx_builds_status"
        listing = f"SELECT request FROM builds WHERE {where} ORDER BY started_at DESC, id DESC"
        (first, *_) = read.execute(f"EXPLAIN QUERY PLAN {listing} LIMIT 9", arguments)
        assert first[3] == "SCAN builds USING INDEX idx_builds_started"


def test_estimates_of_the_latest_builds_stand_beside_what_they_took(tmp_path: Path) -> None:
    estimate = {"estimated_ms": 90, "interval_ms": [80, 105], "confidence": 0.9}

    async def go(history: History) -> list[tuple[dict[str, Any], float]]:
        for number, (status, told) in enumerate(
            (("succeeded", estimate), ("failed", estimate), ("succeeded", None))
        ):
            name = f"b{number}"
            await history.begin(
                name, workspace="w", root="/w", request={}, started_at=number, triggered_by="ann"
            )
            await history.finish(
                name,
                status=status,
                completed_at=9.0,
                duration_ms=100.0,
                error=None,
                packages=[],
                estimate=told,
            )
        assert (await history.build("b0")).estimate == estimate
        assert await history.estimated(5, Wanted(workspaces=["other"])) == []
        return await history.estimated(5)

    assert using(tmp_path / "h.db", go) == [(estimate, 100.0)]
