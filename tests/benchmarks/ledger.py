"""How fast entries are recorded and sealed by three nodes, and how fast a new one catches up.

    uv run python tests/benchmarks/ledger.py [--runs 20] [--writers 128] [--seconds 3]
        [--backlog 20000] [--short] [--json FILE]

Three real processes on this machine, joined over the loopback address, each with its own disk. What
is appended goes through the in-process port (``ClusterLedger``), as the node's own entries do: some
400 bytes each. ``sealed`` is from the call to the moment when the writing node knows that a
majority of the voters has it on disk; ``local`` to its own fsync. In the end a fourth node with an
empty disk joins and catches up. Processor time is of a node's whole process, divided by all entries
that were recorded meanwhile: it tells more than the rates where something else runs, too.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import multiprocessing
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.entry import Entry
from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.mesh.identity import load_or_create
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.testing import listening_node
from testbed.figures import Figure, report

PATIENCE_S = 120.0


class _Node:
    """What runs in one process."""

    def __init__(self, directory: Path, name: str) -> None:
        self.directory = directory
        self.name = name
        self.ledger: ClusterLedger | None = None
        self._actor = node_actor(directory.name.encode().ljust(32, b"\0"))

    @asynccontextmanager
    async def guest(self, cluster: Cluster) -> AsyncIterator[ClusterLedger]:
        path = self.directory / f"ledger-{cluster.local.members.cluster_id.hex()[:16]}.db"
        async with ClusterLedger.taking_part(cluster, path) as ledger:
            self.ledger = ledger
            yield ledger

    async def serve(self, pipe: Connection) -> None:
        key = load_or_create(self.directory / "node.key")
        loop = asyncio.get_running_loop()
        async with listening_node(self.directory, self.name, key=key, guest_of=self.guest) as node:
            pipe.send(node.address)
            while True:
                command, *arguments = await loop.run_in_executor(None, pipe.recv)
                match command:
                    case "invite":
                        pipe.send((await node.service.invite(uses=9)).token)
                    case "join":
                        await node.service.join(arguments[0], token=arguments[1])
                        pipe.send(None)
                    case "state":
                        pipe.send(self.state(node.service.view()))
                    case "write":
                        pipe.send(await self.write(*arguments))
                    case "fill":
                        pipe.send(await self.fill(*arguments))
                    case _:
                        return

    def state(self, view: Any) -> dict[str, Any]:
        assert self.ledger is not None
        core = self.ledger.core
        return {
            "alive": sum(member.status.name == "ALIVE" for member in view.members),
            "voters": view.voters,
            "coordinates": view.office is not None and view.office.coordinator == view.me,
            "quorum": view.office is not None and view.office.quorum,
            "entries": sum(head.sequence for head in core.heads.values()),
            "height": 0 if core.last is None else core.last.height,
            "unsealed": not core.holding.is_sealed,
            "processor_s": time.process_time(),
        }

    def draft(self, number: int) -> EntryDraft:
        return EntryDraft(
            "system.note",
            self._actor,
            data={"number": number, "text": "x" * 140},
        )

    async def write(self, writers: int, seconds: float) -> dict[str, Any]:
        """Append one after the other in each of ``writers``; the first tenth does not count."""
        local: list[float] = []
        sealed: list[float] = []
        count = 0
        processor_s, began = time.process_time(), time.perf_counter()
        counts_from, until = began + seconds / 10, began + seconds

        async def one() -> None:
            nonlocal count
            assert self.ledger is not None
            while (start := time.perf_counter()) < until:
                count += 1
                entry = await self.ledger.append_one(self.draft(count))
                on_disk = time.perf_counter()
                await self.ledger.sealed(entry)
                if start >= counts_from:
                    local.append(on_disk - start)
                    sealed.append(time.perf_counter() - start)

        await asyncio.gather(*(one() for _ in range(writers)))
        return {
            "local": local,
            "sealed": sealed,
            "seconds": time.perf_counter() - counts_from,
            "count": count,
            "processor_s": time.process_time() - processor_s,
        }

    async def fill(self, count: int) -> int:
        """Append ``count`` entries in batches; return the bytes of one."""
        assert self.ledger is not None
        entries: tuple[Entry, ...] = ()
        for start in range(0, count, 200):
            entries = await self.ledger.append([self.draft(start + one) for one in range(200)])
        return len(entries[-1].signed)


def _serve(directory: Path, name: str, pipe: Connection) -> None:
    import uvloop

    gc.freeze()  # as the daemon does
    uvloop.run(_Node(directory, name).serve(pipe))


class Process:
    """One node in a process of its own."""

    def __init__(self, directory: Path, name: str) -> None:
        context = multiprocessing.get_context("spawn")
        (directory / name).mkdir()
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(directory / name, name, theirs), daemon=True
        )
        self._process.start()
        self.address: str = self._answer()

    def __call__(self, *command: Any) -> Any:
        self.send(*command)
        return self._answer()

    def send(self, *command: Any) -> None:
        """Ask without waiting."""
        self._pipe.send(command)

    def _answer(self) -> Any:
        if not self._pipe.poll(PATIENCE_S):
            raise TimeoutError("a node does not answer")
        return self._pipe.recv()

    answer = _answer

    def end(self) -> None:
        """Stop it."""
        self._pipe.send(("end",))
        self._process.join(10)
        self._process.kill()


def settled(nodes: Sequence[Process], voters: int) -> list[dict[str, Any]]:
    """Wait until all see all, vote and hold the same."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        states = [node("state") for node in nodes]
        same = len({(state["entries"], state["height"]) for state in states}) == 1
        calm = all(
            state["alive"] == len(nodes)
            and state["voters"] == voters
            and state["quorum"]
            and not state["unsealed"]
            for state in states
        )
        if same and calm:
            return states
        if time.monotonic() > deadline:
            raise TimeoutError(f"the nodes do not agree: {states}")
        time.sleep(0.02)


