"""How people and programs get to this node's port, and whether others could listen."""

from __future__ import annotations

import ipaddress
import logging
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from buildnet.node.certificate import Certificate
from buildnet.node.config import NetworkSettings
from buildnet.node.listen import Address, is_on_network

_log = logging.getLogger("buildnet.node")


@dataclass(frozen=True, slots=True)
class WayIn:
    """``host``, ``port``: what is listened on; ``has_tls``: whether it answers TLS."""

    host: str
    port: int
    has_tls: bool = False

    @classmethod
    def of(cls, listener: socket.socket, *, has_tls: bool) -> WayIn:
        """Look at a socket that listens."""
        host, port = listener.getsockname()[:2]
        return cls(str(host), int(port), has_tls)

    @property
    def is_open(self) -> bool:
        """Whether other hosts get here."""
        return not ipaddress.ip_address(self.host).is_loopback

    @property
    def warning(self) -> str | None:
        """What to warn of; None: nobody on the way can listen."""
        if self.has_tls or not self.is_open:
            return None
        return (
            f"port {self.port} is open to the network without TLS: who is on the way reads keys "
            "and logins that are sent there (set network.tls in node.yaml, or listen on 127.0.0.1)"
        )

    def local_page(self) -> str | None:
        """Return where this host's own browsers find the node's pages without going over the
        network; None: it does not listen there."""
        address = ipaddress.ip_address(self.host)
        if not address.is_unspecified and not address.is_loopback:
            return None
        host = self.host if address.is_loopback else "127.0.0.1"
        return f"http://{Address(host, self.port)}"

    def network_page(self, advertised: str) -> str | None:
        """Return where browsers of other hosts find them; ``advertised``: the URL that other nodes
        are told. None: nowhere."""
        if not self.is_open and not is_on_network([advertised]):
            return None
        parts = urlsplit(advertised)
        if not self.has_tls or parts.scheme == "https":
            return advertised
        return f"https://{parts.netloc}"


def way_in_of(
    listener: socket.socket, settings: NetworkSettings
) -> tuple[WayIn, Certificate | None]:
    """Return the way in by a socket that listens, and what it answers TLS with; None: nothing.

    Raises:
        CertificateError: it can't be used.
    """
    tls = settings.tls
    certificate = None if tls is None else Certificate(tls, time.monotonic())
    found = WayIn.of(listener, has_tls=certificate is not None)
    if found.warning is not None:
        _log.warning("%s", found.warning)
    return found, certificate
