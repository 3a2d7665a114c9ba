"""What the launcher and its supervisors report, as the node receives it."""

from __future__ import annotations

import json
import socket
from typing import Any

from buildnet.node.execute.launcher.messages import receive_rest


def receive_report(connection: socket.socket) -> dict[str, Any] | None:
    """Receive a report; None: the other side has closed the connection."""
    data = receive_rest(connection, b"")
    if not data:
        return None
    report: dict[str, Any] = json.loads(data)
    return report
