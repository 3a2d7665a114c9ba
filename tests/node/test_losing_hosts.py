"""What a build does when hosts that it works with are lost."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

from buildnet.mesh.events import LinkDown, StatusChanged
from buildnet.mesh.events import Status as Liveness
from buildnet.mesh.members.genesis import Rights
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed, Borrower
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.needs import needs_of
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.pool.losses import CALM_S
from buildnet.pool.placement import Host
from buildnet.pool.workspace import Task

ME, A, B, C = b"m" * 32, b"a" * 32, b"b" * 32, b"c" * 32


class Build:
    """A build with two leases of each of three other workers."""

    def __init__(self) -> None:
        member = SimpleNamespace(role="worker", rights=Rights.BUILDER)
        self.links = dict.fromkeys((A, B, C))
        local: Any = SimpleNamespace(
            key=ME,
            links=self.links,
            alive=lambda peer: peer in self.links,
            members=SimpleNamespace(
                members=dict.fromkeys((A, B, C), member), is_member=lambda key: key in (A, B, C)
            ),
            office=None,
        )
        demands: Any = SimpleNamespace(is_held=lambda build: False, want=lambda *_: None)
        self.borrower = Borrower(local, lambda to, message: None, demands)
        known = KnownHosts(
            lambda: {key: Host(key, key.decode(), slots=2, free=2) for key in (ME, A, B, C)}
        )
        self.notices: list[str] = []
        self.hosts = OtherHosts(cast(Any, None), cast(Any, None), known)
        self.hosts.on_notice = self.notices.append
        borrowing = self.hosts.borrowing = self.borrower.begin("build", self.hosts.changed)
        borrowing.on_lost, borrowing.on_tick = self.hosts.lost, self.hosts.tick
        for owner in (A, B, C):
            for number in (b"1", b"2"):
                borrowing.leases[owner + number] = Borrowed(owner + number, owner, "build")

    def lose(self, peer: bytes) -> None:
        self.borrower.take(LinkDown(peer))
        del self.links[peer]
        self.borrower.take(StatusChanged(peer, Liveness.DEAD))

    def runs_at_once(self) -> int:
        """Return how many commands are given a slot of another host."""
        prepared = Prepared(Task("a", "build", "a", "run"), None, {})
        needs = needs_of(prepared)
        count = 0
        while (host := self.hosts.choose(prepared, needs, here_is_free=False)) is not None:
            host.lease.busy = True
            count += 1
        for lease in self.hosts.borrowing.leases.values():
            lease.busy = False
        return count


def test_half_of_the_nodes_lost_makes_careful_until_it_is_calm() -> None:
    async def go() -> None:
        build = Build()
        assert build.runs_at_once() == 6
        build.lose(A)
        assert build.runs_at_once() == 4
        assert build.notices == []
        build.lose(B)
        assert build.runs_at_once() == 1
        (notice,) = build.notices
        assert "half of the nodes" in notice
        build.borrower.tick(0.0)
        assert build.runs_at_once() == 1
        build.hosts.tick(1e9 + CALM_S)
        assert build.runs_at_once() == 2
        assert len(build.notices) == 2

    asyncio.run(go())


def test_when_all_are_lost_the_build_says_that_it_goes_on_here() -> None:
    async def go() -> None:
        build = Build()
        for peer in (A, B, C):
            build.lose(peer)
        assert build.runs_at_once() == 0
        assert build.notices[-1] == "all other nodes are lost: the build goes on here"

    asyncio.run(go())
