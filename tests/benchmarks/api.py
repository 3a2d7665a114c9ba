"""The HTTP API under load: the pool's view at a hundred nodes, and one caller who asks too much.

    uv run python tests/benchmarks/api.py [--seconds 10] [--rate 1000] [--half-open 10000]
        [--short] [--json FILE]

One real node in a process of its own, which hears of 99 members that do not run; whoever asks comes
over the loopback. ``--rate``: how many ask for the pool's view in a second, at even distances. The
processor time is that of the node for one answer. What the node loaded is kept from the garbage
collector, as the daemon does. Then a key of 600 requests a minute asks 10,000
times a minute, and so many connections are opened that send half a request; somebody else goes on
to ask all the while.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import uvloop

from buildnet.mesh.members.member_list import Rights
from buildnet.node.auth.claims import DEFAULT_RATE, MAX_RATE
from testbed.api_keys import key_of
from testbed.api_node import asked_node
from testbed.crowd import Crowd
from testbed.figures import Figure, report

_MEMBERS = 100
_CONNECTIONS = 16
_OTHERS_RATE = 50.0
_GREEDY_A_MINUTE = 10_000
_HEAD = "GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n{more}\r\n"


def serve(home: Path) -> None:
    """Be the node: say the port, and live until standard input ends."""
    os.environ["PATH"] = "/nonexistent"  # to ask every tool for its version takes seconds

    async def live() -> None:
        async with asked_node(home) as node:
            gc.freeze()
            crowd = Crowd(node.service, _MEMBERS)
            node.service.mesh.view = crowd.view  # type: ignore[method-assign]
            node.service.mesh.records = crowd.records  # type: ignore[method-assign]
            keys = {
                name: key_of(node, name, Rights.OBSERVER, rate=rate)
                for name, rate in (("greedy", DEFAULT_RATE), ("other", MAX_RATE))
            }
            own = urlsplit(node.service.address).port
            print(json.dumps({"port": node.port, "own": own, **keys}), flush=True)
            await asyncio.to_thread(sys.stdin.read)

    uvloop.run(live())


class Asker:
    """One connection; asks again and again for one path."""

    def __init__(self, port: int, path: str, key: str = "observer", more: str = "") -> None:
        self._port = port
        self._request = _HEAD.format(path=path, key=key, more=more).encode()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[int, str, int]:
        """Return status, entity tag and length of the answer."""
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 22)
        reader, writer = self._streams
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii")
        status, length, tag = int(head[9:12]), 0, ""
        for line in head.lower().splitlines():
            if line.startswith("content-length: "):
                length = int(line[16:])
            if line.startswith("etag: "):
                tag = line[6:]
        await reader.readexactly(length)
        return status, tag, length

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].close()


async def at_rate(askers: Sequence[Asker], rate: float, seconds: float) -> list[float]:
    """Ask ``rate`` times a second, whoever is free; return how long each took in milliseconds,
    counted from when it was due: who had to wait for an earlier one waited, too."""
    free: asyncio.Queue[Asker] = asyncio.Queue()
    for asker in askers:
        free.put_nowait(asker)
    took: list[float] = []

    async def one(due: float) -> None:
        asker = await free.get()
        status, _, _ = await asker.ask()
        if status not in (200, 304):
            raise RuntimeError(f"the answer was {status}")
        took.append((time.perf_counter() - due) * 1000)
        free.put_nowait(asker)

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(int(rate * seconds)):
            due = begin + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(one(due))
    return took


async def as_fast_as_can_be(askers: Sequence[Asker], seconds: float) -> float:
    """Return how many answers there are in a second."""
    end, count = time.perf_counter() + seconds, 0

    async def go(asker: Asker) -> None:
        nonlocal count
        while time.perf_counter() < end:
            await asker.ask()
            count += 1

    begin = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for asker in askers:
            group.create_task(go(asker))
    return count / (time.perf_counter() - begin)


async def greedy(told: dict[str, Any], seconds: float) -> list[Figure]:
    """Return what one key that asks too much gets, and what another one feels of it."""
    other = [Asker(told["own"], "/api/node", told["other"]) for _ in range(2)]
    alone = await at_rate(other, _OTHERS_RATE, seconds)
    refused = count = 0

    async def ask_too_much() -> None:
        nonlocal refused, count
        asker = Asker(told["own"], "/api/node", told["greedy"])
        while True:
            status, _, _ = await asker.ask()
            count += 1
            refused += status == 429
            await asyncio.sleep(60 / _GREEDY_A_MINUTE)

    asking = asyncio.create_task(ask_too_much())
    beside = await at_rate(other, _OTHERS_RATE, seconds)
    asking.cancel()
    for asker in other:
        asker.close()
    share = 100 * refused / count
    return [
        Figure("GET /api/node of another key, alone", tuple(alone), "ms"),
        Figure("  beside one that asks 10,000 times a minute", tuple(beside), "ms"),
        Figure("  of that one's requests are refused (429)", (share,), "%"),
    ]


async def half_open(told: dict[str, Any], process: psutil.Process, count: int) -> list[Figure]:
    """Return what somebody with a key feels of connections that send half a request."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(count + 1000, most), most))
    asker = Asker(told["own"], "/api/node", told["other"])
    await asker.ask()
    before, halves, took = process.memory_info().rss, [], []
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", told["own"])
        writer.write(b"GET /api/node HTTP/1.1\r\nhost:")
        halves.append(writer)
        if number % 50 == 0:
            begin = time.perf_counter()
            await asker.ask()
            took.append((time.perf_counter() - begin) * 1000)
    grown = (process.memory_info().rss - before) / 2**20
    for writer in halves:
        writer.close()
    asker.close()
    title = f"GET /api/node while {count} half-open connections come"
    return [Figure(title, tuple(took), "ms"), Figure("  memory more", (grown,), "MiB")]


