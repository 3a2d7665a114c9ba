"""A running node as its API sees it: who it is, what the host has, how busy it is."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from buildnet import __version__
from buildnet.ledger.history import History
from buildnet.mesh.identity import NodeKey
from buildnet.node.builder import Builder
from buildnet.node.config import NodeConfig
from buildnet.node.home import Home
from buildnet.node.scan.scanner import Scanner
from buildnet.node.scan.utilization import UtilizationMeter
from buildnet.node.store import Store
from buildnet.pool.resources import NodeResources, Utilization
from buildnet.pool.view import NodeState

SCAN_INTERVAL_S = 600.0
MEASURE_INTERVAL_S = 5.0
_log = logging.getLogger("buildnet.node")


@dataclass(slots=True)
class NodeService:
    """Everything the API answers from. ``stopping`` is set when the node is to end."""

    home: Home
    key: NodeKey
    name: str
    address: str
    config: NodeConfig
    store: Store
    history: History
    builder: Builder
    scanner: Scanner = field(default_factory=Scanner)
    meter: UtilizationMeter = field(default_factory=UtilizationMeter)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    scanned: asyncio.Event = field(default_factory=asyncio.Event)
    started: float = field(default_factory=time.monotonic)
    resources: NodeResources | None = None
    utilization: Utilization | None = None
    _scanning: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def cluster(self) -> dict[str, str]:
        """The cluster: a node that joined none is a cluster of one and bears its name."""
        return {"id": self.key.node_id, "name": self.name}

    async def scan(self, *, fresh: bool = False) -> NodeResources:
        """Scan the host and keep what was found; ``fresh`` asks every program again."""
        async with self._scanning:
            found = await self.scanner.scan(self.config, datetime.now(UTC), fresh=fresh)
            self.resources = found
            self.scanned.set()
        return found

    async def watch_host(self) -> None:
        """Scan now and then, and measure how busy the host is, for as long as the node runs."""
        await self.measure()  # the first one only starts the clock of what follows
        next_scan = time.monotonic()
        while True:
            if time.monotonic() >= next_scan:
                try:
                    await self.scan()
                except Exception:
                    _log.exception("the scan of this host failed; the last one stays in use")
                next_scan = time.monotonic() + SCAN_INTERVAL_S
            await self.measure()
            await asyncio.sleep(MEASURE_INTERVAL_S)

    async def measure(self) -> None:
        """Measure how busy the host is."""
        volumes = self.resources.storage if self.resources else ()
        local = [volume for volume in volumes if volume.storage_class != "network"]
        self.utilization = await self.meter.utilization(datetime.now(UTC), local)

    def node_status(self) -> dict[str, Any]:
        """Return the JSON of ``node status``."""
        running = self.builder.running()
        return {
            "node_id": self.key.node_id,
            "name": self.name,
            "address": self.address,
            "role": "worker",
            "rights": "admin",
            "status": "busy" if running else "online",
            "cluster": self.cluster,
            "coordinator": None,
            "term": 0,
            "uptime_s": round(time.monotonic() - self.started, 1),
            "version": __version__,
            "home": str(self.home.directory),
            "slots": self.builder.slots,
            "builds": [build.summary() for build in running],
        }

    async def nodes(self) -> list[NodeState]:
        """Return the nodes of the pool as this node knows them; waits for the first scan."""
        await self.scanned.wait()
        if self.utilization is None or self.utilization.cpu_percent is None:
            await self.measure()
        assert self.utilization is not None
        running = self.builder.actions_running
        return [
            NodeState(
                id=self.key.node_id,
                name=self.name,
                status="busy" if running else "online",
                role="worker",
                address=self.address,
                measured_at=self.utilization.measured_at,
                resources=self.resources,
                utilization=self.utilization,
                actions_running=running,
                cores_in_use=running,
                tags=self.config.node_tags,
            )
        ]
