"""Who watches a build is told where and since when its commands run."""

from __future__ import annotations

import asyncio
import time

from buildnet.node.progress import Progress
from buildnet.node.telling import Telling
from buildnet.pool.build import Status
from buildnet.pool.sharding import split
from buildnet.pool.workspace import Task, TaskId


def test_it_is_told_on_which_node_a_command_runs_and_since_when() -> None:
    async def told() -> list[dict[str, object]]:
        progress = Progress()
        telling = Telling("here", progress)
        async with progress.follow() as batches:
            telling.started(TaskId("a", "build"))
            telling.started(TaskId("b", "build"), "there")
            asyncio.get_running_loop().call_soon(progress.close)
            return [event async for batch in batches for event in batch]

    before = time.time()
    first, second = asyncio.run(told())
    assert (first["name"], first["node"]) == ("a", "here")
    assert (second["name"], second["node"]) == ("b", "there")
    assert isinstance(first["at"], float)
    assert before - 0.001 <= first["at"] <= time.time() + 0.001


def test_a_task_that_was_split_depends_on_what_its_shards_do() -> None:
    async def told() -> tuple[TaskId, ...]:
        needs = (TaskId("core", "build"),)
        task = Task("app", "test", "app", "t {tests}", depends_on=needs, shards=2)
        telling = Telling("here", Progress(), split(task, (("a",), ("b",))))
        return telling.new_report(task.id, Status.CANCELLED).depends_on

    assert asyncio.run(told()) == (TaskId("core", "build"),)
