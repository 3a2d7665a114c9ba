"""Messages between the node and its launcher: what is asked of a supervisor, what it reports.

The launcher's side uses neither :mod:`socket`, :mod:`signal`, :mod:`json` nor :mod:`typing`, but
what is below them: their enums and regular expressions are two fifths of an interpreter's memory,
and each fork would copy some of it with every call. Requests are marshalled, for both sides are one
interpreter; reports come from where a command ran and are JSON, which the node can read safely
(:mod:`reports`). Both stand behind their length.
"""

from __future__ import annotations

import _socket
import marshal
import os
import struct
from _json import encode_basestring_ascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LENGTH = struct.Struct("<I")
_DESCRIPTOR = struct.Struct("i")


def send_request(
    connection: _socket.socket, request: dict[str, Any], descriptor: int | None = None
) -> None:
    """Ask something of the launcher or a supervisor; blocks until the other side's buffer has taken
    it."""
    _send(connection, marshal.dumps(request), descriptor)


def receive_request(connection: _socket.socket) -> dict[str, Any] | None:
    """Receive a request; None: the other side closed."""
    return _request(receive_rest(connection, b""))


def receive_with_descriptor(connection: _socket.socket) -> tuple[dict[str, Any], int] | None:
    """Receive a request and the descriptor sent with it; None: the other side closed, or no
    descriptor came."""
    try:
        head, descriptor = receive_descriptor(connection, _LENGTH.size)
    except ConnectionResetError:
        return None
    request = _request(receive_rest(connection, head))
    return None if request is None or descriptor is None else (request, descriptor)


def _request(data: bytes) -> dict[str, Any] | None:
    request: dict[str, Any] | None = marshal.loads(data) if data else None
    return request


def send_report(connection: _socket.socket, report: dict[str, bool | int | str | None]) -> None:
    """Report to the node, see :func:`~.reports.receive_report`."""
    members = (f"{encode_basestring_ascii(name)}:{_json(value)}" for name, value in report.items())
    _send(connection, ("{" + ",".join(members) + "}").encode(), None)


def _json(value: bool | int | str | None) -> str:
    if value is None:
        return "null"
    if isinstance(value, str):
        return str(encode_basestring_ascii(value))
    return str(value).lower()  # "True" is "true"


def send_descriptor(connection: _socket.socket, data: bytes, descriptor: int) -> int:
    """Send a few bytes and a descriptor; returns how many were sent."""
    rights = (_socket.SOL_SOCKET, _socket.SCM_RIGHTS, _DESCRIPTOR.pack(descriptor))
    return connection.sendmsg([data], [rights])


def receive_descriptor(connection: _socket.socket, size: int) -> tuple[bytes, int | None]:
    """Receive at most ``size`` bytes and a descriptor, which no command is to inherit."""
    room = _socket.CMSG_SPACE(_DESCRIPTOR.size)
    data, ancillary, _, _ = connection.recvmsg(size, room)
    for level, kind, payload in ancillary:
        if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS):
            (descriptor,) = _DESCRIPTOR.unpack_from(payload)
            os.set_inheritable(descriptor, False)
            return data, descriptor
    return data, None


def receive_rest(connection: _socket.socket, head: bytes) -> bytes:
    """Receive a message of whose length ``head`` is the beginning; empty: the other side closed."""
    head += _exactly(connection, _LENGTH.size - len(head))
    return _exactly(connection, *_LENGTH.unpack(head)) if len(head) == _LENGTH.size else b""


def _send(connection: _socket.socket, data: bytes, descriptor: int | None) -> None:
    packed = _LENGTH.pack(len(data)) + data
    sent = 0 if descriptor is None else send_descriptor(connection, packed, descriptor)
    if sent < len(packed):
        connection.sendall(packed[sent:])


def _exactly(connection: _socket.socket, size: int) -> bytes:
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
