"""Who asks how long a build takes, and hangs up."""

from __future__ import annotations

import asyncio
import json
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from starlette.types import Message

from buildnet.cli.testing import write_files
from buildnet.node.api.estimate_routes import over
from buildnet.node.askers import Askers
from testbed.api_node import api_node
from testbed.waiting import until


class Looking:
    """A dry run that ends when it is told to."""

    def __init__(self) -> None:
        self.askers, self.over = Askers(), asyncio.Event()
        self.outcome: dict[str, Any] | None = None
        self.ended: list[Any] = []

    def cancel(self, how: Any) -> None:
        self.ended.append(how)


def test_a_dry_run_for_which_nobody_waits_any_more_is_ended() -> None:
    async def work() -> None:
        build: Any = Looking()
        gone = [asyncio.Event(), asyncio.Event()]

        def receive(number: int) -> Any:
            async def heard() -> Message:
                await gone[number].wait()
                return {"type": "http.disconnect"}

            return heard

        waiting = [asyncio.ensure_future(over(build, "ann", receive(each))) for each in (0, 1)]
        while len(build.askers) < 2:
            await asyncio.sleep(0)
        gone[0].set()
        await waiting[0]
        assert build.ended == []  # somebody else waits for the same
        gone[1].set()
        await waiting[1]
        assert [each.by for each in build.ended] == ["ann"]

    asyncio.run(work())


async def never() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_one_that_came_to_its_end_is_left_alone() -> None:
    async def work() -> None:
        build: Any = Looking()
        build.outcome = {"status": "succeeded"}
        build.over.set()
        await over(build, "ann", never)
        assert build.ended == []

    asyncio.run(work())


def test_who_hangs_up_on_a_real_node_ends_what_they_asked_for(tmp_path: Path) -> None:
    package = "workspace: w\npackages: [{name: p, path: p, build_cmd: 'true'}]\n"
    root = write_files(tmp_path / "w", {"buildnet.yaml": package, "p/in.txt": ""})
    with api_node(tmp_path / "home") as node:
        builder = node.service.builder

        def in_loop(work: Any) -> None:
            asyncio.run_coroutine_threadsafe(work, node.loop).result(30)

        async def release() -> None:
            builder._tidying.release()

        in_loop(builder._tidying.acquire())  # what it looks at is not ready
        connection = HTTPConnection("127.0.0.1", node.port, timeout=30)
        headers = {"authorization": "Bearer owner", "content-type": "application/json"}
        node.service.opened.opened(root)
        connection.request("POST", "/api/build/estimate", json.dumps({"root": str(root)}), headers)
        until(lambda: any(len(each.askers) for each in builder.running()), "it does not begin")
        (looking,) = builder.running()
        connection.close()
        until(looking.cancelled.is_set, "it goes on")
        in_loop(release())
        until(lambda: not builder.running(), "it does not end")
