"""The hosts of other nodes that one build's commands may run on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.execute.isolation import STRICT
from buildnet.node.pool_results import FetchAll, PoolResults
from buildnet.node.resolve import Prepared, isolation_of
from buildnet.node.sharing.borrower import Borrowed, Borrowing
from buildnet.node.sharing.remote_executor import RemoteExecutor, UnfitHostError
from buildnet.pool.action import Action
from buildnet.pool.messages.work import MAX_OUTPUTS, MAX_OUTPUTS_CHARACTERS
from buildnet.pool.workspace import Task, TaskId

MAX_ELSEWHERE = 128
"""Commands of one build that run on other hosts at once."""
_ATTEMPTS = 3
"""So often a command is tried elsewhere; then it runs here."""


@dataclass(frozen=True, slots=True)
class OtherHost:
    """One slot of another host."""

    hosts: OtherHosts
    lease: Borrowed

    @property
    def node_id(self) -> str:
        """Whose it is."""
        return node_id_of(self.lease.owner)

    @property
    def name(self) -> str:
        """What people call that node."""
        return self.hosts.borrowing.borrower.name_of(self.lease.owner)

    def executor(
        self, action: Action, task: Task, label: str, installed: Digest | None, *, again: bool
    ) -> RemoteExecutor:
        """Return what runs an action there. ``installed``: the ``Tree`` message of the installed
        packages that it sees, None: it sees none; ``again``: even if its result is there."""
        hosts = self.hosts
        return RemoteExecutor(
            borrower=hosts.borrowing.borrower,
            results=hosts.results,
            fetch_all=hosts.fetch_all,
            lease=self.lease,
            action=action,
            installed=installed,
            tools=task.tools,
            requirements=task.requirements,
            label=label,
            again=again,
            keep=True,
            loop=hosts.loop,
        )


@dataclass(slots=True, eq=False)
class OtherHosts:
    """What a build's performer needs of other hosts. ``on_more`` is told how many commands more,
    or fewer, may run at once; ``most`` bounds them."""

    results: PoolResults
    fetch_all: FetchAll
    borrowing: Borrowing = field(init=False)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    on_more: Callable[[int], None] = lambda more: None
    most: int = MAX_ELSEWHERE
    _slots: int = 0
    _failures: dict[TaskId, int] = field(default_factory=dict)
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MAX_ELSEWHERE, "elsewhere")
    )

    def changed(self) -> None:
        """Take note that there are more or fewer leases than before."""
        more = min(self.borrowing.slots, self.most) - self._slots
        self._slots += more
        if more:
            self.on_more(more)

    def want(self, waiting: int) -> None:
        """Tell how many commands wait."""
        self.borrowing.want(min(waiting, self.most))

    def may_take(self, prepared: Prepared) -> bool:
        """Whether a command can run elsewhere at all."""
        action = prepared.action
        return (
            action is not None
            and isolation_of(action) == STRICT
            and prepared.task.requirements.slots == 1
            and len(prepared.task.outputs) <= MAX_OUTPUTS
            and sum(map(len, prepared.task.outputs)) <= MAX_OUTPUTS_CHARACTERS
            and self._failures.get(prepared.task.id, 0) < _ATTEMPTS
        )

    def take(self) -> OtherHost | None:
        """Return a slot, which is busy from now on; None: none is free."""
        lease = self.borrowing.idle()
        if lease is None:
            return None
        lease.busy = True
        return OtherHost(self, lease)

    async def run(self, work: Callable[[], None]) -> None:
        """Do work that waits for another host, on a thread of its own; waits for its end even if
        the caller is cancelled."""
        future = self.loop.run_in_executor(self._threads, work)
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def failed(self, host: OtherHost, task: TaskId, error: BuildNetError) -> None:
        """Take note that a host did not run a command."""
        self._failures[task] = self._failures.get(task, 0) + 1
        if isinstance(error, UnfitHostError):
            self.borrowing.unfit.add(host.lease.owner)
            for lease in list(self.borrowing.leases.values()):
                if lease.owner == host.lease.owner and not lease.busy:
                    self.borrowing.borrower.give_back(self.borrowing, lease)

    def end(self, host: OtherHost) -> None:
        """Take note that nothing runs on a slot any more."""
        host.lease.wanted_back |= host.lease.owner in self.borrowing.unfit
        self.borrowing.borrower.end_of(self.borrowing, host.lease)

    def close(self) -> None:
        """Give everything back; the build is over."""
        self.borrowing.close()
        self._threads.shutdown(wait=False)
