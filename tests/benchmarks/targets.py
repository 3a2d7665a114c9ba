"""The targets of the first plan: 100 workers, 1,000 builds an hour, a queue below a second, a
dashboard below 100 ms.

    uv run python tests/benchmarks/targets.py [--seconds 60] [--builds-an-hour 3600] [--short]
        [--json FILE]

One real node in a process of its own, which hears of 99 workers that do not run; ten times a second
one of them tells something new. It is asked over the loopback. Builds are real, of five commands
each, and come at even distances, more than three times as many as the target asks for; then four at
a time, each after the one before. *Queue*: from the request to the first command that began.
*Dashboard*: a WebSocket with builds, queue, nodes and resources; from when a worker told something,
or who asked for the build had its first event, until it is there. All of them share the host's
cores.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import uvloop
from websockets.asyncio.client import connect

from buildnet.cli.client import Client
from buildnet.cli.credential import Credential
from testbed.api_node import asked_node
from testbed.building import many_commands
from testbed.crowd import Crowd
from testbed.figures import Figure, report

WORKERS = 100
QUEUE_MS, DASHBOARD_MS, BUILD_MS = 1000.0, 100.0, 3_600_000 / 1000
_COMMANDS, _AT_A_TIME, _WORKSPACES = 5, 4, 8
_NEWS_EVERY_S, _LOOK_EVERY_S = 0.1, 0.25
_PATIENCE_S = 10.0
_WRAPS_MS = 1_000_000
"""A worker's news say the time in milliseconds, as a number below this, as how many builds it
drives."""


def serve(home: Path) -> None:
    """Be the node: say the port, and live until standard input ends."""
    tools = os.environ["PATH"]
    os.environ["PATH"] = "/nonexistent"  # to ask every tool for its version takes seconds

    async def live() -> None:
        async with asked_node(home) as node:
            os.environ["PATH"] = tools
            gc.freeze()  # as the daemon does
            crowd = Crowd(node.service, WORKERS)
            node.service.mesh.view = crowd.view  # type: ignore[method-assign]
            node.service.mesh.records = crowd.records  # type: ignore[method-assign]
            print(json.dumps({"port": node.port}), flush=True)
            news = asyncio.create_task(_tell_news(crowd))
            await asyncio.to_thread(sys.stdin.read)
            news.cancel()

    uvloop.run(live())


async def _tell_news(crowd: Crowd) -> None:
    for number in count():
        crowd.tell(number, builds=WORKERS + int(time.time() * 1000) % _WRAPS_MS)
        await asyncio.sleep(_NEWS_EVERY_S)


@dataclass(slots=True)
class Dashboard:
    """What a page sees; times by the clock of this process."""

    news_ms: list[float] = field(default_factory=list)
    shown: dict[str, float] = field(default_factory=dict)
    """When each build came to be seen."""

    async def watch(self, port: int, is_open: threading.Event, enough: asyncio.Event) -> None:
        """Follow events until it is enough."""
        headers = {"authorization": "Bearer observer"}
        address = f"ws://127.0.0.1:{port}/ws"
        async with connect(address, additional_headers=headers, max_size=None) as socket:
            channels = ["builds", "queue", "nodes", "resources"]
            await socket.send(json.dumps({"type": "subscribe", "channels": channels}))
            await socket.recv()
            is_open.set()
            reading = asyncio.create_task(self._read(socket.recv))
            await enough.wait()
            reading.cancel()

    async def _read(self, receive: Callable[[], object]) -> None:
        while True:
            text = await receive()  # type: ignore[misc]
            now = time.time()
            for event in json.loads(text).get("events", ()):
                data = event["data"]
                if event["channel"] == "builds":
                    self.shown.setdefault(data["id"], now)
                elif event["channel"] == "nodes" and data.get("builds", 0) > WORKERS:  # no count
                    told_ms = data["builds"] - WORKERS
                    self.news_ms.append((int(now * 1000) - told_ms) % _WRAPS_MS)


@dataclass(slots=True)
class Builders:
    """Who asks for builds; times by the clock of this process."""

    port: int
    roots: list[Path]
    queue_ms: list[float] = field(default_factory=list)
    whole_ms: list[float] = field(default_factory=list)
    seen: dict[str, float] = field(default_factory=dict)
    """When who asked had the first event of each build."""

    def build(self, number: int, due: float) -> None:
        """Ask for a build that was ``due`` then, of what nobody has built yet."""
        root = self.roots[number % len(self.roots)]
        for package in range(_COMMANDS):
            (root / f"p{package}/in.txt").write_text(f"{number} {package} {due}\n")
        body = {"root": str(root), "environment": {"PATH": os.environ["PATH"]}}
        first_ms = None
        with Client(url=f"http://127.0.0.1:{self.port}", credential=Credential("owner")).stream(
            "/api/build", body
        ) as events:
            for event in events:
                now = time.time()
                if event["type"] == "build_started":
                    self.seen[event["build_id"]] = now
                elif event["type"] == "task_started" and first_ms is None:
                    first_ms = (now - due) * 1000
                elif event["type"] == "build_finished":
                    assert event["report"]["status"] == "succeeded", event
                    self.whole_ms.append((now - due) * 1000)
        assert first_ms is not None, "nothing ran"
        self.queue_ms.append(first_ms)

    def at_rate(self, each_s: float, seconds: float) -> None:
        """Ask at even distances."""
        with ThreadPoolExecutor(len(self.roots)) as threads:
            begin, asked = time.time(), []
            for number in range(max(2, int(seconds / each_s))):
                due = begin + number * each_s
                time.sleep(max(0.0, due - time.time()))
                asked.append(threads.submit(self.build, number, due))
            for each in asked:
                each.result()

    def as_many_as_can_be(self, seconds: float) -> float:
        """Return how many milliseconds a build takes of the node's time, several at once."""
        end = time.time() + seconds

        def go(lane: int) -> int:
            numbers = count(1_000_000 + lane, len(self.roots))
            built = 0
            while time.time() < end:
                self.build(next(numbers), time.time())
                built += 1
            return built

        begin = time.time()
        with ThreadPoolExecutor(_AT_A_TIME) as threads:
            built = sum(threads.map(go, range(_AT_A_TIME)))
        return (time.time() - begin) * 1000 / built


