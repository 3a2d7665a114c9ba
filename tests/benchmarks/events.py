"""How soon what happens reaches many clients, and what idle clients cost.

    uv run python tests/benchmarks/events.py [--clients 200] [--idle 2000] [--short] [--json FILE]

One real node, asked over its socket; clients are WebSockets of one other process, which read as
little of a message as they can. *Output*: a command prints the time, 20 times a second; from then
until a client has the line: through the pipe of the sandbox, the build and the node. *Note*: from
the request that puts a note into the ledger, its fsync included. *Memory*: resident memory of the
node before and after so many clients subscribed to builds, nodes and queue. The clients share the
host's cores with the node, so the time of the last client is also theirs.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event as Flag
from pathlib import Path

import uvloop

from buildnet.cli.testing import write_files
from testbed.figures import Figure, report
from testbed.nodes import Cluster, Node

P99_MS, IDLE_MB = 100.0, 200.0
_TOLD = re.compile(rb'"at":(\d+\.\d+)')
_PRINTED = re.compile(rb"at (\d+\.\d+)")
_HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
)


@dataclass(slots=True)
class Client:
    """A WebSocket that notes when what was printed or written came."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    delays_ms: list[float] = field(default_factory=list)
    sending_ms: list[float] = field(default_factory=list)

    @classmethod
    async def open(cls, path: str, channels: list[str]) -> Client:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
        writer.write(_HANDSHAKE)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101"), head
        said = json.dumps({"type": "subscribe", "channels": channels}).encode()
        assert len(said) < 126
        writer.write(bytes([0x81, 0x80 | len(said), 0, 0, 0, 0]) + said)  # the mask is zero
        client = cls(reader, writer)
        opening = await client.message()
        assert b'"snapshot"' in opening, opening
        return client

    async def message(self) -> bytes:
        """Return the next message; a node sends each as one frame that is not masked."""
        size = (await self.reader.readexactly(2))[1]
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        elif size == 127:
            size = int.from_bytes(await self.reader.readexactly(8), "big")
        return await self.reader.readexactly(size)

    async def listen(self) -> None:
        """Note how long each printed time took to come."""
        while True:
            message = await self.message()
            now = time.time()
            self.delays_ms += [(now - float(at)) * 1000 for at in _PRINTED.findall(message)]
            self.sending_ms += [(now - float(at)) * 1000 for at in _TOLD.findall(message)]


@dataclass(frozen=True, slots=True)
class Delays:
    """Of all events at all clients; ``sending_ms``: the part from when the node had encoded them;
    ``node_cpu_ms``: what the node used for one event."""

    delays_ms: tuple[float, ...]
    sending_ms: tuple[float, ...]
    node_cpu_ms: float


def listened(path: str, clients: int, channel: str, ready: Flag, enough: Flag) -> list[Client]:
    """Listen until it is enough; in a process of its own."""

    async def listen() -> list[Client]:
        opened = [await Client.open(path, [channel]) for _ in range(clients)]
        ready.set()
        async with asyncio.TaskGroup() as group:
            listening = [group.create_task(client.listen()) for client in opened]
            await asyncio.to_thread(enough.wait)
            for task in listening:
                task.cancel()
        return opened

    return uvloop.run(listen())


def listening(
    path: str, clients: int, channel: str, ready: Flag, enough: Flag, told: Connection
) -> None:
    """The same, as what a process does."""
    found = listened(path, clients, channel, ready, enough)
    told.send([(client.delays_ms, client.sending_ms) for client in found])


