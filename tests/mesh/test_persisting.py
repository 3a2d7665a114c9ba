"""The writer: in order, together, and never told before it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.events import BootFact, Fact, Note, Persist
from buildnet.mesh.service import persisting
from buildnet.mesh.service.persisting import NOT_WRITTEN, Writer, coalesced
from buildnet.mesh.service.store import MeshStateError, MeshStore


class Disk:
    """A store whose writes wait for the test, or fail."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
        self.steps: list[Sequence[Persist]] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        self.failures = 0

    async def write(self, steps: Sequence[Persist]) -> None:
        self.begun.set()
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise MeshStateError("full", cause="no room")
        self.written.append([step.token for step in steps])
        self.steps.append(steps)


def step(token: int) -> Persist:
    return Persist(token, (BootFact(bytes(32), token),))


def test_what_comes_during_a_write_is_written_together_next() -> None:
    async def run() -> None:
        disk, told, notes = Disk(), list[int](), list[Note]()
        writer = Writer(cast(MeshStore, disk), on_written=told.append, note=notes.append)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer.run())
            writer.put(step(1))
            await disk.begun.wait()
            writer.put(step(2))
            writer.put(step(3))
            assert told == []
            disk.go.set()
            async with asyncio.timeout(5):
                while len(told) < 3:
                    await asyncio.sleep(0)
            task.cancel()
        assert disk.written == [[1], [2, 3]]
        assert told == [1, 2, 3]

    asyncio.run(run())


def test_a_full_disk_is_noted_and_tried_again_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisting, "RETRY_S", 0.0)

    async def run() -> None:
        disk, told, notes = Disk(), list[int](), list[Note]()
        disk.failures = 3
        disk.go.set()
        writer = Writer(cast(MeshStore, disk), on_written=told.append, note=notes.append)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer.run())
            writer.put(step(1))
            writer.put(step(2))
            async with asyncio.timeout(5):
                while len(told) < 2:
                    await asyncio.sleep(0)
            task.cancel()
        assert told == [1, 2]
        assert [note.reason for note in notes] == [NOT_WRITTEN] * 3

    asyncio.run(run())


def boot(node: int, number: int, token: int = 0) -> Persist:
    return Persist(token, (BootFact(bytes([node]) * 32, number),))


def test_on_a_full_disk_each_fact_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persisting, "RETRY_S", 0.0)

    async def run() -> None:
        disk, told, notes = Disk(), list[int](), list[Note]()
        disk.failures = 200
        disk.go.set()
        writer = Writer(cast(MeshStore, disk), on_written=told.append, note=notes.append)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(writer.run())
            writer.put(boot(1, 1, token=7))
            for number in range(2, 5000):
                writer.put(boot(1 + number % 2, number))
                if not number % 50:
                    await asyncio.sleep(0)
            async with asyncio.timeout(5):
                while not told:
                    await asyncio.sleep(0)
            task.cancel()
        (written,) = disk.steps[:1]
        assert written[0] == Persist(7, ())  # somebody waits for it
        facts = [fact for each in written for fact in each.facts]
        assert len(facts) < 200
        assert told == [7]
        assert facts[-2:] == [BootFact(bytes([1]) * 32, 4998), BootFact(bytes([2]) * 32, 4999)]

    asyncio.run(run())


@given(
    st.lists(
        st.tuples(
            st.integers(0, 1),
            st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9)), max_size=3),
            st.lists(st.integers(0, 3), max_size=3),
        ),
        max_size=12,
    )
)
def test_what_is_coalesced_leaves_the_same_on_disk(
    raw: list[tuple[int, list[tuple[int, int]], list[int]]],
) -> None:
    steps = [
        Persist(
            token,
            tuple(BootFact(bytes([node]) * 32, number) for node, number in dict(facts).items()),
            tuple(BootFact(bytes([node]) * 32, 1).name() for node in forget),
        )
        for token, facts, forget in raw
    ]
    fewer = coalesced(steps)
    assert on_disk(fewer) == on_disk(steps)
    assert [each.token for each in fewer if each.token] == [
        each.token for each in steps if each.token
    ]
    names = [fact.name() for each in fewer for fact in each.facts]
    assert len(names) == len(set(names))


def on_disk(steps: Sequence[Persist]) -> dict[str, Fact | None]:
    """Return what was written of each fact; None: it was deleted."""
    held: dict[str, Fact | None] = {}
    for each in steps:
        held |= dict.fromkeys(each.forget)
        held |= {fact.name(): fact for fact in each.facts}
    return held
