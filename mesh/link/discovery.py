"""Nodes on the same LAN, by multicast DNS (RFC 6762, 6763): candidates to join, no more.

What is announced are addresses, a port and a protocol number; the names of the instance and its
host are random, so that a listener learns that somebody runs BuildNet, not who.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from zeroconf import IPVersion, ServiceStateChange, Zeroconf
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from buildnet.mesh.events import Note

SERVICE = "_buildnet._tcp.local."
PROTOCOL = "1"
MAX_CANDIDATES = 64
_LOOK_UP_MS = 3000
_AGAIN_S = 60.0
_CLOSE_S = 3.0
_log = logging.getLogger("buildnet.mesh")


class Discovery:
    """Announces this node and lists the others that are announced."""

    def __init__(self, note: Callable[[Note], None]) -> None:
        """``note`` is told of what goes wrong."""
        self._label = f"buildnet-{secrets.token_hex(4)}"
        self._instance = f"{self._label}.{SERVICE}"
        self._note = note
        self._urls: tuple[str, ...] = ()
        self._renewed = asyncio.Event()
        self._has_failed = False
        self._found: dict[str, tuple[str, ...]] = {}
        self._names: asyncio.Queue[str] = asyncio.Queue(MAX_CANDIDATES)

    def candidates(self) -> tuple[str, ...]:
        """Return the URLs of nodes that are announced on the LAN, this one excepted."""
        return tuple(sorted({url for urls in self._found.values() for url in urls}))

    def renew(self, urls: tuple[str, ...]) -> None:
        """Announce ``urls`` from now on, of this host's own addresses and one port, and look for
        others, on the networks that this host is in now. Empty: neither."""
        self._urls = urls
        self._renewed.set()

    async def run(self) -> None:
        """Do what :meth:`renew` said last, until cancelled. Where the LAN can't be used (no
        multicast, no network), that is noted, logged once and tried again."""
        while True:
            self._renewed.clear()
            self._found.clear()
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._insist(self._urls)) if self._urls else None
                await self._renewed.wait()
                if work is not None:
                    work.cancel()

    async def _insist(self, urls: tuple[str, ...]) -> None:
        while True:
            try:
                await self._work(urls)
            except Exception as error:  # zeroconf has errors of several families, and OSError
                self._fail(error)
            await asyncio.sleep(_AGAIN_S)

    def _fail(self, error: Exception) -> None:
        why = str(error) or type(error).__name__
        self._note(Note("discovery failed", None, why))
        if not self._has_failed:
            _log.warning("nodes on the LAN can't be looked for: %s", why)
        self._has_failed = True

    async def _work(self, urls: tuple[str, ...]) -> None:
        zeroconf = AsyncZeroconf(ip_version=IPVersion.V4Only)
        browser = None
        try:
            browser = AsyncServiceBrowser(zeroconf.zeroconf, SERVICE, handlers=[self._on_change])
            await self._announce(zeroconf, urls)
            await self._look_up(zeroconf)
        finally:
            await self._close(zeroconf, browser)

    async def _close(self, zeroconf: AsyncZeroconf, browser: AsyncServiceBrowser | None) -> None:
        """Say goodbye; that it fails must not hide that the end was asked for."""
        try:
            async with asyncio.timeout(_CLOSE_S):
                if browser is not None:
                    await browser.async_cancel()
                await zeroconf.async_close()
        except Exception as error:
            self._fail(error)

    async def _announce(self, zeroconf: AsyncZeroconf, urls: tuple[str, ...]) -> None:
        hosts, port = hosts_of(urls)
        info = AsyncServiceInfo(
            SERVICE,
            self._instance,
            port=port,
            parsed_addresses=hosts,
            server=f"{self._label}.local.",
            properties={"protocol": PROTOCOL},
        )
        await (await zeroconf.async_register_service(info))

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


def hosts_of(urls: Sequence[str]) -> tuple[list[str], int | None]:
    """Return the addresses and the port in the URLs of one node: the reverse of
    :func:`urls_of`."""
    parts = [urlsplit(url) for url in urls]
    return [str(part.hostname) for part in parts], parts[0].port


def urls_of(addresses: list[str], port: int | None) -> tuple[str, ...]:
    """Return the URLs of an announced node."""
    if port is None:
        return ()
    hosts = [f"[{address}]" if ":" in address else address for address in addresses]
    return tuple(f"http://{host}:{port}" for host in hosts)
