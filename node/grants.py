"""What of this host commands may use, from the owner's words and the host's own limits."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from buildnet.mesh.digest import Digest
from buildnet.node.capacity import Capacity
from buildnet.node.config import NodeConfig
from buildnet.node.execute.control_groups import ControlGroups, open_groups
from buildnet.node.scan.cpu import allowed_cores, granted_cpus
from buildnet.node.scan.memory import allowed_memory_bytes
from buildnet.pool.requirements import Grant

_log = logging.getLogger("buildnet.node")


@contextmanager
def control_groups(config: NodeConfig) -> Iterator[ControlGroups | None]:
    """Give the control groups that were left to this node; None where there are none."""
    name = config.workers.control_group
    groups: ControlGroups | None = None
    if sys.platform == "linux":
        try:
            groups = open_groups(name)
        except OSError as error:
            which = "its own control group" if name is None else f"the control group {name}"
            _log.warning("%s can't be used, so the node watches limits itself: %s", which, error)
    try:
        yield groups
    finally:
        if groups is not None:
            groups.close()


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
