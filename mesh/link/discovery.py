"""Nodes on the same LAN, by multicast DNS (RFC 6762, 6763): candidates to join, no more.

What is announced is a port and a protocol number; the name of the instance is random, so that a
listener learns that somebody runs BuildNet, not who.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

SERVICE = "_buildnet._tcp.local."
PROTOCOL = "1"
MAX_CANDIDATES = 64
_LOOK_UP_MS = 3000
_log = logging.getLogger("buildnet.mesh")


class Discovery:
    """Announces this node and lists the others that are announced."""

    def __init__(self, port: int, addresses: tuple[bytes, ...] = ()) -> None:
        """``addresses`` are this host's, packed; empty: zeroconf finds them itself."""
        self._instance = f"buildnet-{secrets.token_hex(4)}.{SERVICE}"
        self._port = port
        self._addresses = addresses
        self._found: dict[str, tuple[str, ...]] = {}
        self._names: asyncio.Queue[str] = asyncio.Queue(MAX_CANDIDATES)

    def candidates(self) -> tuple[str, ...]:
        """Return the URLs of nodes that are announced on the LAN, this one excepted."""
        return tuple(sorted({url for urls in self._found.values() for url in urls}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Announce and listen until the context ends. Where the LAN can't be used (no multicast,
        no network), that is logged, and nothing is found."""
        try:
            zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
        except OSError as error:
            _log.warning("nodes on the LAN can't be looked for: %s", error)
            yield
            return
        async with asyncio.TaskGroup() as group:
            browser = None
            task = group.create_task(self._look_up(zeroconf))
            try:
                await self._announce(zeroconf)
                browser = AsyncServiceBrowser(
                    zeroconf.zeroconf, SERVICE, handlers=[self._on_change]
                )
                yield
            finally:
                task.cancel()
                if browser is not None:
                    await browser.async_cancel()
                await zeroconf.async_close()

    async def _announce(self, zeroconf: AsyncZeroconf) -> None:
        info = AsyncServiceInfo(
            SERVICE,
            self._instance,
            port=self._port,
            addresses=list(self._addresses) or None,
            properties={"protocol": PROTOCOL},
        )
        await zeroconf.async_register_service(info)

    def _on_change(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        if name == self._instance:
            return
        if state_change is ServiceStateChange.Removed:
            self._found.pop(name, None)
        elif not self._names.full():  # beyond that somebody floods the LAN
            self._names.put_nowait(name)

    async def _look_up(self, zeroconf: AsyncZeroconf) -> None:
        while True:
            name = await self._names.get()
            info = AsyncServiceInfo(SERVICE, name)
            if not await info.async_request(zeroconf.zeroconf, _LOOK_UP_MS):
                continue
            if name in self._found or len(self._found) < MAX_CANDIDATES:
                self._found[name] = urls_of(info.parsed_addresses(), info.port)


def urls_of(addresses: list[str], port: int | None) -> tuple[str, ...]:
    """Return the URLs of an announced node."""
    if port is None:
        return ()
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    return tuple(f"http://{host}:{port}" for host in hosts)
