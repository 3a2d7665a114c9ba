"""Messages between the node and a supervisor: JSON behind its length."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Sequence
from typing import Any

_LENGTH = struct.Struct("<I")


def send_message(
    connection: socket.socket, message: dict[str, Any], descriptors: Sequence[int] = ()
) -> None:
    """Send a message of any size; blocks until the other side's buffer has taken it."""
    data = json.dumps(message).encode()
    packed = _LENGTH.pack(len(data)) + data
    sent = socket.send_fds(connection, [packed], descriptors) if descriptors else 0
    if sent < len(packed):
        connection.sendall(packed[sent:])


def receive_message(connection: socket.socket) -> dict[str, Any] | None:
    """Receive a message; None: the other side has closed the connection."""
    return _rest(connection, _exactly(connection, _LENGTH.size))


def receive_with_descriptor(connection: socket.socket) -> tuple[dict[str, Any], int] | None:
    """Receive a message and the descriptor sent with it; None: the other side closed, or no
    descriptor came."""
    try:
        head, descriptor = receive_descriptor(connection, _LENGTH.size)
    except ConnectionResetError:
        return None
    message = _rest(connection, head + _exactly(connection, _LENGTH.size - len(head)))
    return None if message is None or descriptor is None else (message, descriptor)


def receive_descriptor(connection: socket.socket, size: int) -> tuple[bytes, int | None]:
    """Receive at most ``size`` bytes and a descriptor, which no command is to inherit."""
    data, descriptors, _, _ = socket.recv_fds(connection, size, 1)
    if not descriptors:
        return data, None
    os.set_inheritable(descriptors[0], False)
    return data, descriptors[0]


def _rest(connection: socket.socket, head: bytes) -> dict[str, Any] | None:
    data = _exactly(connection, _LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else b""
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
