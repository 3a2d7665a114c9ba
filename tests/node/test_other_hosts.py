"""How many commands of a build run on other hosts at once."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.node.pool_results import PoolResults
from buildnet.node.sharing.borrower import Borrowing
from buildnet.node.sharing.other_hosts import MAX_ELSEWHERE, OtherHosts


@pytest.mark.parametrize(("most", "leases", "given"), [(2, 5, 2), (9, 5, 5), (None, 999, 128)])
def test_a_build_runs_no_more_elsewhere_than_it_may(
    most: int | None, leases: int, given: int
) -> None:
    async def run() -> None:
        hosts = OtherHosts(cast(PoolResults, None), cast(Any, None))
        hosts.most = MAX_ELSEWHERE if most is None else most
        wanted: list[int] = []
        borrowed = SimpleNamespace(slots=leases, want=wanted.append)
        hosts.borrowing = cast(Borrowing, borrowed)
        changes: list[int] = []
        hosts.on_more = changes.append
        hosts.changed()
        hosts.changed()  # nothing is new
        borrowed.slots = 1
        hosts.changed()
        assert changes == [given, 1 - given]
        hosts.want(1000)
        assert wanted == [hosts.most]

    asyncio.run(run())
