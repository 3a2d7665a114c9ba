"""Where the commands of a build would run on the hosts that are there: its plan played through with
the build's own state machine and the placement's own rules. Nothing is asked for or reserved. Pure.

A command takes what it took before, at the speed of its host; where that is not known of all, the
places are told without times. What other builds do meanwhile is not foreseen: only slots count that
have nothing to do now. What may begin here at once does so, however good other hosts are: unless
the build reserves them, none has been asked by then.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from buildnet.pool.build import Began, Build, Event, Execute, Executed, MustRun, Resolve, UpToDate
from buildnet.pool.experience import Experience
from buildnet.pool.outlook import Outlook
from buildnet.pool.placement import AS_USUAL, Case, Host, Needs, Preferences, objection, ranked
from buildnet.pool.places import Answer
from buildnet.pool.workspace import TaskId

_BUSY = "every host that may run it is busy"
_AFTER_BUSY = "what it depends on has no place"


@dataclass(frozen=True, slots=True)
class Command:
    """One that would run. ``may_stay``: on this node; ``may_move``: on others; ``took_ms``: what it
    took before at this node's speed, None: it never ran."""

    task: TaskId
    depends_on: tuple[TaskId, ...] = ()
    needs: Needs = field(default_factory=Needs)
    case: Case = field(default_factory=Case)
    may_stay: bool = True
    may_move: bool = False
    took_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command would run; ``host`` None: nowhere, and ``why``. ``begins_ms``, ``ends_ms``:
    from when commands begin on, None: that is not known."""

    host: Host | None
    begins_ms: float | None = None
    ends_ms: float | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """The hosts that are there. ``slots``: of this node, for the build; ``most``: so many commands
    at once on others, None: no bound; ``is_reserved``: it begins once it has slots of others."""

    here: Host
    slots: int
    others: Sequence[Host] = ()
    preferences: Preferences = AS_USUAL
    experience: Experience = field(default_factory=Experience)
    most: int | None = None
    is_reserved: bool = False


def rehearse(commands: Sequence[Command], stage: Stage) -> dict[TaskId, Place]:
    """Return where each command would run."""
    by_task = {command.task: command for command in commands}
    places = _Slots(by_task, stage)
    found = {
        task: Place(None, why=places.why(command))
        for task, command in by_task.items()
        if not places.hosts_of(command)
    }
    dependencies = {
        task: tuple(each for each in command.depends_on if each in by_task)
        for task, command in by_task.items()
    }
    known = {task: ms for task, one in by_task.items() if (ms := one.took_ms) is not None}
    build = Build(dependencies, places=places, durations_ms=known)
    has_times = all(command.took_ms is not None for command in commands)
    running: list[tuple[float, TaskId]] = []
    events: list[Event] = [Began()]
    while events:
        news: list[Event] = []
        for effect in build.handle(*events):
            if isinstance(effect, Resolve):
                for task in effect.tasks:
                    news.append(UpToDate(task) if task in found else MustRun(task))
            elif isinstance(effect, Execute):
                host, ends_ms = places.at[effect.task]
                heapq.heappush(running, (ends_ms, effect.task))
                times = (round(places.now_ms, 1), round(ends_ms, 1)) if has_times else (None, None)
                found[effect.task] = Place(host, *times)
        if not news and running:
            places.now_ms, ended = heapq.heappop(running)
            news.append(Executed(ended, True))
        events = news
    left = by_task.keys() - found.keys()
    for task in left:
        found[task] = Place(None, why=_BUSY if left.isdisjoint(dependencies[task]) else _AFTER_BUSY)
    return found


class _Slots:
    """All slots of the hosts, as the places of one build."""

    def __init__(self, commands: Mapping[TaskId, Command], stage: Stage) -> None:
        self._commands = commands
        self._stage = stage
        self._left = {stage.here.key: stage.slots}
        for host in stage.others:
            free = host.free if host.free is not None else host.slots
            most = stage.preferences.most_on(host)
            slots = free if free is not None else 1
            self._left[host.key] = slots if most is None else min(slots, most)
        self._elsewhere = 0
        self._used: set[bytes] = {stage.here.key}
        self._placed: Counter[bytes] = Counter()
        self._outlook = Outlook(())
        self._allowed: dict[Needs, list[Host]] = {}
        self.now_ms = 0.0
        self.at: dict[TaskId, tuple[Host, float]] = {}

    def hosts_of(self, command: Command) -> list[Host]:
        """Return the hosts that may run a command, busy or not."""
        stage, here = self._stage, [self._stage.here] if command.may_stay else []
        if not command.may_move or stage.most == 0:
            return here
        if command.needs not in self._allowed:
            self._allowed[command.needs] = [
                host
                for host in stage.others
                if objection(host, command.needs, stage.preferences, stage.here) is None
            ]
        return [*self._allowed[command.needs], *here]

    def why(self, command: Command) -> str:
        """Say why no host may run a command."""
        stage = self._stage
        if not command.may_move or stage.most == 0:
            return "this node can't run it, and it may run on no other"
        for host in stage.others:
            reason = objection(host, command.needs, stage.preferences, stage.here)
            if reason is not None:
                return f"not on {host.name or host.node_id}: {reason}"
        return "this node can't run it, and there is no other one"

    def sort(self, task: TaskId) -> Hashable:
        """See :meth:`~buildnet.pool.places.Places.sort`."""
        command = self._commands[task]
        return command.needs, command.may_stay, command.may_move

    def begin(self) -> None:
        """See :meth:`~buildnet.pool.places.Places.begin`."""
        self._outlook = Outlook(
            (ends_ms - self.now_ms, self._speed(host)) for host, ends_ms in self.at.values()
        )

    def take(self, task: TaskId) -> Answer:
        """See :meth:`~buildnet.pool.places.Places.take`."""
        command, stage = self._commands[task], self._stage
        size = command.needs.amount.slots
        free = [
            replace(host, free=self._left[host.key])
            for host in self.hosts_of(command)
            if self._has_room(host, size)
        ]
        if not free:
            return Answer.FULL
        case = replace(command.case, placed=self._placed)
        best = ranked(free, case, stage.preferences, stage.experience)[0]
        if not self.now_ms and not stage.is_reserved:
            best = next((host for host in free if host.is_here), best)
        speed = self._speed(best)
        took_ms = Build.DEFAULT_DURATION_MS if command.took_ms is None else command.took_ms
        may_wait = stage.preferences.may_wait and command.took_ms is not None
        if may_wait and not command.needs.labels and self._outlook.waits(took_ms, speed):
            return Answer.WAITS
        self._outlook.taken(took_ms / speed, speed)
        self._left[best.key] -= self._size(best, size)
        self._elsewhere += not best.is_here
        self._used.add(best.key)
        self._placed[best.key] += 1
        self.at[task] = (best, self.now_ms + took_ms / speed)
        return Answer.TAKEN

    def give_back(self, task: TaskId) -> None:
        """See :meth:`~buildnet.pool.places.Places.give_back`."""
        host, _ = self.at.pop(task)
        self._left[host.key] += self._size(host, self._commands[task].needs.amount.slots)
        self._elsewhere -= not host.is_here

    def _size(self, host: Host, slots: int) -> int:
        return min(slots, self._stage.slots) if host.is_here else slots

    def _has_room(self, host: Host, slots: int) -> bool:
        stage = self._stage
        if self._left[host.key] < self._size(host, slots):
            return False
        if host.is_here:
            return True
        most_nodes = stage.preferences.max_nodes
        if host.key not in self._used and most_nodes is not None and len(self._used) >= most_nodes:
            return False
        return stage.most is None or self._elsewhere < stage.most

    def _speed(self, host: Host) -> float:
        here = self._stage.here.speed
        return host.speed / here if host.speed and here else 1.0
