"""A TCP proxy that does to connections what bad networks, and bad people, do to them.

``tc netem`` is not to be had everywhere. Delay, jitter, loss and bandwidth are those of one
direction and may be changed while bytes flow. A stream stays a stream: bytes arrive once and in
order, so loss shows as TCP shows it to a program, as a delay until the segment was sent again, and
a black hole as silence that ends when the network heals.

    async with FaultProxy("127.0.0.1", port) as proxy:
        proxy.set(Faults(delay_s=0.025, loss=0.05))
        ... connect to proxy.host, proxy.port ...
        proxy.set(Faults(black_hole=True), Direction.TO_CLIENT)  # a one-way partition
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import TracebackType
from typing import Self

SEGMENT_BYTES = 1448
_READ_BYTES = 65536
_HELD_BYTES = 1 << 20  # read and not yet passed on, of one direction; then nothing more is read
_CONNECT_TIMEOUT_S = 10.0
_CLOSE_TIMEOUT_S = 1.0


class Direction(StrEnum):
    """Which way bytes flow: to whom the proxy connects, or back to who connected to it."""

    TO_TARGET = "to target"
    TO_CLIENT = "to client"


BOTH = (Direction.TO_TARGET, Direction.TO_CLIENT)


@dataclass(frozen=True, slots=True)
class Faults:
    """What one direction suffers.

    ``delay_s`` one way, plus up to ``jitter_s``. ``loss``: probability that a segment is lost; it
    is sent again after ``retransmission_s``, twice that if it is lost again, and so on, and what
    follows waits for it. ``flips_per_mib``: bits turned over in a MiB, on average. ``black_hole``:
    nothing gets through, and nobody is told.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    loss: float = 0.0
    retransmission_s: float = 0.2
    bytes_per_s: float | None = None
    flips_per_mib: float = 0.0
    black_hole: bool = False


Tamper = Callable[[Direction, int, bytes], bytes]
"""Given direction, position of the first byte in the connection's stream and bytes: what to pass
on instead."""


def flip_bit(direction: Direction, position: int, bit: int = 0) -> Tamper:
    """Return what turns over one bit of the byte at ``position`` of each connection's stream."""

    def tamper(flows: Direction, start: int, data: bytes) -> bytes:
        index = position - start
        if flows is not direction or not 0 <= index < len(data):
            return data
        return data[:index] + bytes([data[index] ^ (1 << bit)]) + data[index + 1 :]

    return tamper


