"""What a build does when hosts that it works with are lost."""

from __future__ import annotations

import asyncio
import re
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
from buildnet.pool.losses import CALM_S, told
from buildnet.pool.placement import Host
from buildnet.pool.workspace import Task

ME, A, B, C = b"m" * 32, b"a" * 32, b"b" * 32, b"c" * 32


class Build:
    """A build with two leases of each of three other workers."""

    def __init__(self) -> None:
        member = SimpleNamespace(name="nc2", role="worker", rights=Rights.BUILDER)
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


def test_a_loss_names_once_the_commands_that_run_again() -> None:
    async def go() -> None:
        build = Build()
        for name in ("p003", "p007"):
            prepared = Prepared(Task(name, "build", name, "run"), None, {})
            needs = needs_of(prepared)
            host = build.hosts.choose(prepared, needs, here_is_free=False, used=(B, C))
            assert host is not None
            build.hosts.placed(host, needs)
        build.lose(A)
        (notice,) = build.notices
        assert re.fullmatch(r"nc2 was lost after \d+ s: p003, p007 run again elsewhere", notice)

    asyncio.run(go())


def test_the_loss_of_who_has_run_commands_is_told_even_if_none_is_lost() -> None:
    async def go() -> None:
        build = Build()
        prepared = Prepared(Task("p", "build", "p", "run"), None, {})
        needs = needs_of(prepared)
        host = build.hosts.choose(prepared, needs, here_is_free=False, used=(B, C))
        assert host is not None
        build.hosts.placed(host, needs)
        build.hosts.end(host)
        build.lose(A)
        (notice,) = build.notices
        assert notice.endswith("it ran no command of this build then")

    asyncio.run(go())


def test_few_of_many_lost_commands_are_named() -> None:
    text = told("b", 3.6, [f"p{number:03}" for number in range(12)])
    assert text.startswith("b was lost after 4 s: p000, p001, ")
    assert text.endswith("p009 and 2 more run again elsewhere")
    assert told("b", 1.0, ["p"]).endswith(": p runs again elsewhere")


def test_when_all_are_lost_the_build_says_that_it_goes_on_here() -> None:
    async def go() -> None:
        build = Build()
        for peer in (A, B, C):
            build.lose(peer)
        assert build.runs_at_once() == 0
        assert build.notices[-1] == "all other nodes are lost: the build goes on here"

    asyncio.run(go())
