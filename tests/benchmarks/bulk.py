"""How fast a blob comes from a peer: ``uv run python tests/benchmarks/bulk.py [--json FILE]``.

Two processes on this machine, each with a mesh of its own: one founds a cluster and holds a blob of
1 GiB, the other joins and fetches it into a file, sealed on the way and verified. Meanwhile control
messages of 200 bytes go back and forth on a connection of their own, also sealed, served by the
same event loops.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import uvicorn
import uvloop
from blake3 import blake3
from fastapi import FastAPI, WebSocket
from rich.console import Console
from rich.table import Table

from buildnet.mesh.bulk.allocator import keep_large_buffers
from buildnet.mesh.bulk.fetch import BulkFetcher
from buildnet.mesh.bulk.files import FileReader, FileSink
from buildnet.mesh.bulk.protocol import BlobReader
from buildnet.mesh.bulk.serving import serve
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.dialing import dial
from buildnet.mesh.link.frames import FrameCipher
from buildnet.mesh.service.service import MeshService, MeshSettings
from buildnet.node.api.peer_routes import BULK_MAX_BYTES, MESH_MAX_BYTES, WebSocketConnection

MIB = 1 << 20
BLOB_BYTES = 1 << 30
PING_KEY = b"p" * 32
PING_EVERY_S = 0.01
HOLD, REQUEST = "--hold", "--request"  # what the two processes are started with
Run = dict[str, float]


@dataclass(frozen=True, slots=True)
class Figure:
    """One measurement and the goal for it."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    more_is_better: bool = False
    runs: tuple[float, ...] = ()

    @property
    def reached(self) -> bool | None:
        if self.goal is None:
            return None
        return self.value >= self.goal if self.more_is_better else self.value <= self.goal


# --- the holder's process ----------------------------------------------------------------------


class _Directory:
    """Blobs in one directory, named by their hash."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def open(self, digest: Digest, offset: int) -> BlobReader | None:
        try:
            descriptor = os.open(self._directory / digest.hash, os.O_RDONLY)
        except FileNotFoundError:
            return None
        return FileReader(descriptor, offset)


async def hold(directory: Path) -> None:
    """Found a cluster and serve the blobs in ``directory``; print how to join."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    service = await _mesh(directory / "holder", addresses=(address,))
    source, workers = _Directory(directory), ThreadPoolExecutor(4)

    async def serve_blobs(connection: Connection, cipher: FrameCipher, _: bytes) -> None:
        await serve(connection, cipher, source, workers)

    service.serve_bulk(serve_blobs)
    server = uvicorn.Server(
        uvicorn.Config(  # as node/server.py has it
            _routes(service),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="websockets-sansio",
            ws_max_size=BULK_MAX_BYTES,
            ws_per_message_deflate=False,
            ws_ping_interval=None,
            timeout_graceful_shutdown=1,
        )
    )
    async with service.running(), asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listener]))
        print(address, await _token(service), service.key.hex(), flush=True)


def _routes(service: MeshService) -> FastAPI:
    app = FastAPI()

    @app.websocket("/mesh")
    async def mesh(socket: WebSocket) -> None:
        await socket.accept()
        await service.accept(WebSocketConnection(socket, MESH_MAX_BYTES))

    @app.websocket("/bulk")
    async def bulk(socket: WebSocket) -> None:
        await socket.accept()
        await service.accept_bulk(WebSocketConnection(socket, BULK_MAX_BYTES))

    @app.websocket("/ping")
    async def ping(socket: WebSocket) -> None:
        await socket.accept()
        connection = WebSocketConnection(socket, MESH_MAX_BYTES)
        cipher = FrameCipher(PING_KEY, PING_KEY)
        with suppress(ConnectionClosed):
            while True:
                await connection.send(cipher.seal(cipher.open(await connection.receive())))

    return app


async def _mesh(directory: Path, addresses: tuple[str, ...] = ()) -> MeshService:
    directory.mkdir()
    settings = MeshSettings(directory=directory, name=directory.name, addresses=addresses)
    return await MeshService.open(NodeKey.generate(), settings)


async def _token(service: MeshService) -> str:
    while True:  # until the founder has elected itself
        try:
            return (await service.invite()).token
        except BuildNetError:
            await service.changed(service.version)


# --- the requester's process -------------------------------------------------------------------


async def request(directory: Path, joining: list[str], digest: Digest, runs: int) -> list[Run]:
    """Join the holder's cluster and fetch the blob ``runs`` times."""
    address, token, holder = joining
    service = await _mesh(directory / "requester")
    async with service.running():
        await service.join(address, token=token)
        pings = _Pings(await dial(address, route="ping"))
        quiet_s = await pings.during(asyncio.sleep(1.0))
        workers = ThreadPoolExecutor(4)
        fetcher = BulkFetcher(service.bulk, workers, note=lambda note: None)
        taken: list[Run] = []
        for _ in range(runs):
            path = directory / "fetched"
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            try:
                began, cpu = time.perf_counter(), time.process_time()
                sink = FileSink(descriptor, digest)
                busy_s = await pings.during(fetcher.fetch(sink, [bytes.fromhex(holder)]))
                seconds = time.perf_counter() - began
                cpu_s = time.process_time() - cpu
            finally:
                os.close(descriptor)
                path.unlink()
            taken.append(
                {
                    "mib_per_s": digest.size_bytes / MIB / seconds,
                    "cpu_s": cpu_s,
                    "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
                    "quiet_p99_ms": _percentile(quiet_s, 99) * 1e3,
                    "busy_p50_ms": _percentile(busy_s, 50) * 1e3,
                    "busy_p99_ms": _percentile(busy_s, 99) * 1e3,
                    "busy_max_ms": max(busy_s) * 1e3,
                }
            )
    return taken


