"""The writer: in order, together, and never told before it is on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

import pytest

from buildnet.mesh.events import BootFact, Note, Persist
from buildnet.mesh.service import persisting
from buildnet.mesh.service.persisting import NOT_WRITTEN, Writer
from buildnet.mesh.service.store import MeshStateError, MeshStore


class Disk:
    """A store whose writes wait for the test, or fail."""

    def __init__(self) -> None:
        self.written: list[list[int]] = []
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
