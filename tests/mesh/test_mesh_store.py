"""The store of facts: what is written is there, whole, and damage is found."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from pathlib import Path

import pytest

from buildnet.mesh.events import BootFact, Fact, Persist
from buildnet.mesh.service.store import MeshStateError, MeshStore, StateClosedError
from buildnet.mesh.wire import Counter


@dataclass(frozen=True, slots=True)
class Kept(Fact):
    number: Counter


def run_on(path: Path, *steps: Persist) -> tuple[Fact, ...]:
    async def run() -> tuple[Fact, ...]:
        store = await MeshStore.open(path)
        try:
            await store.write(steps)
            return await store.load()
        finally:
            await store.close()

    return asyncio.run(run())


def test_the_newest_of_a_name_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    boots = [BootFact(bytes([n]) * 32, n) for n in (1, 2)]
    run_on(path, Persist(1, (Kept(1), *boots)), Persist(2, (Kept(2),)))
    assert run_on(path) == (Kept(2), *boots)
    assert path.stat().st_mode & 0o777 == 0o600


def test_who_comes_after_it_was_closed_is_told_so(tmp_path: Path) -> None:
    async def run() -> None:
        store = await MeshStore.open(tmp_path / "mesh.db")
        await store.close()
        with pytest.raises(StateClosedError):
            await store.load()
        with pytest.raises(StateClosedError):
            await store.write([Persist(1, (Kept(1),))])

    asyncio.run(run())


def test_steps_are_taken_in_their_order(tmp_path: Path) -> None:
    gone = Persist(2, (), forget=("Kept",))
    assert run_on(tmp_path / "a", Persist(1, (Kept(1),)), gone) == ()
    assert run_on(tmp_path / "b", gone, Persist(1, (Kept(1),))) == (Kept(1),)
    both = Persist(1, (Kept(7),), forget=("Kept",))
    assert run_on(tmp_path / "c", Persist(1, (Kept(1),)), both) == (Kept(7),)


def change_file(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_a_file_that_lost_its_content_ends_the_start_and_stays(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "mesh.db"
    path.write_bytes(content)
    with pytest.raises(MeshStateError, match="damaged") as caught:
        run_on(path)
    assert "node join" in (caught.value.hint or "")
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE facts SET body = x'8107'",
        "UPDATE facts SET name = 'other'",
        "UPDATE facts SET kind = 'BootFact'",
    ],
)
def test_damage_ends_the_start(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "mesh.db"
    run_on(path, Persist(1, (Kept(1),)))
    change_file(path, damage)
    with pytest.raises(MeshStateError, match="damaged") as caught:
        run_on(path)
    assert caught.value.hint is not None


def test_no_database_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(MeshStateError):
        run_on(path)
    assert path.read_bytes() == b"not a database" * 100


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"
    run_on(path)
    change_file(path, "PRAGMA user_version=99")
    with pytest.raises(MeshStateError, match="newer BuildNet"):
        run_on(path)


def test_kinds_of_other_versions_stay_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "mesh.db"

    async def run() -> None:
        store = await MeshStore.open(path)

        @dataclass(frozen=True, slots=True)
        class Unheard(Fact):  # no module names it, as if another version had written it
            number: Counter

        await store.write([Persist(1, (Unheard(1), Kept(1)))])
        assert await store.load() == (Kept(1),)
        await store.close()

    asyncio.run(run())
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM facts").fetchone() == (2,)
    connection.close()


def test_on_a_full_volume_nothing_of_a_step_is_kept(small_volume: Path) -> None:
    path = small_volume / "mesh.db"
    run_on(path, Persist(1, (Kept(1),)))
    filler = small_volume / "filler"

    async def run() -> None:
        store = await MeshStore.open(path)
        try:
            with filler.open("wb") as file:
                while True:
                    file.write(bytes(4096))
                    file.flush()
        except OSError:
            pass
        many = tuple(BootFact(n.to_bytes(32), n) for n in range(5000))
        with pytest.raises(MeshStateError):
            await store.write([Persist(2, (Kept(2), *many))])
        assert await store.load() == (Kept(1),)
        filler.unlink()
        await store.write([Persist(2, (Kept(2),))])
        assert await store.load() == (Kept(2),)
        await store.close()

    asyncio.run(run())


def test_a_write_that_was_broken_off_can_be_done_again(tmp_path: Path) -> None:
    """So it is at every stop of a node: what it still had to write must not be lost."""

    async def work(turns: int) -> None:
        store = await MeshStore.open(tmp_path / f"{turns}.db")
        try:
            writing = asyncio.create_task(store.write([Persist(1, (Kept(1),))]))
            for _ in range(turns):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await store.write([Persist(2, (Kept(2),))])
            assert await store.load() == (Kept(2),)
        finally:
            await store.close()

    for turns in range(1, 8):
        asyncio.run(work(turns))
