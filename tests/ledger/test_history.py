"""The record of builds survives, pages and refuses what it can't read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from buildnet.ledger.history import SCHEMA_VERSION, History, HistoryError
from buildnet.mesh.errors import NotFoundError

T = TypeVar("T")


def using(path: Path, work: Callable[[History], Awaitable[T]]) -> T:
    async def run() -> T:
        history = await History.open(path)
        try:
            return await work(history)
        finally:
            await history.close()

    return asyncio.run(run())


async def record(history: History, build_id: str, started_at: float, status: str) -> None:
    await history.begin(
        build_id,
        workspace="shop",
        root="/shop",
        request={"force": False},
        started_at=started_at,
        triggered_by="ann",
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
    assert using(tmp_path / "h.db", lambda history: history.close_interrupted(9.0)) == 1
    build = using(tmp_path / "h.db", lambda history: history.build("abc123"))
    assert build.status == "cancelled"
    assert build.error is not None


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
    failed = using(tmp_path / "h.db", lambda history: history.page(limit=50, status="failed"))
    assert len(failed[0]) == 5


def test_builds_that_end_at_once_are_all_recorded(tmp_path: Path) -> None:
    async def work(history: History) -> int:
        builds = [record(history, f"{number:04}", float(number), "failed") for number in range(20)]
        await asyncio.gather(*builds)
        return len((await history.page(limit=50, status="failed"))[0])

    assert using(tmp_path / "h.db", work) == 20


@pytest.mark.parametrize("prefix", ["", "zz", "0"])
def test_prefixes_that_name_no_or_several_builds_are_not_found(tmp_path: Path, prefix: str) -> None:
    async def work(history: History) -> Any:
        await record(history, "01", 1.0, "succeeded")
        await record(history, "02", 1.0, "succeeded")
        return await history.build(prefix)

    with pytest.raises(NotFoundError):
        using(tmp_path / "h.db", work)


def test_a_strange_cursor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        using(tmp_path / "h.db", lambda history: history.page(limit=1, before="yesterday_x"))


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
