"""Commands of one build that are begun a second time, while slots have nothing else to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from buildnet.node.dispatch import Dispatcher
from buildnet.node.places import NodePlaces
from buildnet.pool.straggling import AT_ONCE
from buildnet.pool.workspace import TaskId

LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class SecondRuns:
    """See the module's text and :mod:`buildnet.pool.straggling`. ``something_waits``: whether there
    are commands that wait for a place."""

    places: NodePlaces
    dispatcher: Dispatcher
    something_waits: Callable[[], bool]
    _done: set[TaskId] = field(default_factory=set)
    """Each is run a second time once."""
    _running: int = 0

    async def watch(self) -> None:
        """Look now and then, until cancelled; what runs then is ended and waited for."""
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(LOOK_EVERY_S)
                for task, takes_home in list(self._due()):
                    self._done.add(task)
                    group.create_task(self._run(task, takes_home))

    def _due(self) -> Iterator[tuple[TaskId, bool]]:
        hosts = self.places.hosts
        if hosts is None or self.dispatcher.times > 1 or self.something_waits():
            return  # what is compared has to have run where it was said to
        if hosts.losses.is_careful or self.places.pausing.is_on:
            return
        left = AT_ONCE - self._running
        for task in self.places.running_elsewhere():
            if left <= 0 or task in self._done:
                continue
            if self.places.prepared[task].task.network:
                continue  # who knows what it does out there
            takes_home = self.places.waits_elsewhere(task)
            if takes_home or self.places.is_overdue(task):
                left -= 1
                yield task, takes_home

    async def _run(self, task: TaskId, takes_home: bool) -> None:
        found = self.places.second(task, only_here=takes_home)
        if found is None:
            self._done.discard(task)  # later, perhaps
            return
        self._running += 1
        prepared = self.places.prepared[task]
        try:
            await self.dispatcher.run_again(prepared, found.host, alone=takes_home)
        finally:
            self._running -= 1
            self.places.end_second(task, found)
