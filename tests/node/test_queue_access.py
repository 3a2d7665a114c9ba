"""The queue as a person at a node changes it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.queue_access import QueueAccess
from buildnet.node.queue_record import Reasons
from buildnet.node.recording import Record
from buildnet.pool.messages.queueing import QueueAnswer


def test_who_had_something_done_by_the_coordinator_looks_again_at_once() -> None:
    happened: list[str] = []

    async def change(what: str, build: str, value: int, actor: str) -> QueueAnswer:
        happened.append(f"asked to {what}")
        if what == "cancel":
            raise NotAllowedError("no")
        return QueueAnswer(bytes(16), "b1", "", "", "", "")

    async def reasons(since_ms: int | None, builds: object) -> Reasons:
        return Reasons()

    def record(record: Record) -> None:
        happened.append("recorded")

    sharing: Any = SimpleNamespace(
        demands=SimpleNamespace(find=lambda prefix: []),
        asking=SimpleNamespace(change=change),
        on_queue=lambda: happened.append("look again"),
    )
    access = QueueAccess(sharing, lambda: b"me", dict, record, reasons)
    asyncio.run(access.change("pause", "b1", actor="ann"))
    assert happened == ["asked to pause", "look again", "recorded"]
    with pytest.raises(NotAllowedError):
        asyncio.run(access.change("cancel", "b1", actor="ann"))
    assert happened[3:] == ["asked to cancel"]
