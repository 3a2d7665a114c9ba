"""Where other hosts reach this node: known at the start, and followed for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from buildnet.node.config import NetworkSettings
from buildnet.node.listen import addresses_on_network, reachable_addresses

LOOK_INTERVAL_S = 10.0
_ANSWER_S = 3.0
_log = logging.getLogger("buildnet.node")


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The URLs under which others may reach this node, the likeliest first (one at least), and
    those to announce on the local network, if any: this host's own."""

    addresses: tuple[str, ...]
    on_lan: tuple[str, ...]

    @classmethod
    def of(cls, listener: socket.socket, settings: NetworkSettings) -> Whereabouts:
        """Look at this host's interfaces."""
        return cls(
            reachable_addresses(listener, settings.advertise_address),
            addresses_on_network(listener) if settings.discovery else (),
        )


async def follow(
    known: Whereabouts, look: Callable[[], Whereabouts], tell: Callable[[Whereabouts], None]
) -> None:
    """``look`` now and then, until cancelled; ``tell`` what changed. A host gets its network after
    the node's start, a lease runs out, a laptop goes elsewhere."""
    while True:
        await asyncio.sleep(LOOK_INTERVAL_S)
        try:
            found = await asyncio.to_thread(look)  # a host of many interfaces takes milliseconds
        except OSError as error:
            _log.debug("this host's addresses can't be looked at: %s", error)
            continue
        if found != known:
            _log.info("other nodes reach this one at %s now", ", ".join(found.addresses))
            known = found
            tell(found)


async def answers(url: str) -> bool:
    """Tell whether anything takes connections there, as seen from this host."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(_ANSWER_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return True