async def measure(
    port: int, process: psutil.Process, most_rate: float, seconds: float
) -> list[Figure]:
    """Return the figures of the pool's view; the goal is for a whole run of 1,000 a second."""
    found = []
    for name, more, rate in (
        ("compressed", "accept-encoding: gzip\r\n", most_rate),
        ("known already (If-None-Match: *)", "if-none-match: *\r\n", most_rate),
        ("whole", "", most_rate / 10),  # more than a network carries
    ):
        askers = [Asker(port, "/api/pool", more=more) for _ in range(_CONNECTIONS)]
        _, _, length = await askers[0].ask()
        goal = 20.0 if rate >= 1000 else None
        before = sum(process.cpu_times()[:2])
        took = await at_rate(askers, rate, seconds)
        each_ms = (sum(process.cpu_times()[:2]) - before) * 1000 / len(took)
        title = f"GET /api/pool of {_MEMBERS} nodes, {rate:.0f}/s, {name}, {length} bytes"
        found.append(Figure(title, tuple(took), "ms", goal_p99=goal, processor_ms=each_ms))
        most = await as_fast_as_can_be(askers, seconds / 2)
        found.append(Figure(f"  as fast as can be, {name}", (most,), "1/s"))
        for asker in askers:
            asker.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, default=1000.0)
    parser.add_argument("--half-open", type=int, default=10_000)
    parser.add_argument("--short", action="store_true", help="a second each, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve(arguments.serve)
        return
    seconds, rate, half = arguments.seconds, arguments.rate, arguments.half_open
    if arguments.short:
        seconds, rate, half = 1.0, 100.0, 300
    with tempfile.TemporaryDirectory(prefix="buildnet-api-") as name:
        command = [sys.executable, __file__, "--serve", f"{name}/home"]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as served:
            assert served.stdout is not None
            told, process = json.loads(served.stdout.readline()), psutil.Process(served.pid)
            try:
                figures = asyncio.run(measure(told["port"], process, rate, seconds))
                figures += asyncio.run(greedy(told, seconds))
                figures += asyncio.run(half_open(told, process, half))
            finally:
                assert served.stdin is not None
                served.stdin.close()
    report("The HTTP API under load", figures, arguments.json)


if __name__ == "__main__":
    main()