def measure(arguments: argparse.Namespace) -> list[Figure]:
    """Run everything."""
    with tempfile.TemporaryDirectory(prefix="buildnet-ledger-") as place:
        directory = Path(place)
        nodes = [Process(directory, name) for name in "abc"]
        try:
            token = nodes[0]("invite")
            for node in nodes[1:]:
                node("join", nodes[0].address, token)
            states = settled(nodes, 3)
            coordinator = next(
                node for node, state in zip(nodes, states, strict=True) if state["coordinates"]
            )
            follower = next(node for node in nodes if node is not coordinator)
            figures = []
            for name, node in (("coordinator", coordinator), ("follower", follower)):
                found = node("write", 1, arguments.seconds)
                figures += [
                    Figure(f"one writer on the {name}, local", _ms(found["local"]), "ms", 5.0),
                    Figure(f"one writer on the {name}, sealed", _ms(found["sealed"]), "ms", 40.0),
                ]
            rates: list[float] = []
            waits: list[float] = []
            processor: dict[str, list[float]] = {"the coordinator": [], "a follower": []}
            share = arguments.writers // 3
            for _ in range(arguments.runs):
                settled(nodes, 3)
                for node in nodes:
                    node.send(
                        "write",
                        share + (node is nodes[0]) * (arguments.writers % 3),
                        arguments.seconds,
                    )
                told = [node.answer() for node in nodes]
                rates.append(sum(len(one["sealed"]) / one["seconds"] for one in told))
                waits += [wait for one in told for wait in one["sealed"]]
                count = sum(one["count"] for one in told)
                for node, one in zip(nodes, told, strict=True):
                    who = "the coordinator" if node is coordinator else "a follower"
                    processor[who].append(one["processor_s"] / count)
            figures += [
                Figure(f"{arguments.writers} writers on three nodes, sealed", tuple(rates), "1/s"),
                Figure(f"{arguments.writers} writers, each", _ms(waits), "ms", None, 60.0),
            ]
            figures += [
                Figure(f"processor time an entry, {who}", _us(found), "us")
                for who, found in processor.items()
            ]
            size = coordinator("fill", arguments.backlog)
            settled(nodes, 3)
            began = time.perf_counter()
            nodes.append(Process(directory, "d"))
            nodes[3]("join", nodes[0].address, token)
            joined = time.perf_counter()
            [state, *_, newest] = settled(nodes, 3)
            took, entries = time.perf_counter() - joined, state["entries"]
            print(f"entries of {size} bytes; joined in {joined - began:.2f} s")
            figures += [
                Figure("catching up with an empty disk", (entries / took,), "1/s"),
                Figure(
                    "processor time an entry, the new node, start and all",
                    _us([newest["processor_s"] / entries]),
                    "us",
                ),
            ]
            return figures
        finally:
            for node in nodes:
                node.end()


def _ms(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(one * 1000 for one in seconds)


def _us(seconds: Sequence[float]) -> tuple[float, ...]:
    return tuple(one * 1_000_000 for one in seconds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--writers", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--backlog", type=int, default=20_000)
    parser.add_argument("--short", action="store_true", help="one run, few entries, for CI")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.runs, arguments.seconds, arguments.backlog = 1, 1.0, 2000
    report("Ledger", measure(arguments), arguments.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
