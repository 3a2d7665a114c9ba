"""Dialling: from an address as people write it to a WebSocket that stands."""

from __future__ import annotations

import asyncio
import errno
from urllib.parse import urlsplit

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection as WebSocket
from websockets.exceptions import ConnectionClosed as WebSocketClosed
from websockets.exceptions import InvalidHandshake, InvalidURI

from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.mesh.link.connection import MALFORMED, OVERSIZED, TEXT, ConnectionClosed

CONNECT_TIMEOUT_S = 4.0
DEFAULT_PORTS = (80, 8080)
MAX_CONTROL_BYTES = 64 * 1024
_SCHEMES = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_UNSUPPORTED_DATA = 1003
_MISBEHAVIOUR = {1002: MALFORMED, 1007: MALFORMED, 1009: OVERSIZED}
"""What the websockets library ends a connection for, and with which code."""
_CLOSE_TIMEOUT_S = 1.0
# Of a process that is killed the kernel closes the links some milliseconds before the port: it
# still accepts, and hangs up. Asked again it refuses, which tells a crash from a cut.
_HANG_UPS = 3
_AFTER_HANG_UP_S = 0.02


class UnreachableError(BuildNetError):
    """Nobody answered at an address. ``refused``: somebody answered that nobody listens there."""

    code = "PEER_UNREACHABLE"
    exit_code = 3
    http_status = 502

    def __init__(self, message: str, *, refused: bool, cause: str) -> None:
        super().__init__(
            message,
            cause=cause,
            hint="see that the node there runs (buildnet node status) and that no firewall is "
            "between; an address is HOST, HOST:PORT or a URL",
        )
        self.refused = refused


def websocket_urls(address: str, route: str = "mesh") -> tuple[str, ...]:
    """Return the URLs to try for ``address``: ``HOST``, ``HOST:PORT`` or a URL (http, https, ws,
    wss). Without a port and without TLS, 80 is tried first, then 8080.

    Raises:
        UsageError: it is none of these.
    """
    scheme, host, port, path = _parts_of(address)
    path = f"{path}/{route}"
    if port is not None:
        return (f"{scheme}://{host}:{port}{path}",)
    if scheme == "wss":
        return (f"wss://{host}:443{path}",)
    return tuple(f"ws://{host}:{each}{path}" for each in DEFAULT_PORTS)


def node_url(address: str) -> str:
    """Return ``address`` as the node there would advertise it: ``http://HOST:PORT`` (or https),
    without a port where none is given; what is no address stays as it is."""
    try:
        scheme, host, port, path = _parts_of(address)
    except UsageError:
        return address
    return f"{scheme.replace('ws', 'http')}://{host}{'' if port is None else f':{port}'}{path}"


def _parts_of(address: str) -> tuple[str, str, int | None, str]:
    """Return scheme (ws or wss), host, port and path."""
    text = address.strip()
    if any(letter.isspace() for letter in text):
        raise _no_address(address)
    try:
        parts = urlsplit(text if "://" in text else f"http://{_bracketed(text)}")
        port = parts.port
    except ValueError as error:
        raise _no_address(address) from error
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise _no_address(address)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return scheme, host, port, parts.path.rstrip("/")


def _bracketed(text: str) -> str:
    """Give a bare IPv6 address its brackets."""
    return f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text


def _no_address(address: str) -> UsageError:
    return UsageError(
        f"{address!r} is no address of a node", hint="write HOST, HOST:PORT or http://HOST:PORT"
    )


class WebSocketConnection:
    """A connection of the websockets library, either side of it."""

    def __init__(self, websocket: WebSocket, remote: str) -> None:
        self._websocket = websocket
        self._remote = remote

    @property
    def remote(self) -> str:
        """Where the other side is."""
        return self._remote

    async def send(self, data: bytes) -> None:
        """Send one message."""
        try:
            await self._websocket.send(data)
        except WebSocketClosed as error:
            raise _closed(error) from error

    async def receive(self) -> bytes:
        """Return the next message."""
        try:
            data = await self._websocket.recv()
        except WebSocketClosed as error:
            raise _closed(error) from error
        if isinstance(data, str):
            await self.close(_UNSUPPORTED_DATA, TEXT)
            raise ConnectionClosed(_UNSUPPORTED_DATA, TEXT, misbehaved=True)
        return data

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close it."""
        await self._websocket.close(code, reason)


def _closed(error: WebSocketClosed) -> ConnectionClosed:
    if error.sent is not None and not error.rcvd_then_sent and error.sent.code in _MISBEHAVIOUR:
        code = error.sent.code
        return ConnectionClosed(code, _MISBEHAVIOUR[code], misbehaved=True)
    if error.rcvd is not None:
        return ConnectionClosed(error.rcvd.code, error.rcvd.reason)
    return ConnectionClosed(1006, "")


async def dial(
    address: str, *, route: str = "mesh", proxies: bool = False, max_bytes: int = MAX_CONTROL_BYTES
) -> WebSocketConnection:
    """Open a WebSocket to ``route`` of the node at ``address``, within
    :data:`CONNECT_TIMEOUT_S` for each port tried.

    Raises:
        UsageError: it is no address.
        UnreachableError: nobody answers there, or no node does.
    """
    failures: list[UnreachableError] = []
    for url in websocket_urls(address, route):
        try:
            return await _open(url, proxies, max_bytes)
        except UnreachableError as error:
            failures.append(error)
    raise UnreachableError(
        f"no node can be reached at {address}",
        refused=all(failure.refused for failure in failures),
        cause="; ".join(str(failure.cause) for failure in failures),
    )


async def _open(url: str, proxies: bool, max_bytes: int) -> WebSocketConnection:
    for _ in range(_HANG_UPS):
        websocket = await _connect(url, proxies, max_bytes)
        if websocket is not None:
            return WebSocketConnection(websocket, urlsplit(url).netloc)
        await asyncio.sleep(_AFTER_HANG_UP_S)
    raise _unreachable(url, "who answers hangs up at once")


async def _connect(url: str, proxies: bool, max_bytes: int) -> WebSocket | None:
    """Return the WebSocket; None: the other side accepted, and hung up without a word."""
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            return await connect(
                url,
                compression=None,
                max_size=max_bytes,
                open_timeout=None,
                # Membership's probes find out who is gone.
                ping_interval=None,
                close_timeout=_CLOSE_TIMEOUT_S,
                proxy=True if proxies else None,
                user_agent_header=None,
            )
    except TimeoutError as error:
        raise _unreachable(url, f"no answer within {CONNECT_TIMEOUT_S:g} s") from error
    except ConnectionResetError:
        return None
    except OSError as error:
        raise _unreachable(url, error.strerror or str(error), refused=_refused(error)) from error
    except (InvalidHandshake, InvalidURI, WebSocketClosed, EOFError, ValueError) as error:
        if isinstance(error.__cause__, EOFError | ConnectionResetError):
            return None
        raise _unreachable(url, f"what answers is no node of BuildNet ({error})") from error


def _unreachable(url: str, why: str, *, refused: bool = False) -> UnreachableError:
    netloc = urlsplit(url).netloc
    return UnreachableError(
        f"no node can be reached at {netloc}", refused=refused, cause=f"{netloc}: {why}"
    )


def _refused(error: OSError) -> bool:
    if error.errno is not None:
        return error.errno == errno.ECONNREFUSED
    # A name with several addresses: one error that quotes those of all.
    text = str(error)
    return 0 < text.count("[Errno ") == text.count(f"[Errno {errno.ECONNREFUSED}]")
