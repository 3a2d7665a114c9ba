"""What every request passes before anybody asks who it is of: its shape, and what each answer says.

A request that two readers could take for two different ones is refused here, and so is one that was
made out to another host: a page on the web whose name was turned to this host's address
(DNS rebinding) asks under its own. Nothing here depends on who asks, but how long a body may be.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Collection, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.declared import caller_of
from buildnet.node.api.problems import problem_of
from buildnet.node.auth.caller import NOBODY

BODY_MAX_BYTES = 1 << 20
STRANGERS_BODY_MAX_BYTES = 16 * 1024
_ONCE = ("host", "content-length", "content-type", "authorization", "origin", "cookie")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANSWERS_SAY = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""Unless the route says something else."""


class RequestShapeError(BuildNetError):
    """A request that no honest program sends."""

    code = "INVALID_REQUEST"
    exit_code = 2
    http_status = 400


class WrongHostError(BuildNetError):
    """A request that was made out to a host that this is not."""

    code = "WRONG_HOST"
    exit_code = 2
    http_status = 421


class EncodedBodyError(BuildNetError):
    """A request whose body is compressed; nothing here unpacks any."""

    code = "ENCODED_BODY"
    exit_code = 2
    http_status = 415


class BodyTooLargeError(BuildNetError):
    """A request whose body is longer than any route takes."""

    code = "BODY_TOO_LARGE"
    exit_code = 2
    http_status = 413


class Entrance:
    """ASGI middleware in front of the gate. ``names``: of hosts that this one answers for besides
    addresses; None: the socket, which no page on the web gets to."""

    def __init__(
        self, application: ASGIApp, names: Callable[[], Collection[str]] | None = None
    ) -> None:
        self._application = application
        self._names = names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            send = _saying(send)
            try:
                check_shape(scope)
                if self._names is not None:
                    check_host(scope, self._names)
            except BuildNetError as refusal:
                await problem_of(refusal)(scope, receive, send)
                return
            receive = _bounded(scope, receive)
        await self._application(scope, receive, send)


def check_shape(scope: Scope) -> None:
    """See that a request can be read in one way only.

    Raises:
        BuildNetError: it can't, or is longer than anything that is asked here.
    """
    headers = Headers(scope=scope)
    for name in _ONCE:
        if len(headers.getlist(name)) > 1:
            raise RequestShapeError(f"the header {name} is there more than once")
    if "host" not in headers and scope.get("http_version") == "1.1":
        raise RequestShapeError("the header host is missing")
    if _CONTROL.search(scope["path"]):
        raise RequestShapeError("the path holds a control character")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise EncodedBodyError("the request's body is encoded", hint="send it as it is")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise RequestShapeError("content-length is no number")
    if int(length[:20]) > BODY_MAX_BYTES:
        raise _too_large(BODY_MAX_BYTES)


def check_host(scope: Scope, names: Callable[[], Collection[str]]) -> None:
    """See that a request over the loopback is made out to an address, or to a name of this host.

    Raises:
        WrongHostError: it is not.
    """
    client = scope.get("client")
    said = Headers(scope=scope).get("host", "")
    if client is None or not is_loopback(client[0]) or not said:
        return
    host = host_of(said)
    if host is None or not (
        _is_address(host) or host == "localhost" or host.endswith(".localhost") or host in names()
    ):
        raise WrongHostError(
            f"{said!r:.80} is not a name of this host",
            hint="ask by its address; or say its name: network.advertise_address in node.yaml",
        )


def host_of(text: str) -> str | None:
    """Return the host of ``HOST[:PORT]`` or of a URL, in lower case and without brackets."""
    try:
        host = urlsplit(text if "://" in text else f"//{text}").hostname
    except ValueError:
        return None
    return None if host is None else host.rstrip(".")


def names_of(addresses: Iterable[str]) -> frozenset[str]:
    """Return the names that a node goes by: its host's, and those in its addresses."""
    own = socket.gethostname().lower()
    told = (host_of(address) for address in addresses)
    return frozenset({own, own.partition(".")[0], *(name for name in told if name is not None)})


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether an address is this host's own."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def _bounded(scope: Scope, receive: Receive) -> Receive:
    came = 0

    async def bounded() -> Message:
        nonlocal came
        message = await receive()
        if message["type"] == "http.request":
            came += len(message.get("body", b""))
            is_nobody = caller_of(HTTPConnection(scope)) is NOBODY
            most = STRANGERS_BODY_MAX_BYTES if is_nobody else BODY_MAX_BYTES
            if came > most:
                raise _too_large(most)
        return message

    return bounded


def _too_large(most: int) -> BodyTooLargeError:
    return BodyTooLargeError(f"the request's body is longer than {most} bytes")


def _saying(send: Send) -> Send:
    async def saying(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message.get("headers", ()))
            said = {name.lower() for name, _ in headers}
            headers += [each for each in _ANSWERS_SAY if each[0] not in said]
            message = {**message, "headers": headers}
        await send(message)

    return saying
