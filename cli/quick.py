"""``buildnet build`` where nothing is to be done, in little more than Python's own start.

Half of what ``import json`` or ``import socket`` costs would be as much as all the rest here, so
this module imports only what the interpreter has loaded already, and two of its built-in modules.
Whatever is not plain goes the long way: it returns what it has begun, and nothing was lost.
"""

from __future__ import annotations

import os
import sys

from buildnet import __version__
from buildnet.cli.user import USER_HEADER, user_header

TYPE_CHECKING = False  # importing typing would take longer than all of this
if TYPE_CHECKING:
    from collections.abc import Callable

UP_TO_DATE = "text/x-buildnet-up-to-date"
"""The type of the node's short answer: number of packages, milliseconds, id of the build."""

_SOCKET_PATH_MAX_BYTES = 103
_PART_BYTES = 1 << 16


class Begun:
    """A request for a build that was sent on ``descriptor``, and what was answered so far."""

    def __init__(self, descriptor: int, answered: bytes) -> None:
        self.descriptor = descriptor
        self.answered = answered

    @property
    def is_of_this_version(self) -> bool:
        """Whether the node that answers is of the same version as this command."""
        return f"\r\nbuildnet-version: {__version__}\r\n".encode() in self.answered


def build(arguments: list[str]) -> int | Begun | None:
    """Ask the node of this host for a build.

    Return the exit code if nothing was to be done; what goes on where something is; None if nothing
    was asked for, because the arguments, the environment or the platform need more than this.
    """
    if arguments[:1] != ["build"] or any(one.startswith("-") for one in arguments):
        return None
    environment = os.environ
    path = _socket_path()
    color = environment.get("BUILDNET_COLOR", "auto")
    if (
        path is None
        or "BUILDNET_NODE" in environment
        or environment.get("BUILDNET_FORMAT", "table") != "table"
        or environment.get("BUILDNET_PROGRESS", "auto") not in ("auto", "tty", "plain")
        or color not in ("auto", "always", "never")
        or sys.stdout is None
    ):
        return None
    try:
        from _json import encode_basestring_ascii as quoted
        from _socket import AF_UNIX, SOCK_STREAM, socket
    except ImportError:
        return None
    request = _request(arguments[1:], quoted)
    connection = socket(AF_UNIX, SOCK_STREAM)
    try:
        connection.connect(path)
    except OSError:  # no node runs, or it ends
        connection.close()
        return None
    answered = b""
    try:
        connection.sendall(request)
        while b"\r\n\r\n" not in answered and (part := connection.recv(_PART_BYTES)):
            answered += part
        head, _, body = answered.partition(b"\r\n\r\n")
        if UP_TO_DATE.encode() not in head:
            return Begun(connection.detach(), answered)
        while part := connection.recv(_PART_BYTES):
            body += part
    except OSError:
        return Begun(connection.detach(), answered)
    connection.close()
    count, took_ms, build_id = body.decode().split()
    return _told(int(count), float(took_ms), build_id, color)


def _socket_path() -> str | None:
    """Return where the node's socket is, as :class:`buildnet.node.home.Home` has it; None: where
    only that can tell."""
    if sys.platform != "linux":
        return None
    home = os.environ.get("BUILDNET_HOME")
    if not home:
        data = os.environ.get("XDG_DATA_HOME", "").strip()
        home = f"{data or os.path.expanduser('~/.local/share')}/buildnet"
    path = f"{os.getcwd()}/{home}/node.sock" if home[:1] != "/" else f"{home}/node.sock"
    if "~" in path or len(os.fsencode(path)) > _SOCKET_PATH_MAX_BYTES:
        return None
    return path


def _request(packages: list[str], quoted: Callable[[str], str]) -> bytes:
    environment = ",".join(
        [
            f"{quoted(name)}:{quoted(value)}"
            for name, value in os.environ.items()
            if (name + value).isascii() or is_text(name + value)
        ]
    )
    body = (
        f'{{"root":{quoted(os.getcwd())},"packages":[{",".join(map(quoted, packages))}],'
        f'"environment":{{{environment}}},"detail":"changed"}}'
    ).encode()
    head = (
        "POST /api/build HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
        f"accept: {UP_TO_DATE}, application/x-ndjson\r\nbuildnet-version: {__version__}\r\n"
        f"{USER_HEADER}: {user_header()}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def is_text(value: str) -> bool:
    """Whether a string of the system is text; JSON could not carry it else."""
    return not any("\udc80" <= character <= "\udcff" for character in value)


def _told(count: int, took_ms: float, build_id: str, color: str) -> int:
    status = "succeeded"
    if _is_colored(color):
        status = f"\x1b[32m{status}\x1b[0m"
    packages = "1 package" if count == 1 else f"{count} packages"
    what = f"{count} up to date" if count else "nothing to do"
    took = f"{took_ms:.0f} ms" if took_ms < 1000 else f"{took_ms / 1000:.2f} s"
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.stdout.write(f"{status}: {packages} ({what}) in {took} · build {build_id}\n")
    sys.stdout.flush()
    return 0


def _is_colored(color: str) -> bool:
    environment = os.environ
    if color != "auto":
        return color == "always"
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR"):
        return True
    return sys.stdout.isatty() and environment.get("TERM") != "dumb"
