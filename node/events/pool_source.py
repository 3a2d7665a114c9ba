"""What nodes are and have, as this node sees the pool: the channels ``nodes`` and ``resources``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from buildnet.node.events.channel import Channel
from buildnet.node.events.hub import Hub
from buildnet.node.events.service import Ready
from buildnet.node.events.view import Kinds
from buildnet.pool.membership import coordinator_of
from buildnet.pool.view import Coordinator, NodeState, leases_view

if TYPE_CHECKING:
    from buildnet.node.service import NodeService

ALLOCATIONS = "allocations"
NODE_KINDS = Kinds("node_joined", "node_status", "node_left")
RESOURCE_KINDS = Kinds("resource_update", "resource_update", "resource_update")
ALLOCATION_KINDS = Kinds("allocation_changed", "allocation_changed", "allocation_changed")
LOOK_EVERY_S = 0.5
"""So often where nothing is heard of the others: this host changes, too."""
_REST_S = 0.05
_REST = 10.0
"""Looking again waits so many times as long as looking took of the processor: on a host that is
busy with other things a look lasts, too, but costs no more."""


class PoolSource:
    """Looks at the pool whenever something changed in the mesh."""

    channels = frozenset({Channel.NODES, Channel.RESOURCES})

    def __init__(self, service: NodeService, hub: Hub) -> None:
        self._service = service
        self._hub = hub
        self._dumped: dict[str, tuple[object, Any]] = {}
        self._news = asyncio.Event()

    def look_again(self) -> None:
        """Take note that this node has something else to do."""
        self._news.set()

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        await self._service.scanned.wait()
        while True:
            self._news.clear()
            seen, began = self._service.mesh.version, time.thread_time()
            picture = await self._service.pool.picture()
            self.show(list(picture.nodes.values()), coordinator_of(picture.view), time.time())
            ready(Channel.NODES)
            ready(Channel.RESOURCES)
            await asyncio.sleep(max(_REST_S, _REST * (time.thread_time() - began)))
            await self._changed(seen)

    async def _changed(self, seen: int) -> None:
        """Wait until something may be different."""
        async with asyncio.TaskGroup() as group:
            waiting = [
                group.create_task(self._news.wait()),
                group.create_task(self._service.mesh.changed(seen)),
            ]
            await asyncio.wait(waiting, timeout=LOOK_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
            for task in waiting:
                task.cancel()

    def show(self, nodes: list[NodeState], coordinator: Coordinator | None, now: float) -> None:
        """Take in the nodes as they are now."""
        ids = {node.id for node in nodes}
        for node in nodes:
            self._hub.put(Channel.NODES, node.id, _node_item(node, coordinator), NODE_KINDS, now)
            item = self._resource_item(node)
            self._hub.put(Channel.RESOURCES, node.id, item, RESOURCE_KINDS, now)
        allocations = {"allocations": leases_view(nodes)}
        self._hub.put(Channel.RESOURCES, ALLOCATIONS, allocations, ALLOCATION_KINDS, now)
        self._hub.keep_only(Channel.NODES, ids, now)
        self._hub.keep_only(Channel.RESOURCES, {*ids, ALLOCATIONS}, now)
        for key in [key for key in self._dumped if key.partition("/")[0] not in ids]:
            del self._dumped[key]

    def _resource_item(self, node: NodeState) -> Mapping[str, Any]:
        return {
            "name": node.name,
            "slots": node.slots,
            "cores_in_use": node.cores_in_use,
            "actions_running": node.actions_running,
            "resources": self._dump(f"{node.id}/resources", node.resources),
            "utilization": self._dump(f"{node.id}/utilization", node.utilization),
            "benchmark": self._dump(f"{node.id}/benchmark", node.benchmark),
        }

    def _dump(self, key: str, model: Any) -> Any:
        """Return a model as JSON's types: the same as before where it is the same object."""
        before = self._dumped.get(key)
        if before is None or before[0] is not model:
            dumped = None if model is None else model.model_dump(mode="json")
            before = self._dumped[key] = (model, dumped)
        return before[1]


def _node_item(node: NodeState, coordinator: Coordinator | None) -> Mapping[str, Any]:
    return {
        "name": node.name,
        "status": node.status,
        "role": node.role,
        "rights": node.rights,
        "coordinator": coordinator is not None and coordinator.node_id == node.id,
        "version": node.version,
        "this_node": node.this_node,
        "address": node.address,
        "tags": list(node.tags),
        "draining": node.draining,
        "lends_nothing": node.lends_nothing,
        "builds": node.builds,
        "latency_ms": node.latency_ms,
    }
