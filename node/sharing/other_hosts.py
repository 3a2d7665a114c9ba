"""The hosts of other nodes that one build's commands may run on."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import node_id_of
from buildnet.node.execute.executor import Executor
from buildnet.node.pool_results import FetchAll, PoolResults
from buildnet.node.resolve import Prepared, isolation_of
from buildnet.node.sharing.borrower import Borrowed, Borrowing
from buildnet.node.sharing.errands import SilentHostError, WrongHostError
from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.node.sharing.needs import choosiness, fits_a_question, needs_of
from buildnet.node.sharing.noting import Noting
from buildnet.node.sharing.remote_executor import OnlyHereError, RemoteExecutor, UnfitHostError
from buildnet.pool.action import Action
from buildnet.pool.attempts import Attempt, Attempts
from buildnet.pool.build import Ready
from buildnet.pool.demand import Want
from buildnet.pool.holdings import telling
from buildnet.pool.leases import Amount
from buildnet.pool.losses import Losses, told
from buildnet.pool.messages.lending import MAX_OWNERS, MAX_WANTS
from buildnet.pool.placement import AS_USUAL, Case, Host, Needs, Preferences, objection, ranked
from buildnet.pool.tree import DirectoryTree
from buildnet.pool.workspace import Task, TaskId

_ORDER_KEPT_S = 0.2
MAX_ELSEWHERE = 128
"""Commands of one build that run on other hosts at once."""


@dataclass(slots=True, eq=False)
class OtherHost:
    """One slot of another host, for one command, of ``task``, that needs ``needs``. ``is_over``: it
    has nothing to do with it any more, even if what it made is still to be taken in."""

    hosts: OtherHosts
    lease: Borrowed
    needs: Needs = field(default_factory=Needs)
    task: TaskId | None = None
    is_lost: bool = False
    is_over: bool = False

    @property
    def node_id(self) -> str:
        """Whose it is."""
        return node_id_of(self.lease.owner)

    @property
    def name(self) -> str:
        """What people call that node."""
        return self.hosts.borrowing.borrower.name_of(self.lease.owner)

    def executor(
        self,
        action: Action,
        task: Task,
        label: str,
        installed: Digest | None,
        *,
        again: bool,
    ) -> Executor:
        """Return what runs an action there. ``installed``: the ``Tree`` message of the installed
        packages that it sees, None: it sees none; ``again``: even if its result is there."""
        hosts = self.hosts
        remote = RemoteExecutor(
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
            loop=hosts.loop,
            on_result=lambda: hosts.answered(self),
        )
        owner = self.lease.owner
        return Noting(remote, hosts.loop, lambda *trees: hosts.holds(owner, *trees))


@dataclass(frozen=True, slots=True)
class _Order:
    """Which of some members came first ``at`` a time of the event loop's clock."""

    at: float
    members: Sequence[bytes]
    best: Sequence[Host]


