"""What another node is told of an action that could not be run here."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.messages.kinds import Message
from buildnet.node.execute.errors import OutputError, StageError
from buildnet.node.execute.limits import DEFAULT_LIMITS
from buildnet.node.runner import Limits
from buildnet.node.sharing.guest_work import GuestWork
from buildnet.pool.leases import Amount
from buildnet.pool.messages.work import WorkDone
from testbed.lease_hosts import work_ask

HOLDER = b"h" * 32


@pytest.mark.parametrize(
    "error",
    [
        lambda place: OSError(5, "Input/output error", place),
        lambda place: StageError(f"the stage {place} can't be made"),
        lambda place: OutputError("output dist can't be read", cause=place),
    ],
)
def test_a_place_of_this_host_is_not_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, error: Callable[[str], Exception]
) -> None:
    class Store:
        def hold(self) -> None:
            raise error(str(tmp_path))

    nothing: Any = None
    store: Any = Store()
    limits = Limits(60.0, 1000, DEFAULT_LIMITS)
    work = GuestWork(
        nothing,
        store,
        nothing,
        nothing,
        limits,
        nothing,
        nothing,
        nothing,
        trees=nothing,
        trees_max_bytes=None,
    )
    said: list[tuple[bytes, Message]] = []

    async def run() -> None:
        async with asyncio.TaskGroup() as group:

            def spawn(begin: Callable[[], Coroutine[None, None, None]]) -> None:
                group.create_task(begin())

            work.spawn = spawn
            work.say = lambda to, message: said.append((to, message))
            work.start(HOLDER, work_ask(b"w" * 16, b"l" * 16), Digest.of(b""), Amount(1))

    asyncio.run(run())
    ((to, done),) = said
    assert to == HOLDER
    assert isinstance(done, WorkDone)
    assert done.refused
    assert str(tmp_path) not in done.refused
    assert str(tmp_path) in caplog.text
    assert not work.does(HOLDER, b"w" * 16)
