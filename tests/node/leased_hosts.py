"""Hosts that lend to one build, what it has borrowed of them, and commands of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from buildnet.mesh.digest import Digest
from buildnet.node.pool_results import PoolResults
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.borrower import Borrowed, Borrowing
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.other_hosts import OtherHosts
from buildnet.pool.demand import Want
from buildnet.pool.far_tools import FarTools
from buildnet.pool.placement import Host
from buildnet.pool.requirements import Requirements
from buildnet.pool.tree import DirectoryTree, FileEntry
from buildnet.pool.workspace import Task

HERE = Host(b"me", "me", slots=2, free=2, speed=100.0, is_here=True)
FAST = Host(b"fast", "fast", slots=4, free=4, speed=300.0, latency_ms=1.0)
NEAR = Host(b"near", "near", slots=4, free=4, speed=100.0, latency_ms=0.1)
HOSTS = {host.key: host for host in (HERE, FAST, NEAR)}
BLOB = Digest.of(b"input")


class Leases:
    """What a build has borrowed: two leases of each of two owners."""

    def __init__(self) -> None:
        owners = (FAST.key, FAST.key, NEAR.key, NEAR.key)
        self.leases = {
            str(number).encode(): Borrowed(str(number).encode(), owner, "b")
            for number, owner in enumerate(owners)
        }
        self.unfit: set[bytes] = set()
        self.members: tuple[bytes, ...] = (NEAR.key, FAST.key)
        self.waiting: tuple[Want, ...] = ()
        self.wanted: list[tuple[int, tuple[Want, ...]]] = []
        self.borrower = SimpleNamespace(
            name_of=bytes.decode,
            give_back=lambda borrowing, lease: self.leases.pop(lease.id),
            end_of=lambda borrowing, lease: setattr(lease, "busy", False),
        )

    def want(self, waiting: tuple[Want, ...], wants: tuple[Want, ...]) -> None:
        self.waiting = waiting
        self.wanted.append((sum(want.count for want in waiting), wants))

    def is_wanted(self, lease: Borrowed, *, exactly: bool) -> bool:
        return Borrowing.is_wanted(cast(Borrowing, self), lease, exactly=exactly)


def prepared_of(name: str, **said: Any) -> Prepared:
    spec = SimpleNamespace(
        inputs=DirectoryTree({"in": FileEntry(BLOB)}), platform={"isolation": "strict"}
    )
    action: Any = SimpleNamespace(spec=spec)
    return Prepared(Task(name, "build", "run", "", **said), action, {})


PREPARED = prepared_of("a")
TASK = PREPARED.task.id


def on_loop(work: Callable[[OtherHosts, Leases], None], **said: Any) -> None:
    async def run() -> None:
        leases = Leases()
        known = KnownHosts(HOSTS.copy)
        hosts = OtherHosts(cast(PoolResults, None), cast(Any, None), known, **said)
        hosts.borrowing = cast(Borrowing, leases)
        work(hosts, leases)

    asyncio.run(run())


LARGE = prepared_of("large", requirements=Requirements(cores=4, memory_bytes=100))
FAR = replace(prepared_of("far"), far=FarTools((NEAR.key,), ("near",), {}, {}))