@dataclass(slots=True, eq=False)
class OtherHosts:
    """What a build's performer needs of other hosts. ``on_change`` is called when there are more or
    fewer; ``on_notice`` tells people something; ``most`` bounds how many commands run there at
    once."""

    results: PoolResults
    fetch_all: FetchAll
    known: KnownHosts = field(default_factory=KnownHosts)
    preferences: Preferences = AS_USUAL
    workspace: str = ""
    most: int = MAX_ELSEWHERE
    borrowing: Borrowing = field(init=False)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    on_change: Callable[[], None] = lambda: None
    on_notice: Callable[[str], None] = lambda text: None
    losses: Losses = field(default_factory=Losses)
    attempts: defaultdict[TaskId, Attempts] = field(default_factory=lambda: defaultdict(Attempts))
    _began: float = field(default_factory=time.monotonic)
    _reserved: tuple[Want, ...] = ()
    _placed: Counter[bytes] = field(default_factory=Counter)
    _running: set[OtherHost] = field(default_factory=set)
    _orders: dict[Needs, _Order] = field(default_factory=dict)
    _asked_for: frozenset[frozenset[str]] = frozenset()
    _inputs: dict[TaskId, tuple[Digest, ...]] = field(default_factory=dict)
    _wanted: set[Needs] = field(default_factory=set)
    """What commands needed that could have run elsewhere."""
    _besides: Counter[Needs] = field(default_factory=Counter)
    _unfit: set[tuple[bytes, Needs | None]] = field(default_factory=set)
    """Owners that could not run commands which need this."""
    _threads: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(MAX_ELSEWHERE, "elsewhere")
    )

    def changed(self) -> None:
        """Take note that there are more or fewer leases than before."""
        self.on_change()

    def lost(self, owner: bytes, left: int) -> None:
        """Take note that a worker is lost; so many are left, this node included."""
        self._tell_lost(owner)
        careful = self.losses.lost(owner, left, time.monotonic())
        if left == 1:
            self.on_notice("all other nodes are lost: the build goes on here")
        elif careful:
            self.on_notice(
                "half of the nodes or more were lost: fewer commands run on others until it is calm"
            )

    def _tell_lost(self, owner: bytes) -> None:
        """Tell that a worker is lost which ran commands, the first time that this is heard."""
        ran = [one for one in self._running if one.lease.owner == owner and not one.is_lost]
        if ran or (owner in self._placed and not self.losses.has(owner)):
            for one in ran:
                one.is_lost = True
            after_s = time.monotonic() - self._began
            names = {str(one.task) for one in ran if one.task is not None}
            self.on_notice(told(self.borrowing.borrower.name_of(owner), after_s, names))

    def tick(self, now: float) -> None:
        """See whether it is calm again."""
        if self.losses.calmed(now):
            self.on_notice("no node was lost for a while: as many commands run on others as before")
            self.changed()

    # --- who may -------------------------------------------------------------------------------

    def may_take(self, prepared: Prepared) -> bool:
        """Whether a command can run elsewhere at all."""
        action = prepared.action
        return (
            self.most > 0
            and action is not None
            and fits_a_question(prepared.task, isolation_of(action))
            and not self.attempts[prepared.task.id].goes_home
        )

    def owners(self, needs: Needs, members: Iterable[bytes]) -> list[Host]:
        """Return those of some members that may take commands that need this, as far as is known;
        one of which nothing is known may, unless something is asked for that not all have."""
        here = self.known.here
        return [
            host
            for host in map(self.known.host, members)
            if host.key not in self.borrowing.unfit
            and (host.key, needs) not in self._unfit
            and objection(host, needs, self.preferences, here) is None
        ]

    # --- what is wanted ------------------------------------------------------------------------

    @contextmanager
    def wanting(self, needs: Needs) -> Iterator[None]:
        """Tell that a slot is wanted besides those for commands that wait, while this is open."""
        self._besides[needs] += 1
        self.on_change()
        try:
            yield
        finally:
            self._besides[needs] -= 1

    def reserve(self, wants: tuple[Want, ...]) -> None:
        """Ask for all of this, or nothing of it, and keep it to the build's end; nothing more is
        wanted for commands that it does for."""
        if wants != self._reserved:
            self._reserved = self.borrowing.kept = wants
            self.borrowing.want((), wants)

    @property
    def had(self) -> list[tuple[bytes, Amount]]:
        """The leases that the build has: owners and amounts."""
        leases = self.borrowing.leases.values()
        return [(each.owner, each.amount) for each in leases if not each.wanted_back]

    def want(self, ready: Iterable[Ready], prepared: Mapping[TaskId, Prepared]) -> None:
        """Tell which commands wait that could run elsewhere, and what for."""
        counts: Counter[Needs] = Counter()
        firsts: dict[Needs, Prepared] = {}
        for each in ready:
            first = prepared[each.first]
            if self.may_take(first):
                needs = needs_of(first)
                counts[needs] += each.count
                firsts[needs] = first
        if len(self._wanted) < MAX_WANTS:
            self._wanted.update(counts)
        counts.update(+self._besides)
        for needs in [each for each in counts if self._is_reserved(each)]:
            del counts[needs]
        waiting = self._wants(counts, firsts)
        self._asked_for = frozenset(needs.labels for needs in counts if needs.labels)
        for host in self._running:
            counts[host.needs] += not self._is_reserved(host.needs)
        wants = (*self._reserved, *self._wants(+counts, firsts))
        self.borrowing.want(waiting, wants[:MAX_WANTS])

    def _is_reserved(self, needs: Needs) -> bool:
        """Tell whether what was reserved does for commands that need this."""
        return any(
            needs.amount.fits(want.amount)
            and (needs.owners is None or not needs.owners.isdisjoint(want.owners))
            for want in self._reserved
        )

    def _wants(
        self, counts: Mapping[Needs, int], firsts: Mapping[Needs, Prepared]
    ) -> tuple[Want, ...]:
        members = self.borrowing.members
        wants: list[Want] = []
        left = self.most
        most_owners = MAX_OWNERS // max(1, min(len(counts), MAX_WANTS))  # of all wants together
        for needs in sorted(counts, key=choosiness, reverse=True)[:MAX_WANTS]:
            owners = self.order(needs, members, firsts.get(needs))[:most_owners]
            count = min(counts[needs], left)
            if owners and count:
                wants += self._by_amount(needs, count, owners)
                left -= count
        return tuple(wants[:MAX_WANTS])

    def _by_amount(self, needs: Needs, count: int, owners: Iterable[bytes]) -> Iterator[Want]:
        """Yield what is wanted of owners, of whom some may give a command more than it needs."""
        groups: dict[Amount, list[bytes]] = {}
        for owner in owners:
            host = self.known.host(owner)
            amount = self.preferences.amount_on(host, needs.amount)
            if self.preferences.lends_memory_only(host):
                memory_bytes = self.preferences.memory_on(host) or 0
                fitting = memory_bytes // max(1, amount.memory_bytes)
                yield Want(amount, min(count, fitting), (owner,))
                continue
            groups.setdefault(amount, []).append(owner)
        for amount, some in groups.items():
            yield Want(amount, count, tuple(some))

    def order(
        self, needs: Needs, members: Sequence[bytes], first: Prepared | None = None
    ) -> tuple[bytes, ...]:
        """Return the members that commands may run on which need this, the best first; ``first``:
        the most urgent of the commands. An order that is some moments old will do."""
        now, known = self.loop.time(), self._orders.get(needs)
        if known is None or known.members != members or now - known.at >= _ORDER_KEPT_S:
            hosts = self.owners(needs, members)
            case = Case(placed=self._placed) if first is None else self._case(first, hosts)
            best = ranked(hosts, case, self.preferences, self.known.experience)
            known = self._orders[needs] = _Order(now, members, best)
        return tuple(host.key for host in self._few(known.best))

    def _few(self, hosts: Sequence[Host]) -> Sequence[Host]:
        """Return as many hosts as the build may use besides this one: those that it uses, then the
        best that have room."""
        most = self.preferences.max_nodes
        if most is None:
            return hosts
        used = {lease.owner for lease in self.borrowing.leases.values()}
        by_use = sorted(hosts, key=lambda host: (host.key not in used, not host.free))
        kept = {host.key for host in by_use[: max(0, most - 1)]}
        return [host for host in hosts if host.key in kept]

    # --- choosing ------------------------------------------------------------------------------

    def left_for(
        self, prepared: Prepared, members: Iterable[bytes], used: Collection[bytes] = ()
    ) -> list[Host]:
        """Return those of some members that may take a command and were not tried yet, but for
        those ``used``."""
        avoided = self.attempts[prepared.task.id].owners.union(used)
        hosts = self.owners(needs_of(prepared), members)
        return [host for host in hosts if host.key not in avoided]

    def is_left(self, prepared: Prepared) -> bool:
        """Tell whether a command may be tried on another host yet."""
        return self.may_take(prepared) and bool(self.left_for(prepared, self.borrowing.members))

    def choose(
        self,
        prepared: Prepared,
        needs: Needs,
        *,
        here_is_free: bool,
        never_here: bool = False,
        used: Collection[bytes] = (),
    ) -> OtherHost | None:
        """Return the slot that suits a command best, of none of the owners ``used``; None: that is
        one of this node, if ``here_is_free``, or none is free. ``never_here``: it can't run on this
        node, so where no other host is left it is tried once more on one that lost it."""
        leases = self._idle(needs)
        if not leases:
            return None
        hosts = self.left_for(prepared, leases, used)
        if never_here and not hosts and not self.is_left(prepared):
            hosts = [host for host in self.owners(needs, leases) if host.key not in used]
        if here_is_free:
            hosts.append(self.known.here)
        best = ranked(hosts, self._case(prepared, hosts), self.preferences, self.known.experience)
        if not best or best[0].is_here:
            return None
        return OtherHost(self, leases[best[0].key], task=prepared.task.id)

    def placed(self, host: OtherHost | None, needs: Needs) -> None:
        """Take note that a command runs on a slot from now on; None: on one of this node."""
        if host is not None:
            host.lease.busy, host.needs = True, needs
            self._running.add(host)
        self._placed[self.known.here.key if host is None else host.lease.owner] += 1

    def _idle(self, needs: Needs) -> dict[bytes, Borrowed]:
        """Return a lease of each owner that has one on which nothing runs."""
        leases = self.borrowing.leases.values()
        busy = [lease for lease in leases if lease.busy]
        if len(busy) >= min(self.most, self.losses.slots(len(leases))):
            return {}
        used: defaultdict[bytes, Amount] = defaultdict(Amount)
        for lease in busy:
            used[lease.owner] += lease.amount
        found: dict[bytes, Borrowed] = {}
        for lease in sorted(leases, key=lambda lease: lease.amount.size):
            if lease.busy or lease.wanted_back or lease.owner in found:
                continue
            host = self.known.host(lease.owner)
            most = self.preferences.most_on(host)
            most_bytes = self.preferences.memory_on(host)
            amount = self.preferences.amount_on(host, needs.amount)
            total = used[host.key] + lease.amount
            if not amount.fits(lease.amount) or (most is not None and total.slots > most):
                continue
            if most_bytes is not None and total.memory_bytes > most_bytes:
                continue
            # One of more than is needed stays for what waits for just that.
            is_for_others = amount != lease.amount and self.borrowing.is_wanted(lease, exactly=True)
            if not is_for_others and not self._is_kept(host, needs):
                found[lease.owner] = lease
        return found

    def _is_kept(self, host: Host, needs: Needs) -> bool:
        """Tell whether commands wait that need what not all hosts have, and this one has."""
        return any(
            labels <= host.labels and not labels <= needs.labels for labels in self._asked_for
        )

    def _case(self, prepared: Prepared, hosts: Sequence[Host]) -> Case:
        task, action = prepared.task.id, prepared.action
        if task not in self._inputs:
            self._inputs[task] = () if action is None else telling(action.spec.inputs.files())
        inputs = self._inputs[task]
        return Case(
            kind=self.kind(task),
            input_bytes=sum(blob.size_bytes for blob in inputs),
            local_bytes=self.known.holdings.bytes_at((host.key for host in hosts), inputs),
            placed=self._placed,
        )

    def kind(self, task: TaskId) -> str:
        """Return what experience with a task's command is kept under."""
        return f"{self.workspace}/{task}"

    # --- running -------------------------------------------------------------------------------

    async def run(self, work: Callable[[], None]) -> None:
        """Do work that waits for another host, on a thread of its own; waits for its end even if
        the caller is cancelled."""
        future = self.loop.run_in_executor(self._threads, work)
        try:
            await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise

    def ran(self, host: OtherHost | None, task: TaskId, duration_ms: float) -> None:
        """Take note that a command ran to its end, on another host or (None) here."""
        place = self.known.here if host is None else self.known.host(host.lease.owner)
        self.known.experience.ran(place.key, self.kind(task), duration_ms, place.speed)

    def waits(self, host: OtherHost) -> bool:
        """Tell whether a command has not begun on a slot, as its host says."""
        return self.borrowing.borrower.errands.waits(host.lease.id)

    def give_up(self, host: OtherHost) -> None:
        """Give a slot back whatever runs there: it is not needed any more."""
        if not host.is_over and host.lease.id in self.borrowing.leases:
            self.borrowing.borrower.give_back(self.borrowing, host.lease)

    def speed(self, host: OtherHost | None) -> float:
        """Return how many times as fast as this node a slot is, as far as that was measured;
        None: one of this node."""
        here = self.known.here.speed
        there = here if host is None else self.known.host(host.lease.owner).speed
        return there / here if here and there else 1.0

    def holds(self, owner: bytes, inputs: DirectoryTree, outputs: DirectoryTree) -> None:
        """Take note that a host has inputs and outputs of what it ran."""
        self.known.holdings.has(owner, (*inputs.files(), *outputs.files()))

    def failed(self, host: OtherHost, task: TaskId, error: BuildNetError) -> bool:
        """Take note that a host did not run a command; tell whether this build asks it no more from
        now on, for it can't be relied on."""
        if isinstance(error, OnlyHereError):
            self.attempts[task].only_at_home = True
            return False
        self.failed_there(host, task, error.as_dict())
        if not isinstance(error, UnfitHostError):
            self.known.experience.failed(host.lease.owner)
        owner = host.lease.owner
        was_aside = owner in self.borrowing.unfit
        if isinstance(error, UnfitHostError):
            self._unfit.add((owner, host.needs))
        if isinstance(error, SilentHostError | WrongHostError):
            self.borrowing.unfit.add(owner)
        if isinstance(error, UnfitHostError | SilentHostError | WrongHostError):
            for lease in list(self.borrowing.leases.values()):
                if lease.owner == owner and not lease.busy:
                    self.borrowing.borrower.give_back(self.borrowing, lease)
        return owner in self.borrowing.unfit and not was_aside

    def failed_there(
        self, host: OtherHost, task: TaskId, error: Mapping[str, str | None]
    ) -> Attempts:
        """Take note of an attempt that came to nothing; return all of that command."""
        why = ": ".join(filter(None, (error["message"], error["cause"])))
        attempt = Attempt(host.node_id, host.name, time.time(), str(error["code"]), why)
        self.attempts[task].failed(host.lease.owner, attempt)
        return self.attempts[task]

    def answered(self, host: OtherHost) -> None:
        """Take note that the result of what ran on a slot is told: the next command may begin there
        while this node takes that in."""
        self.end(host)
        self.on_change()

    def end(self, host: OtherHost) -> None:
        """Take note that nothing of a command runs on its slot any more; only the first time
        counts."""
        if host.is_over:
            return
        host.is_over = True
        self._running.discard(host)
        owner = host.lease.owner
        host.lease.wanted_back |= (
            owner in self.borrowing.unfit or (owner, host.needs) in self._unfit
        )
        self.borrowing.borrower.end_of(self.borrowing, host.lease)

    def unhelpful(self) -> list[str]:
        """Return in words which hosts took none of the commands that could have run elsewhere, as
        far as that was to be foreseen, and why."""
        found: list[str] = []
        for key in self.borrowing.members:
            host = self.known.host(key)
            why = [
                objection(host, needs, self.preferences, self.known.here) for needs in self._wanted
            ]
            if all(why) and why and key not in self._placed:
                found.append(f"{self.borrowing.borrower.name_of(key)} ran no commands: {why[0]}")
        return found

    def close(self) -> None:
        """Give everything back; the build is over."""
        self.borrowing.close()
        self._threads.shutdown(wait=False)
