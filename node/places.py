"""The places of one build's commands: this node's slots, and those that it has borrowed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field

from buildnet.node.resolve import Prepared
from buildnet.node.sharing.other_hosts import OtherHost, OtherHosts
from buildnet.node.workers import Workers
from buildnet.pool.placement import Needs
from buildnet.pool.places import Slots
from buildnet.pool.workspace import TaskId


@dataclass(slots=True)
class NodePlaces:
    """See :class:`~buildnet.pool.places.Places`. ``home``: what the build may use of this node;
    ``hosts`` None: nothing else; ``prepared``: what is known of tasks, before they are sorted."""

    home: Slots
    workers: Workers
    hosts: OtherHosts | None
    prepared: dict[TaskId, Prepared] = field(default_factory=dict)
    _at_home: set[TaskId] = field(default_factory=set)
    _elsewhere: dict[TaskId, OtherHost] = field(default_factory=dict)

    def sort(self, task: TaskId) -> Hashable:
        """See :meth:`~buildnet.pool.places.Places.sort`: by what a command needs, and whether it
        may run elsewhere."""
        prepared, hosts = self.prepared[task], self.hosts
        is_portable = hosts is not None and hosts.may_take(prepared)
        return self.home.sort(task), is_portable, needs_of(prepared)

    def begin(self) -> None:
        """See :meth:`~buildnet.pool.places.Places.begin`."""
        self.home.begin()

    def take(self, task: TaskId) -> bool:
        """See :meth:`~buildnet.pool.places.Places.take`."""
        prepared, hosts = self.prepared[task], self.hosts
        size = self.home.sort(task)
        host = None
        if hosts is not None and hosts.may_take(prepared):
            # Another build's commands, or those of others, may have the slots that are free for
            # this build: then they are waited for only if there is nothing else.
            is_free = self.home.has_room_for(task) and self.workers.free[0] >= size
            host = hosts.choose(prepared, needs_of(prepared), here_is_free=is_free)
        if host is None and not self.home.take(task):
            return False
        if host is not None:
            self._elsewhere[task] = host
        else:
            self._at_home.add(task)
        if hosts is not None:
            hosts.placed(host)
        return True

    def give_back(self, task: TaskId) -> None:
        """See :meth:`~buildnet.pool.places.Places.give_back`."""
        if task in self._at_home:
            self._at_home.discard(task)
            self.home.give_back(task)
        else:
            self._elsewhere.pop(task, None)

    def elsewhere(self, task: TaskId) -> OtherHost | None:
        """Return the slot that a task was given; None: it is one of this node."""
        return self._elsewhere.get(task)


def needs_of(prepared: Prepared) -> Needs:
    """Return what a task's command needs of a host."""
    task = prepared.task
    return Needs(
        slots=task.requirements.slots,
        memory_bytes=task.requirements.memory_bytes or 0,
        tools=frozenset(task.tools),
    )