class FaultProxy:
    """Listens on a port of its own while the context is open, and connects to the target for each
    connection. ``passed`` counts the bytes of each direction, ``connections`` those accepted.

    All methods belong to the loop it was opened on.
    """

    def __init__(
        self, target_host: str, target_port: int, *, host: str = "127.0.0.1", seed: int = 0
    ) -> None:
        self.host = host
        self.port = 0
        self.passed = dict.fromkeys(BOTH, 0)
        self.connections = 0
        self.tamper: Tamper | None = None
        self.random = random.Random(seed)
        self._target = (target_host, target_port)
        self._faults = {direction: Faults() for direction in BOTH}
        self._changed = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.restore()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.cut()

    @property
    def address(self) -> str:
        """``HOST:PORT`` to connect to."""
        return f"{self.host}:{self.port}"

    @property
    def open_connections(self) -> int:
        """How many connections stand."""
        return len(self._open)

    def faults(self, direction: Direction) -> Faults:
        """Return what a direction suffers."""
        return self._faults[direction]

    async def set(self, faults: Faults, *directions: Direction) -> None:
        """Let ``directions`` (both, if none is named) suffer ``faults`` from now on."""
        async with self._changed:
            for direction in directions or BOTH:
                self._faults[direction] = faults
            self._changed.notify_all()

    async def until_open(self, direction: Direction) -> None:
        """Wait until a direction is no black hole."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._faults[direction].black_hole)

    async def reset(self) -> None:
        """Reset all connections (RST to both sides); new ones are welcome."""
        for connection in list(self._open):
            connection.reset()
        await self._until_closed()

    async def cut(self) -> None:
        """Close all connections and refuse new ones."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in self._tasks:
            task.cancel()
        await self._until_closed()
        if server is not None:
            await server.wait_closed()

    async def restore(self) -> None:
        """Listen, on the same port as before."""
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, self.host, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _until_closed(self) -> None:
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            # Who is cut off must not be told either that somebody listens behind the proxy.
            await self.until_open(Direction.TO_TARGET)
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                target = await asyncio.open_connection(*self._target)
        except (OSError, TimeoutError):
            _abort(writer)
        except asyncio.CancelledError:
            writer.close()  # by cut(): it waits for this task, nobody else does
        else:
            connection = _Connection(self, (reader, writer), target)
            self._open.add(connection)
            with contextlib.suppress(asyncio.CancelledError):  # by cut()
                await connection.run()
            self._open.discard(connection)
        finally:
            self._tasks.discard(task)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Close with RST."""
    connection = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass(eq=False, slots=True)
class _Connection:
    proxy: FaultProxy
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter]
    target: tuple[asyncio.StreamReader, asyncio.StreamWriter]

    async def run(self) -> None:
        flows = (
            _Flow(self.proxy, Direction.TO_TARGET, self.client[0], self.target[1]),
            _Flow(self.proxy, Direction.TO_CLIENT, self.target[0], self.client[1]),
        )
        try:
            async with asyncio.TaskGroup() as group:
                for flow in flows:
                    group.create_task(flow.read())
                    group.create_task(flow.write())
        finally:
            for _, writer in (self.client, self.target):
                writer.close()
            for _, writer in (self.client, self.target):
                await _closed(writer)

    def reset(self) -> None:
        for _, writer in (self.client, self.target):
            _abort(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    """Wait until what was written is out; not for ever: a reader may be slow on purpose."""
    try:
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        writer.transport.abort()


class _Mark(Enum):
    """What ends a stream. Like bytes, it takes its time, and no black hole lets it through."""

    END = "end"
    RESET = "reset"


@dataclass(slots=True)
class _Flow:
    """One direction of a connection: a queue of bytes with the time each is due."""

    proxy: FaultProxy
    direction: Direction
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    _queue: deque[tuple[float, bytes | _Mark]] = field(default_factory=deque)
    _held: int = 0
    _read: int = 0
    _link_free_at: float = 0.0
    _last_due: float = 0.0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def read(self) -> None:
        while True:
            await self.proxy.until_open(self.direction)
            try:
                data = await self.reader.read(_READ_BYTES)
            except OSError:
                await self._put(_Mark.RESET, 0)
                return
            if not data:
                await self._put(_Mark.END, 0)
                return
            start, self._read = self._read, self._read + len(data)
            await self._put(self._damaged(start, data), len(data))

    async def write(self) -> None:
        broken = False
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: bool(self._queue))
                due, what = self._queue.popleft()
            wait_s = due - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            await self.proxy.until_open(self.direction)
            if what is _Mark.RESET:
                _abort(self.writer)
                return
            try:
                if isinstance(what, _Mark):
                    self.writer.write_eof()
                    return
                if not broken:
                    self.writer.write(what)
                    await self.writer.drain()
                    self.proxy.passed[self.direction] += len(what)
            except (OSError, RuntimeError):  # nobody reads any more: the other direction tells
                broken = True
                if isinstance(what, _Mark):
                    return
            async with self._changed:
                self._held -= len(what)
                self._changed.notify_all()

    async def _put(self, what: bytes | _Mark, size: int) -> None:
        due = self._due(size)
        async with self._changed:
            self._queue.append((due, what))
            self._held += 0 if isinstance(what, _Mark) else len(what)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._held <= _HELD_BYTES)

    def _due(self, size: int) -> float:
        faults, chance = self.proxy.faults(self.direction), self.proxy.random
        due = now = asyncio.get_running_loop().time()
        if faults.bytes_per_s is not None:
            due = self._link_free_at = max(self._link_free_at, now) + size / faults.bytes_per_s
        due += faults.delay_s + chance.uniform(0, faults.jitter_s)
        for _ in range(0, size, SEGMENT_BYTES):
            wait_s = faults.retransmission_s
            while chance.random() < faults.loss:
                due += wait_s
                wait_s *= 2
        self._last_due = max(due, self._last_due)
        return self._last_due

    def _damaged(self, start: int, data: bytes) -> bytes:
        if self.proxy.tamper is not None:
            data = self.proxy.tamper(self.direction, start, data)
        rate = self.proxy.faults(self.direction).flips_per_mib / (1 << 20)
        if not rate:
            return data
        damaged = bytearray(data)
        chance = self.proxy.random
        position = int(chance.expovariate(rate))
        while position < len(damaged):
            damaged[position] ^= 1 << chance.randrange(8)
            position += 1 + int(chance.expovariate(rate))
        return bytes(damaged)
