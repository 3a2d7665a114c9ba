"""The node's one TCP port: which address it takes, and what it says when it can't."""

from __future__ import annotations

import errno
import ipaddress
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import psutil

from buildnet.mesh.errors import BuildNetError, UsageError

DEFAULT_PORTS = (80, 8080)
_ADDRESSES_MAX = 4


class ListenError(BuildNetError):
    """The port can't be bound."""

    code = "PORT_TAKEN"
    exit_code = 2


@dataclass(frozen=True, slots=True)
class Address:
    """A host name or address, and a port; 0 lets the system choose one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str, default_port: int = DEFAULT_PORTS[0]) -> Address:
    """Read ``HOST:PORT``, ``HOST``, ``:PORT`` or ``[IPv6]:PORT``.

    Raises:
        UsageError: it is none of these.
    """
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        host, port = text, str(default_port)
    host = host.removeprefix("[").removesuffix("]") or "0.0.0.0"
    if not port.isascii() or not port.isdigit() or int(port) > 65535 or "/" in host:
        raise UsageError(
            f"{text!r} is no address to listen on",
            hint="write HOST:PORT, such as 0.0.0.0:8080, with a port up to 65535",
        )
    return Address(host, int(port))


def bind_first(addresses: Sequence[Address]) -> tuple[socket.socket, list[str]]:
    """Bind the first address that can be had.

    Returns the listening socket and, for each address passed over, a sentence saying why.

    Raises:
        ListenError: none can be had.
    """
    passed_over: list[str] = []
    for position, address in enumerate(addresses):
        try:
            return _bind(address), passed_over
        except OSError as error:
            why = _why(address, error)
            if position + 1 == len(addresses):
                raise ListenError(
                    "; ".join([*passed_over, why]),
                    cause=str(error),
                    hint="choose another port: buildnet node start --listen 0.0.0.0:8081",
                ) from error
            passed_over.append(why)
    raise ValueError("no address to bind")


def _bind(address: Address) -> socket.socket:
    family, kind, protocol, _, target = socket.getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(target)
        listener.listen(1024)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener


def _why(address: Address, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"{address} is taken by another program"
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"this user may not listen on {address}" + (
            f" (to allow it: sudo setcap cap_net_bind_service=+ep {sys.executable})"
            if sys.platform == "linux"
            else " (ports below 1024 need root)"
        )
    return f"{address} can't be used ({error.strerror or error})"


def reachable_addresses(listener: socket.socket, advertised: str | None = None) -> tuple[str, ...]:
    """Return the URLs under which others may reach ``listener``, the likeliest first: the owner's
    word alone; or the address listened on; or those of this host's interfaces, first the one on the
    way out (nothing is sent to find it)."""
    host, port = listener.getsockname()[:2]
    if advertised is not None:
        if "://" in advertised:
            return (advertised,)
        bare = advertised.count(":") > 1 and not advertised.startswith("[")
        named = Address(advertised, port) if bare else parse_address(advertised, port)
        return (f"http://{named}",)
    hosts = _own_hosts(listener.family) if host in ("0.0.0.0", "::") else [host]
    return tuple(f"http://{Address(each, port)}" for each in hosts)


def addresses_on_network(listener: socket.socket) -> tuple[str, ...]:
    """Return the URLs, at this host's own addresses, under which other hosts reach
    ``listener``."""
    return tuple(url for url in reachable_addresses(listener) if is_on_network([url]))


def is_on_network(addresses: Sequence[str]) -> bool:
    """Tell whether one of the URLs leads to another host's way in, not only to this one's own."""
    return any(not _is_loopback(str(urlsplit(url).hostname)) for url in addresses)


def _own_hosts(family: int) -> list[str]:
    way_out = _way_out()
    found = [way_out] if way_out is not None else []
    wanted = {socket.AF_INET} if family == socket.AF_INET else {socket.AF_INET, socket.AF_INET6}
    for _, addresses in sorted(psutil.net_if_addrs().items()):
        for each in addresses:
            host = each.address.partition("%")[0]
            if each.family in wanted and not _is_local(host) and host not in found:
                found.append(host)
    return found[:_ADDRESSES_MAX] or ["127.0.0.1"]


def _is_local(host: str) -> bool:
    address = ipaddress.ip_address(host)
    return address.is_loopback or address.is_link_local


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _way_out() -> str | None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation range: a route is looked up, no more
        except OSError:
            return None
        host = str(probe.getsockname()[0])
        return None if _is_local(host) else host
