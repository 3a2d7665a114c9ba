"""A real node as a process of its own that hears of many others, none of which runs.

    with crowded_node(directory / "home", 100) as node:

What it answers and tells of them goes its usual way, through its API and its WebSockets; only what
it hears (:class:`testbed.crowd.Crowd`) is made up. They tell a new load all the time, as real ones.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from pathlib import Path

from buildnet.node import daemon
from buildnet.node.__main__ import main
from buildnet.node.config import NodeConfig
from buildnet.node.home import Home, Runtime
from buildnet.node.service import NodeService
from testbed.crowd import Crowd
from testbed.nodes import Node, Process

_SIZE = "BUILDNET_TEST_CROWD"
_EACH_TELLS_EVERY_S = 5.0


class CrowdedNode(Node):
    """A node among ``size`` members, itself included."""

    def __init__(self, home: Path, name: str, size: int) -> None:
        super().__init__(home, name, listen="127.0.0.1:0")
        self._size = size

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Process:
        """Return its process; it is ready when it knows its own tools, which all others have."""
        return subprocess.Popen(
            [sys.executable, "-m", __name__, str(writing), options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
            env={**environment, _SIZE: str(self._size)},
        )


@contextmanager
def crowded_node(home: Path, size: int) -> Iterator[CrowdedNode]:
    """Run such a node until the context ends."""
    node = CrowdedNode(home, "node1", size)
    node.start()
    try:
        yield node
    finally:
        node.kill()


def _surround(size: int) -> None:
    """Let the node of this process hear of a crowd."""
    alone = daemon.running_node

    @asynccontextmanager
    async def among_many(
        options: daemon.StartOptions, home: Home, config: NodeConfig
    ) -> AsyncIterator[tuple[NodeService, Runtime]]:
        async with alone(options, home, config) as (service, runtime):
            await service.scanned.wait()
            crowd = Crowd(service, size)
            service.mesh.view = crowd.view  # type: ignore[method-assign]
            service.mesh.records = crowd.records  # type: ignore[method-assign]
            async with asyncio.TaskGroup() as group:
                news = group.create_task(_tell(crowd, _EACH_TELLS_EVERY_S / size))
                yield service, runtime
                news.cancel()

    daemon.running_node = among_many


async def _tell(crowd: Crowd, every_s: float) -> None:
    for number in count():
        crowd.tell(number, cores_in_use=number * 7919 % 3, builds=number // 7 % 3)
        await asyncio.sleep(every_s)


if __name__ == "__main__":
    _surround(int(os.environ.pop(_SIZE)))
    sys.exit(main(sys.argv[1:]))