def _look(port: int, enough: threading.Event) -> list[float]:
    """Ask for the pool's view again and again; return how long each answer took in ms."""
    client = Client(url=f"http://127.0.0.1:{port}", credential=Credential("observer"))
    took = []
    while not enough.wait(_LOOK_EVERY_S):
        begin = time.perf_counter()
        client.get("/api/pool")
        took.append((time.perf_counter() - begin) * 1000)
    return took


async def measure(port: int, directory: Path, seconds: float, each_s: float) -> list[Figure]:
    """Return all figures."""
    roots = [
        many_commands(directory / f"w{number}", "", "cp in.txt out.txt", _COMMANDS)
        for number in range(_WORKSPACES)
    ]
    builders, dashboard = Builders(port, roots), Dashboard()
    is_open, over, enough = threading.Event(), asyncio.Event(), threading.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(dashboard.watch(port, is_open, over))
        await asyncio.to_thread(is_open.wait)
        looking = group.create_task(asyncio.to_thread(_look, port, enough))
        await asyncio.to_thread(builders.at_rate, each_s, seconds)
        enough.set()
        with suppress(TimeoutError):  # of the last one it may still be on its way
            async with asyncio.timeout(_PATIENCE_S):
                while not builders.seen.keys() <= dashboard.shown.keys():
                    await asyncio.sleep(_NEWS_EVERY_S)
        over.set()
    queue, whole = tuple(builders.queue_ms), tuple(builders.whole_ms)
    shown = tuple(
        max(0.0, (dashboard.shown[build] - seen) * 1000)
        for build, seen in builders.seen.items()
        if build in dashboard.shown
    )
    assert len(shown) == len(queue), "the dashboard missed builds"
    most = await asyncio.to_thread(builders.as_many_as_can_be, seconds / 3)
    rate = f"{3600 / each_s:,.0f} builds an hour"
    return [
        Figure(f"queue, at {rate}", queue, "ms", goal_p99=QUEUE_MS),
        Figure(f"  a whole build of {_COMMANDS} commands", whole, "ms"),
        Figure("dashboard: news of a worker", tuple(dashboard.news_ms), "ms", None, DASHBOARD_MS),
        Figure("dashboard: a build that begins", shown, "ms", None, DASHBOARD_MS),
        Figure("GET /api/pool meanwhile", tuple(looking.result()), "ms", None, DASHBOARD_MS),
        Figure(f"time for a build, {_AT_A_TIME} at once", (most,), "ms", BUILD_MS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--builds-an-hour", type=float, default=3600.0)
    parser.add_argument("--short", action="store_true", help="some seconds, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    seconds = 4.0 if arguments.short else arguments.seconds
    with tempfile.TemporaryDirectory(prefix="buildnet-targets-") as name:
        command = [sys.executable, __file__, "--serve", f"{name}/home"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as served:
            assert served.stdout is not None
            port = json.loads(served.stdout.readline())["port"]
            try:
                each_s = 3600 / arguments.builds_an_hour
                figures = asyncio.run(measure(port, Path(name), seconds, each_s))
            finally:
                assert served.stdin is not None
                served.stdin.close()
    report(f"A pool of {WORKERS} workers", figures, arguments.json)


if __name__ == "__main__":
    main()
