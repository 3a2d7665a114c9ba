"""One running link: what arrives is told, what is to be said waits its turn.

Two tasks for the life of the link and none for a message. Nobody waits for a slow peer: its queue
fills, and the link ends.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from buildnet.mesh.allowance import Allowance
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.link.connection import Connection, ConnectionClosed
from buildnet.mesh.link.frames import FrameCipher, FrameError
from buildnet.mesh.link.send_queue import Outgoing, QueueFullError, SendQueue

STUCK_CHECKS = 10
CLOSE_TIMEOUT_S = 1.0
MESSAGES_PER_S = 500.0
MESSAGES_BURST = 4000.0
BYTES_PER_S = 16.0 * 1024 * 1024
"""More than a member sends that hands out a long ledger to a new one."""
BYTES_BURST = 32.0 * 1024 * 1024
SIGNATURES_PER_S = 1000.0
"""Of those that come by the dozen in one message."""
SIGNATURES_BURST = 10_000.0

SLOW_READER = "slow reader"
FLOOD = "flood"
ALTERED_FRAME = "altered frame"
BUG = "bug while handling a message"

_POLICY_VIOLATION = 1008
_log = logging.getLogger("buildnet.mesh")


class BadPeerError(BuildNetError):
    """What a peer did that ends its link; ``reason`` is counted."""

    code = "BAD_PEER"
    http_status = 400

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"the link ends: {reason}", cause=detail or None)
        self.reason = reason


@dataclass(slots=True)
class Traffic:
    """What went over links; bytes as they were handed to the connection."""

    bytes_sent: int = 0
    bytes_received: int = 0
    messages_sent: int = 0
    messages_received: int = 0

    def add(self, other: Traffic) -> None:
        """Add what went over another link."""
        self.bytes_sent += other.bytes_sent
        self.bytes_received += other.bytes_received
        self.messages_sent += other.messages_sent
        self.messages_received += other.messages_received


class Peer:
    """The link to the node ``key``, whose handshake is done.

    Args:
        seal: makes the envelope of a message to this peer.
        take: is told each frame's content. :class:`BadPeerError` out of it ends the link; so does
            any other exception, which is a bug and is logged as one.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        key: bytes,
        connection: Connection,
        cipher: FrameCipher,
        *,
        boot: int,
        outgoing: bool,
        address: str | None,
        relayed_by: bytes | None,
        seal: Callable[[bytes, Outgoing], bytes],
        take: Callable[[Peer, bytes], None],
        clock: Callable[[], float],
    ) -> None:
        self.key = key
        self.boot = boot
        self.outgoing = outgoing
        self.address = address
        self.relayed_by = relayed_by
        self.connection = connection
        self.traffic = Traffic()
        self.since = clock()
        self.last_heard = self.since
        self.reason: str | None = None
        """Why the link ends; None while it stands."""
        self.detail = ""
        self._bad = False
        self._at_once = False
        self._cipher = cipher
        self._seal = seal
        self._take = take
        self._clock = clock
        self._queue = SendQueue()
        self._something = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._ending = asyncio.Event()
        self._sending = False
        self._stuck_checks = 0
        self._messages = Allowance(MESSAGES_PER_S, MESSAGES_BURST, self.since)
        self._bytes = Allowance(BYTES_PER_S, BYTES_BURST, self.since)
        self._signatures = Allowance(SIGNATURES_PER_S, SIGNATURES_BURST, self.since)

    @property
    def queued(self) -> int:
        """How many messages wait."""
        return len(self._queue)

    @property
    def is_clogged(self) -> bool:
        """Tell whether much waits: what others want handed on should not add to it."""
        return self._queue.is_filling

    def say(self, item: Outgoing) -> None:
        """Say it when its turn comes; never waits."""
        if self.reason is not None:
            return
        try:
            self._queue.put(item)
        except QueueFullError:
            self.end(SLOW_READER, f"{len(self._queue)} messages waited", bad=True)
            return
        self._something.set()
        self._drained.clear()

    async def drained(self) -> None:
        """Wait until nothing waits to be sent, or the link ends."""
        await self._drained.wait()

    def end(
        self, reason: str, detail: str = "", *, bad: bool = False, at_once: bool = False
    ) -> None:
        """End the link; the first reason counts. ``bad``: the peer is to blame. Unless that, or
        ``at_once``, what waits is still said."""
        if self.reason is None:
            self.reason = reason
            self.detail = detail
            self._bad = bad
            self._at_once = at_once or bad
            self._ending.set()
            self._drained.set()

    def may_bring(self, signatures: int) -> bool:
        """Tell whether a message with so many signatures to verify is taken now."""
        return self._signatures.take(signatures, self._clock())

    @property
    def misbehaved(self) -> bool:
        """Tell whether the link ended for what the peer did, rather than went away."""
        return self._bad

    def check(self) -> None:
        """End the link if the other side reads nothing; to be called every second.

        Checks are counted, not seconds: while this process was stopped, nobody was to blame.
        """
        self._stuck_checks = self._stuck_checks + 1 if self._sending else 0
        if self._stuck_checks > STUCK_CHECKS:
            self.end(SLOW_READER, f"nothing was read for {STUCK_CHECKS} s", bad=True)

    async def run(self) -> None:
        """Receive and send until the link ends; ``reason`` says why then. Close it next."""
        async with asyncio.TaskGroup() as group:
            tasks = (group.create_task(self._receive()), group.create_task(self._send()))
            try:
                await self._ending.wait()
            finally:
                for task in tasks:
                    task.cancel()

    async def close(self) -> None:
        """Say what waits, tell the other side why, and close the connection."""
        reason = (self.reason or "stopping").encode()[:120].decode(errors="ignore")
        with suppress(TimeoutError, ConnectionClosed):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                # Of a message that was broken off nobody knows how much went out.
                if not self._at_once and not self._sending:
                    while (item := self._queue.take()) is not None:
                        await self._say_now(item)
                await self.connection.close(_POLICY_VIOLATION if self._bad else 1000, reason)

    async def _receive(self) -> None:
        try:
            while self.reason is None:
                data = await self.connection.receive()
                self._take_frame(data)
        except ConnectionClosed as error:
            self._closed(error)
        except FrameError as error:
            self.end(ALTERED_FRAME, error.message, bad=True)
        except BadPeerError as error:
            self.end(error.reason, error.cause or "", bad=True)
        except Exception as error:
            _log.exception("a bug while handling a message of %s", self.key.hex()[:16])
            self.end(BUG, repr(error), bad=True)

    def _closed(self, error: ConnectionClosed) -> None:
        if error.misbehaved:
            self.end(error.reason, bad=True)
        else:
            self.end("closed by the peer", error.reason)

    def _take_frame(self, data: bytes) -> None:
        now = self._clock()
        self.traffic.bytes_received += len(data)
        self.traffic.messages_received += 1
        if not (self._messages.take(1, now) and self._bytes.take(len(data), now)):
            raise BadPeerError(FLOOD, "more than this node takes from one peer")
        plain = self._cipher.open(data)
        self.last_heard = now
        self._take(self, plain)

    async def _send(self) -> None:
        try:
            while True:
                item = self._queue.take()
                if item is None:
                    self._something.clear()
                    self._drained.set()
                    await self._something.wait()
                    continue
                await self._say_now(item)
        except ConnectionClosed as error:
            self._closed(error)
        except Exception as error:
            _log.exception("a bug while sending to %s", self.key.hex()[:16])
            self.end(BUG, repr(error), bad=True)

    async def _say_now(self, item: Outgoing) -> None:
        data = self._cipher.seal(self._seal(self.key, item))
        self.traffic.bytes_sent += len(data)
        self.traffic.messages_sent += 1
        self._sending = True
        await self.connection.send(data)
        self._sending = False
        self._stuck_checks = 0
