"""The coordinator's queue, as it is told of builds."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from buildnet.mesh.events import OfficeChanged, Received
from buildnet.mesh.members.member_list import Rights
from buildnet.node.sharing.allocator import SILENT_S, Allocator
from buildnet.pool.demand import HowFar, Orders
from buildnet.pool.messages.lending import DemandTold, WireHowFar, WireOrders

ME, DRIVER = b"m" * 32, b"d" * 32


def test_a_build_that_its_driver_says_nothing_of_any_more_is_over() -> None:
    async def work() -> None:
        now = 100.0
        office: Any = SimpleNamespace(coordinator=ME, counter=1)
        members = SimpleNamespace(
            is_member=lambda key: True, members={DRIVER: SimpleNamespace(rights=Rights.BUILDER)}
        )
        local: Any = SimpleNamespace(key=ME, members=members, office=office)
        allocator = Allocator(local, lambda to, message: None, lambda: now)
        allocator.take(OfficeChanged(office))
        far, orders = WireHowFar.of(HowFar()), WireOrders.of(Orders())
        told = DemandTold(build="b", actor="a", wants=(), orders=orders, how_far=far)
        allocator.take(Received(DRIVER, told))
        assert allocator.queue is not None
        allocator.tick(now + SILENT_S - 1)
        now += SILENT_S - 1
        allocator.take(Received(DRIVER, told))
        allocator.tick(now + 2)
        assert len(allocator.queue.view(now)) == 1
        allocator.tick(now + SILENT_S)
        assert allocator.queue.view(now) == []
        allocator.close()
        allocator.tick(now)  # which ends what was about to be decided

    asyncio.run(work())