class _Pings:
    """Control messages back and forth, one every :data:`PING_EVERY_S`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._cipher = FrameCipher(PING_KEY, PING_KEY)

    async def during(self, work: Coroutine[object, object, object]) -> list[float]:
        """Return the round trips (seconds) that were made while ``work`` went on."""
        trips: list[float] = []
        async with asyncio.TaskGroup() as tasks:
            working = tasks.create_task(work)
            while not working.done():
                began = time.perf_counter()
                await self._connection.send(self._cipher.seal(bytes(200)))
                self._cipher.open(await self._connection.receive())
                trips.append(time.perf_counter() - began)
                await asyncio.sleep(PING_EVERY_S)
        return trips


def _percentile(values: list[float], percent: int) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


# --- the benchmark -----------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure the bulk channel.")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--directory", type=Path, default=None, help="where to work (2 GiB)")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--short", action="store_true", help="3 runs of 128 MiB, for CI")
    arguments = parser.parse_args()
    blob_bytes, runs = (BLOB_BYTES // 8, 3) if arguments.short else (BLOB_BYTES, arguments.runs)
    with tempfile.TemporaryDirectory(prefix="buildnet-bulk-", dir=arguments.directory) as name:
        report(measure(Path(name), blob_bytes, runs), runs, arguments.json)
    return 0


def measure(directory: Path, blob_bytes: int, runs: int) -> list[Figure]:
    """Run the holder, and the requester ``runs`` times."""
    digest = _make_blob(directory, blob_bytes)
    command = [sys.executable, __file__, HOLD, str(directory)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        joining = holder.stdout.readline().split() if holder.stdout else []
        command = [sys.executable, __file__, REQUEST, str(directory), str(digest), str(runs)]
        done = subprocess.run([*command, *joining], check=True, stdout=subprocess.PIPE, text=True)
    finally:
        holder.terminate()
        holder.wait()
    return _figures(json.loads(done.stdout), blob_bytes)


def _make_blob(directory: Path, blob_bytes: int) -> Digest:
    hasher = blake3()
    with (directory / "blob").open("wb") as file:
        for _ in range(blob_bytes // MIB):
            data = os.urandom(MIB)
            hasher.update(data)
            file.write(data)
    digest = Digest(hasher.hexdigest(), blob_bytes)
    (directory / "blob").rename(directory / digest.hash)
    return digest


def _figures(taken: list[Run], blob_bytes: int) -> list[Figure]:
    def runs(name: str) -> tuple[float, ...]:
        return tuple(round(each[name], 2) for each in taken)

    def figure(name: str, key: str, unit: str, goal: float | None = None, **more: bool) -> Figure:
        return Figure(name, median(runs(key)), unit, goal, runs=runs(key), **more)

    return [
        figure(
            f"blob of {blob_bytes // MIB:,} MiB, sealed and verified",
            "mib_per_s",
            "MiB/s",
            300,
            more_is_better=True,
        ),
        figure("  CPU of the requester", "cpu_s", "s"),
        figure("  most memory of the requester", "rss_mib", "MiB"),
        figure("control round trip alone, p99", "quiet_p99_ms", "ms"),
        figure("control round trip meanwhile, p50", "busy_p50_ms", "ms"),
        figure("control round trip meanwhile, p99", "busy_p99_ms", "ms", 50),
        figure("control round trip meanwhile, longest", "busy_max_ms", "ms"),
    ]


def report(figures: list[Figure], runs: int, path: Path | None) -> None:
    table = Table(title=f"Bulk channel, medians of {runs} runs")
    for heading in ("", "median", "lowest", "highest", "unit", "goal", ""):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for figure in figures:
        table.add_row(
            figure.name,
            f"{figure.value:,.1f}",
            f"{min(figure.runs):,.1f}",
            f"{max(figure.runs):,.1f}",
            figure.unit,
            "" if figure.goal is None else f"{figure.goal:g}",
            {None: "", True: "reached", False: "MISSED"}[figure.reached],
        )
    Console().print(table)
    if path is not None:
        path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2))


if __name__ == "__main__":
    keep_large_buffers()  # as the daemon does
    if sys.argv[1:2] == [HOLD]:
        uvloop.run(hold(Path(sys.argv[2])))
    elif sys.argv[1:2] == [REQUEST]:
        hash, _, size = sys.argv[3].partition("/")
        wanted = Digest(hash, int(size))
        fetching = request(Path(sys.argv[2]), sys.argv[5:], wanted, int(sys.argv[4]))
        print(json.dumps(uvloop.run(fetching)))
    else:
        sys.exit(main())