def delays(node: Node, clients: int, channel: str, cause: Callable[[], None]) -> Delays:
    """Have ``cause`` run while so many clients listen."""
    path = str(node.home.socket_path())
    processes = multiprocessing.get_context("spawn")
    ready, enough = processes.Event(), processes.Event()
    told, tells = processes.Pipe(duplex=False)
    process = processes.Process(
        target=listening, args=(path, clients, channel, ready, enough, tells)
    )
    process.start()
    ready.wait()
    before = _cpu_s(node)
    cause()
    time.sleep(1.0)
    used_s = _cpu_s(node) - before
    enough.set()
    found: list[tuple[list[float], list[float]]] = told.recv()
    process.join()
    events = min(len(each) for each, _ in found)
    assert sum(len(each) for each, _ in found) == clients * events > 0, "some clients missed events"
    return Delays(
        tuple(delay for each, _ in found for delay in each),
        tuple(delay for _, each in found for delay in each),
        used_s * 1000 / events,
    )


def printing(node: Node, root: Path, lines: int) -> Callable[[], None]:
    """Return what builds a package that prints the time so often."""
    loop = f"for i in $(seq {lines}); do echo at $EPOCHREALTIME; sleep 0.05; done; touch out"
    package = f"{{name: p, path: p, build_cmd: \"bash -c '{loop}'\", outputs: [p/out]}}"
    write_files(root, {"buildnet.yaml": f"workspace: w\npackages: [{package}]\n", "p/in": ""})

    def build() -> None:
        environment = {"PATH": os.environ["PATH"]}
        body = {"root": str(root), "environment": environment, "force": True}
        build_id = node.post("/api/build", body)["build_id"]
        while node.get(f"/api/build/{build_id}")["status"] == "running":
            time.sleep(0.2)

    return build


def noting(node: Node, notes: int) -> Callable[[], None]:
    """Return what puts notes into the ledger."""

    def note() -> None:
        for _ in range(notes):
            node.post("/api/ledger/entries", {"text": f"at {time.time():.6f}"})
            time.sleep(0.1)

    return note


async def idle(node: Node, clients: int) -> tuple[float, float]:
    """Return the megabytes that so many clients cost the node, and its CPU percent meanwhile."""
    path = str(node.home.socket_path())
    channels = ["builds", "nodes", "queue"]
    async with AsyncExitStack() as stack:
        first = await Client.open(path, channels)  # what the first one starts is no client's
        stack.callback(first.writer.close)
        await asyncio.sleep(2.0)
        before = node.process.memory_info().rss
        for _ in range(clients):
            client = await Client.open(path, channels)
            stack.callback(client.writer.close)
        after = node.process.memory_info().rss
        cpu_s, began = _cpu_s(node), time.monotonic()
        await asyncio.sleep(5.0)
        cpu = 100 * (_cpu_s(node) - cpu_s) / (time.monotonic() - began)
    return (after - before) / 1e6, cpu


def _cpu_s(node: Node) -> float:
    times = node.process.cpu_times()
    return times.user + times.system


def measure(
    node: Node, directory: Path, clients: int, idle_clients: int, events: int
) -> list[Figure]:
    """Return all figures."""
    output = delays(node, clients, "logs", printing(node, directory / "w", events))
    note = delays(node, clients, "ledger", noting(node, events // 2))
    megabytes, cpu = asyncio.run(idle(node, idle_clients))
    return [
        Figure("output", output.delays_ms, "ms", None, P99_MS, output.node_cpu_ms),
        Figure("of that, sending it", output.sending_ms, "ms"),
        Figure("note", note.delays_ms, "ms", None, P99_MS, note.node_cpu_ms),
        Figure(f"{idle_clients} idle clients", (megabytes,), "MB", None, IDLE_MB),
        Figure("node's CPU with them", (cpu,), "%"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--idle", type=int, default=2000)
    parser.add_argument("--events", type=int, default=200, help="lines that are printed")
    parser.add_argument("--short", action="store_true", help="20 clients, 40 lines, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.clients, arguments.idle, arguments.events = 20, 100, 40
    with tempfile.TemporaryDirectory(prefix="buildnet-events-") as found:
        directory = Path(found)
        with Cluster(directory / "nodes", 1) as cluster:
            (node,) = cluster.members
            figures = measure(node, directory, arguments.clients, arguments.idle, arguments.events)
    title = f"{arguments.clients} WebSocket clients of one node"
    report(title, figures, arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
