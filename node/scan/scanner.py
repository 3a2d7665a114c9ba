"""The scanner: asks every subject's module at once and puts their answers together."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import ParamSpec, TypeVar

from buildnet.node.config import NodeConfig
from buildnet.node.scan.catalogue import ProgramRow
from buildnet.node.scan.cpu import scan_cpu
from buildnet.node.scan.detect import InThread, ProgramDetector, default_search_path
from buildnet.node.scan.gpu import scan_gpus
from buildnet.node.scan.host import HostFiles, operating_system
from buildnet.node.scan.memory import scan_memory
from buildnet.node.scan.network import scan_network
from buildnet.node.scan.probe import Prober
from buildnet.node.scan.runtimes import RUNTIMES
from buildnet.node.scan.storage import scan_storage
from buildnet.node.scan.tools import TOOLS
from buildnet.pool.resources import NodeResources, Program

P = ParamSpec("P")
R = TypeVar("R")

# Probes mostly wait for disks and for each other; more of them at once only slow the host's work.
_PROBES_AT_ONCE = min(8, 2 * (os.cpu_count() or 1))


class Scanner:
    """Scans this host. Keep one: it remembers what unchanged programs answered."""

    def __init__(
        self,
        *,
        host: HostFiles | None = None,
        search_path: str | None = None,
        tools: Sequence[ProgramRow] = TOOLS,
        runtimes: Sequence[ProgramRow] = RUNTIMES,
    ) -> None:
        self._host = host or HostFiles()
        self._search_path = search_path
        self._tools = tools
        self._runtimes = runtimes
        self._detector = ProgramDetector()

    async def scan(
        self, config: NodeConfig, now: datetime, *, fresh: bool = False
    ) -> NodeResources:
        """Return what the host has now; ``now`` (UTC) becomes ``scanned_at``.

        Everything that may block runs in threads of its own. ``fresh`` asks all programs again,
        also those whose files have not changed since they answered. Cancelling ends the probes.
        """
        if fresh:
            self._detector.forget()
        started = time.monotonic()
        cancelled = threading.Event()
        prober = Prober.of_process(self._search_path or default_search_path(), cancelled)
        threads = ThreadPoolExecutor(_PROBES_AT_ONCE, thread_name_prefix="scan")
        loop = asyncio.get_running_loop()

        async def ask(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
            return await loop.run_in_executor(threads, lambda: function(*args, **kwargs))

        limits = config.resource_limits
        try:
            async with asyncio.TaskGroup() as group:
                tools = [
                    group.create_task(self._detect(row, config, prober, ask)) for row in self._tools
                ]
                runtimes = [
                    group.create_task(self._detect(row, config, prober, ask))
                    for row in self._runtimes
                ]
                system = group.create_task(ask(operating_system, self._host))
                cpu = group.create_task(ask(scan_cpu, self._host, prober, limits.cpu))
                network = group.create_task(ask(scan_network))
                gpus = group.create_task(ask(scan_gpus, prober))
                memory = await ask(scan_memory, self._host, prober, limits.memory)
                storage = await ask(
                    scan_storage, self._host, prober, limits.storage, memory.available_bytes
                )
        finally:
            cancelled.set()
            threads.shutdown(wait=False, cancel_futures=True)
        return NodeResources(
            system=system.result(),
            cpu=cpu.result(),
            memory=memory,
            storage=storage,
            tools=tuple(program for task in tools for program in task.result()),
            runtimes=tuple(program for task in runtimes for program in task.result()),
            network=network.result(),
            gpus=gpus.result(),
            scanned_at=now,
            scan_duration_ms=round((time.monotonic() - started) * 1000),
        )

    async def _detect(
        self, row: ProgramRow, config: NodeConfig, prober: Prober, in_thread: InThread
    ) -> tuple[Program, ...]:
        override = config.tool_overrides.get(row.name)
        return await self._detector.detect(row, override, prober, in_thread)
