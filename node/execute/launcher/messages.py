"""Messages between the node and a supervisor: JSON behind its length."""

from __future__ import annotations

import json
import socket
import struct
from typing import Any

_LENGTH = struct.Struct("<I")


def send_message(connection: socket.socket, message: dict[str, Any]) -> None:
    """Send a message of any size; blocks until the other side's buffer has taken it."""
    data = json.dumps(message).encode()
    connection.sendall(_LENGTH.pack(len(data)) + data)


def receive_message(connection: socket.socket) -> dict[str, Any] | None:
    """Receive a message; None: the other side has closed the connection."""
    head = _exactly(connection, _LENGTH.size)
    data = _exactly(connection, _LENGTH.unpack(head)[0]) if head else b""
    if not data:
        return None
    message: dict[str, Any] = json.loads(data)
    return message


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        try:
            more = connection.recv(size - len(data))
        except ConnectionResetError:
            return b""
        if not more:
            return b""
        data += more
    return data
