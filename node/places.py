"""The places of one build's commands: this node's slots, and those that it has borrowed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.node.pausing import Pausing
from buildnet.node.resolve import Prepared
from buildnet.node.sharing.known_hosts import THIS_NODE
from buildnet.node.sharing.needs import needs_of
from buildnet.node.sharing.other_hosts import OtherHost, OtherHosts
from buildnet.node.toolchain import PlatformMissingError, ToolMissingError
from buildnet.node.workers import Workers
from buildnet.pool.build import Ready
from buildnet.pool.far_tools import FarTools
from buildnet.pool.outlook import Outlook
from buildnet.pool.placement import AS_USUAL, Host, Needs, Preferences
from buildnet.pool.places import Answer, Slots
from buildnet.pool.quantity import GIB
from buildnet.pool.requirements import Requirements, RequirementsError
from buildnet.pool.straggling import NOT_BEGUN_S, is_straggler
from buildnet.pool.workspace import TaskId

OTHERS_ASKED_S = 2.0
"""So long a command that failed here waits for another host, if it is to run again."""
_WORTH_ASKING_MS = 1000.0
"""What takes less than that waits for its turn here instead."""
_LATER_S = 0.05
"""So much after a moment has passed it has for all clocks."""
PATIENCE_S = 10.0
"""So long a host that could run a command is waited for."""


class NoHostError(BuildNetError):
    """No host can run a command, for what it asks for."""

    code = "NO_HOST"

    @classmethod
    def anywhere(cls, labels: frozenset[str]) -> NoHostError:
        """Of labels that no host has."""
        return cls(
            f"no node that can be asked has the labels {', '.join(sorted(labels))}",
            hint="buildnet pool nodes shows which there are; node_tags in node.yaml gives them",
        )

    @classmethod
    def of_storage(cls, preferences: Preferences) -> NoHostError:
        """Of free storage that no host has."""
        return cls(
            f"no node that can be asked has {preferences.min_free_bytes / GIB:g} GiB of free "
            "storage, as the configuration asks for (resources.storage.min_free_gb)",
            hint="buildnet pool nodes shows which there are; make room, or ask for less",
        )

    @classmethod
    def here(cls, labels: frozenset[str]) -> NoHostError:
        """Of labels that this node lacks, where the command can't run elsewhere."""
        return cls(
            f"this node has no label {', '.join(sorted(labels))}, and the command can run on no "
            "other one",
            hint="only strict commands run elsewhere, without --local-only; node_tags in node.yaml "
            "gives a node its labels",
        )


@dataclass(frozen=True, slots=True)
class Second:
    """A slot for a second run: of another host, or (None) of this one."""

    host: OtherHost | None


