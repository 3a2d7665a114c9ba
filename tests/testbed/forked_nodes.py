"""Real nodes that are forked from a server of the caller's, which lives as long as it is needed.

with ForkServer() as server:
    node = ForkedNode(server, directory / "home", "node1", listen="127.0.0.1:0")
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from testbed.fork_server import ForkServer
from testbed.nodes import Node

__all__ = ["ForkServer", "ForkedNode"]


class ForkedNode(Node):
    """A node whose process is forked from ``server``'s."""

    def __init__(self, server: ForkServer, home: Path, name: str, **options: Any) -> None:
        super().__init__(home, name, **options)
        self._server = server

    def fork_server(self) -> ForkServer:
        """Return where its process is forked."""
        return self._server
