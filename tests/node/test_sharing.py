"""What a node takes along from one cluster to the next."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from buildnet.mesh.events import Received
from buildnet.node.config import SchedulingSettings
from buildnet.node.sharing.service import Sharing
from buildnet.pool.messages.queueing import QueueHeld

ME, COORDINATOR = b"m" * 32, b"c" * 32
HELD = QueueHeld(True, 5, "ann")


async def nothing_recalled() -> list[tuple[bytes, QueueHeld]]:
    """The ledger tells nothing of the queue."""
    return []


def cluster(cluster_id: bytes, coordinator: bytes = COORDINATOR) -> Any:
    members = SimpleNamespace(members={}, is_member=lambda key: False, cluster_id=cluster_id)
    local = SimpleNamespace(
        key=ME,
        members=members,
        links={},
        office=SimpleNamespace(coordinator=coordinator, counter=1),
    )
    return SimpleNamespace(local=local, say=lambda to, message: None, spawn=lambda work: None)


def sharing_of() -> Sharing:
    work: Any = SimpleNamespace(end_all=lambda: None)
    workers: Any = SimpleNamespace()
    return Sharing(
        workers,
        work,
        SchedulingSettings,
        lambda: "worker",
        lambda: False,
        lambda record: None,
        nothing_recalled,
    )


def test_who_coordinated_before_its_guests_came_has_a_queue() -> None:
    async def run() -> None:
        sharing = sharing_of()
        async with sharing.guest(cluster(b"one", coordinator=ME)):
            assert sharing._allocator is not None
            assert sharing._allocator.queue is not None

    asyncio.run(run())


def test_that_the_queue_is_paused_is_kept_in_its_own_cluster_alone() -> None:
    sharing = sharing_of()
    held: list[bool] = []
    demands: Any = sharing.demands
    demands.hold = held.append

    async def run() -> None:
        async with sharing.guest(cluster(b"one")):
            sharing.take(Received(COORDINATOR, HELD))
        async with sharing.guest(cluster(b"one")):
            pass
        async with sharing.guest(cluster(b"other")):
            pass

    asyncio.run(run())
    assert held == [False, True, True, False]