@dataclass(slots=True)
class NodePlaces:
    """See :class:`~buildnet.pool.places.Places`. ``home``: what the build may use of this node;
    ``hosts`` None: nothing else; ``here``: what is known of this node; ``pausing``: whether
    commands may start; ``durations_ms``: how long commands took lately, at this node's speed;
    ``prepared``: what is known of tasks, before they are sorted."""

    home: Slots
    workers: Workers
    hosts: OtherHosts | None
    here: Callable[[], Host] = lambda: THIS_NODE
    pausing: Pausing = field(default_factory=Pausing)
    durations_ms: Mapping[TaskId, float] = field(default_factory=dict)
    clock: Callable[[], float] = time.monotonic
    prepared: dict[TaskId, Prepared] = field(default_factory=dict)
    tried: Mapping[TaskId, Collection[bytes | None]] = field(default_factory=dict)
    """Owners of the hosts on which a command has failed that is to run on another one."""
    _began: dict[TaskId, tuple[float, float]] = field(default_factory=dict)
    """When commands that run began, and the speed of their slots."""
    _outlook: Outlook | None = None
    _at_home: set[TaskId] = field(default_factory=set)
    _elsewhere: dict[TaskId, OtherHost] = field(default_factory=dict)
    _asked: dict[TaskId, float] = field(default_factory=dict)
    """Until when commands wait for another host: each does so once, but for failures."""
    _hopeless_since: dict[Needs, float] = field(default_factory=dict)

    def sort(self, task: TaskId) -> Hashable:
        """See :meth:`~buildnet.pool.places.Places.sort`: by what a command needs, and whether it
        may run elsewhere."""
        prepared, hosts = self.prepared[task], self.hosts
        is_portable = hosts is not None and hosts.may_take(prepared)
        return self.home.sort(task), is_portable, needs_of(prepared), self.may_stay(prepared)

    def begin(self) -> None:
        """See :meth:`~buildnet.pool.places.Places.begin`."""
        self.home.begin()
        self._outlook = None

    def take(self, task: TaskId) -> Answer:
        """See :meth:`~buildnet.pool.places.Places.take`."""
        if self.pausing.is_on:
            return Answer.FULL
        prepared, hosts = self.prepared[task], self.hosts
        needs, size = needs_of(prepared), self.home.sort(task)
        may_stay = self.may_stay(prepared)
        host = None
        if hosts is not None and hosts.may_take(prepared):
            # Another build's commands, or those of others, may have the slots that are free for
            # this build: then they are waited for only if there is nothing else.
            is_free = self.home.has_room_for(task) and self.workers.free[0] >= size
            tried = self.tried.get(task, ())
            host = hosts.choose(
                prepared,
                needs,
                here_is_free=may_stay and is_free and None not in tried,
                never_here=not may_stay,
                used=[owner for owner in tried if owner is not None],
            )
            is_somewhere = host is not None or (may_stay and self.home.has_room_for(task))
            if is_somewhere and not needs.labels and self._had_better_wait(hosts, task, host):
                return Answer.WAITS
            if host is None and None in tried and self._asks_others(hosts, task, len(tried)):
                return Answer.WAITS
            if host is None and self.home.has_room_for(task) and self.is_crowded(prepared):
                return Answer.FULL
        if host is None and not may_stay:
            return Answer.FULL
        if host is None and self.home.take(task) is Answer.FULL:
            return Answer.FULL
        if host is not None:
            self._elsewhere[task] = host
        else:
            self._at_home.add(task)
        if hosts is not None:
            hosts.placed(host, needs)
            self._begins(task, hosts.speed(host))
        return Answer.TAKEN

    def _begins(self, task: TaskId, speed: float) -> None:
        self._began[task] = self.clock(), speed
        took_ms = self.durations_ms.get(task)
        if self._outlook is not None and took_ms is not None:
            self._outlook.taken(took_ms / speed, speed)

    def ask_others(self, task: TaskId) -> float:
        """Have a command that failed, and is to run again, wait for a host that it has not run on;
        return in how many seconds it is to be looked at again, when it waits no more."""
        self._asked[task] = self.clock() + OTHERS_ASKED_S
        return OTHERS_ASKED_S + _LATER_S

    def _asks_others(self, hosts: OtherHosts, task: TaskId, tried: int) -> bool:
        lenders = sum(each.lends_nothing is None for each in hosts.known.others)
        return lenders >= tried and self.clock() < self._asked.get(task, 0.0)

    def is_crowded(self, prepared: Prepared) -> bool:
        """Tell whether other builds have the slots of this node that are free for this one, and a
        command had better ask for one of another host, for a moment, than stand in line here."""
        hosts, task, needs = self.hosts, prepared.task.id, needs_of(prepared)
        if hosts is None or not hosts.may_take(prepared):
            return False
        is_short = self.durations_ms.get(task, math.inf) < _WORTH_ASKING_MS
        if is_short or self.workers.free[0] >= self.home.sort(task):
            return False
        if not hosts.owners(needs, hosts.borrowing.members):
            return False
        hosts.borrowing.waits_for_home = True
        return self.clock() < self._asked.setdefault(task, self.clock() + PATIENCE_S)

    def _had_better_wait(self, hosts: OtherHosts, task: TaskId, host: OtherHost | None) -> bool:
        """Tell whether a command ends sooner on a slot that is busy now."""
        took_ms = self.durations_ms.get(task)
        if took_ms is None or not hosts.preferences.may_wait:
            return False
        if self._outlook is None:
            self._outlook = Outlook(self._busy())
        return self._outlook.waits(took_ms, hosts.speed(host))

    def _busy(self) -> Iterator[tuple[float, float]]:
        """Yield in how many milliseconds slots come free, as far as that can be told, and their
        speed."""
        now = self.clock()
        for task, (began, speed) in self._began.items():
            if task in self.durations_ms and self._has_slot(task):
                since_ms = (now - began) * 1000
                left_ms = self.durations_ms[task] / speed - since_ms
                # What should be over takes as long again, for all that is known.
                yield (left_ms if left_ms > 0 else since_ms), speed

    def _has_slot(self, task: TaskId) -> bool:
        """Tell whether a task's command still has the slot that it was given."""
        host = self._elsewhere.get(task)
        return host is None or not host.is_over

    def give_back(self, task: TaskId) -> None:
        """See :meth:`~buildnet.pool.places.Places.give_back`."""
        self._began.pop(task, None)
        if task in self._at_home:
            self._at_home.discard(task)
            self.home.give_back(task)
        else:
            self._elsewhere.pop(task, None)

    def may_stay(self, prepared: Prepared) -> bool:
        """Tell whether this node may run a command: it has its tools and labels, grants what it
        needs, and has the free storage that is asked for. What is too much and can't run elsewhere
        either may: who is to run it says so."""
        if prepared.far is not None or self._lacking(prepared):
            return False
        if self.workers.grant.allows(prepared.task.requirements) and self._has_storage():
            return True
        return self.hosts is None or not self.hosts.may_take(prepared)

    # --- a second time -------------------------------------------------------------------------

    def running_elsewhere(self) -> list[TaskId]:
        """Return the tasks whose commands run on other hosts, or are about to."""
        return [task for task, host in self._elsewhere.items() if not host.is_over]

    def waits_elsewhere(self, task: TaskId) -> bool:
        """Tell whether a command waits on another host, and could begin here."""
        began, hosts, host = self._began.get(task), self.hosts, self._elsewhere.get(task)
        if began is None or hosts is None or host is None:
            return False
        if self.clock() - began[0] < NOT_BEGUN_S or not hosts.waits(host):
            return False
        return self._is_free_here(task)

    def is_overdue(self, task: TaskId) -> bool:
        """Tell whether a command takes so long that another slot would be done sooner."""
        took_ms, began = self.durations_ms.get(task), self._began.get(task)
        if took_ms is None or began is None:
            return False
        since, speed = began
        return is_straggler((self.clock() - since) * 1000, took_ms / speed, took_ms)

    def second(self, task: TaskId, *, only_here: bool) -> Second | None:
        """Return a slot for a second run of a command, taken from now on; None: there is none."""
        hosts, host = self.hosts, self._elsewhere.get(task)
        if hosts is None or host is None or host.is_over:
            return None
        if self._is_free_here(task):
            self.home.take(task)
            return Second(None)
        if only_here:
            return None
        needs, used = needs_of(self.prepared[task]), (host.lease.owner,)
        other = hosts.choose(self.prepared[task], needs, here_is_free=False, used=used)
        if other is None:
            return None
        hosts.placed(other, needs)
        return Second(other)

    def end_second(self, task: TaskId, second: Second) -> None:
        """Take back what :meth:`second` gave."""
        if second.host is None:
            self.home.give_back(task)
        elif self.hosts is not None:
            self.hosts.end(second.host)

    def _is_free_here(self, task: TaskId) -> bool:
        if not self.may_stay(self.prepared[task]):
            return False
        self.home.begin()
        return self.home.has_room_for(task) and self.workers.free[0] >= self.home.sort(task)

    def has_other_place(self, prepared: Prepared) -> bool:
        """Tell whether a command that failed on another host may be tried on one more, or here."""
        may_stay = prepared.far is None and not self._lacking(prepared)
        if may_stay and self.workers.grant.allows(prepared.task.requirements):
            return True
        return self.hosts is not None and self.hosts.is_left(prepared)

    def _lacking(self, prepared: Prepared) -> frozenset[str]:
        labels = frozenset(prepared.task.requirements.labels or ())
        return labels - self.here().labels if labels else labels

    @property
    def _preferences(self) -> Preferences:
        return AS_USUAL if self.hosts is None else self.hosts.preferences

    def _has_storage(self) -> bool:
        preferences = self._preferences
        return not preferences.min_free_bytes or preferences.has_storage(self.here())

    def hopeless(self, ready: Iterable[Ready], now: float) -> list[tuple[TaskId, BuildNetError]]:
        """Return the tasks, the most urgent of each sort, that no host can take as far as is known,
        and has not for :data:`PATIENCE_S`, and why; ``now``: monotonic seconds."""
        found: list[tuple[TaskId, BuildNetError]] = []
        since = self._hopeless_since
        self._hopeless_since = {}
        for each in ready:
            prepared, hosts = self.prepared[each.first], self.hosts
            if self.may_stay(prepared):
                continue
            needs = needs_of(prepared)
            if hosts is None or not hosts.may_take(prepared):
                found.append((each.first, self._why(prepared, NoHostError.here)))
            elif not hosts.owners(needs, hosts.borrowing.members):
                began = self._hopeless_since[needs] = since.get(needs, now)
                if now - began >= PATIENCE_S:
                    found.append((each.first, self._why(prepared, NoHostError.anywhere)))
        return found

    def _why(
        self, prepared: Prepared, of_labels: Callable[[frozenset[str]], NoHostError]
    ) -> BuildNetError:
        """Return why a command runs nowhere."""
        if prepared.far is not None:
            return _far_hosts_gone(prepared.far, prepared.task.requirements)
        if self._lacking(prepared):
            return of_labels(self._lacking(prepared))
        try:
            self.workers.grant.check(prepared.task.requirements)
        except RequirementsError as error:
            error.cause = "no other node that is linked with this one now gives one command as much"
            return error
        if not self._has_storage():
            return NoHostError.of_storage(self._preferences)
        return of_labels(frozenset())

    def patience_left(self, now: float) -> float | None:
        """Return after how many seconds something may be hopeless, or has asked others for long
        enough; None: nothing will be."""
        ends = [began + PATIENCE_S for began in self._hopeless_since.values()]
        ends += [until + _LATER_S for until in self._asked.values() if until + _LATER_S > now]
        return max(0.1, min(ends) - now) if ends else None

    def elsewhere(self, task: TaskId) -> OtherHost | None:
        """Return the slot that a task was given; None: it is one of this node."""
        return self._elsewhere.get(task)


def _far_hosts_gone(far: FarTools, needed: Requirements) -> BuildNetError:
    error = ToolMissingError if needed.platform is None else PlatformMissingError
    return error(
        f"what this command needs is not on this host, but on {', '.join(far.names)}",
        cause="no such node is linked with this one now and lends, or none could run it",
        hint="build again when one of them is there; one that lends nothing, or has no strict "
        "isolation, says so in its buildnet node status",
    )
