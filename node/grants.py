"""What of this host commands may use, from the owner's words and the host's own limits."""

from __future__ import annotations

import sys

import psutil

from buildnet.mesh.digest import Digest
from buildnet.node.capacity import Capacity
from buildnet.node.config import NodeConfig
from buildnet.node.scan.cpu import allowed_cores, granted_cpus
from buildnet.node.scan.memory import allowed_memory_bytes
from buildnet.pool.requirements import Grant


def granted(config: NodeConfig) -> tuple[Capacity[Digest], Grant]:
    """Return what commands share, and the most that one of them may have.

    Reads a few small files. Only Linux keeps a command on its cores.
    """
    workers = config.workers
    memory_bytes = allowed_memory_bytes(psutil.virtual_memory().total, config)
    capacity = Capacity[Digest](
        workers.max or allowed_cores(config),
        granted_cpus(config) if sys.platform == "linux" else None,
        memory_bytes,
    )
    grant = Grant(
        cores=capacity.cores_at_most,
        memory_bytes=min(memory_bytes, workers.memory or memory_bytes),
        disk_bytes=workers.disk,
        processes=workers.processes,
    )
    return capacity, grant
