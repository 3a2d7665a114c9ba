"""Nodes on the LAN."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from zeroconf import ServiceInfo
from zeroconf.asyncio import AsyncZeroconf

from buildnet.mesh.events import Note
from buildnet.mesh.link.discovery import Discovery, hosts_of, urls_of


def test_urls() -> None:
    assert urls_of(["10.0.0.1", "fe80::1"], 80) == ("http://10.0.0.1:80", "http://[fe80::1]:80")
    assert urls_of(["10.0.0.1"], None) == ()
    assert hosts_of(["http://10.0.0.1:80", "http://[fe80::1]:80"]) == (["10.0.0.1", "fe80::1"], 80)


def test_addresses_are_announced_under_a_host_name_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without an address record nobody who hears of the service can resolve it."""
    announced: list[ServiceInfo] = []

    class Heard(AsyncZeroconf):
        async def async_register_service(
            self, info: ServiceInfo, *arguments: object, **options: object
        ) -> asyncio.Future[None]:
            announced.append(info)
            done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            done.set_result(None)
            return done

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", Heard)

    async def run() -> None:
        discovery = Discovery(lambda note: None)
        discovery.renew(("http://10.0.0.5:8080", "http://10.0.1.5:8080"))
        async with running(discovery):
            await until(lambda: len(announced) == 1)

    asyncio.run(run())
    (info,) = announced
    assert (info.parsed_addresses(), info.port) == (["10.0.0.5", "10.0.1.5"], 8080)
    assert info.server == info.name.replace("._buildnet._tcp", "")


def can_multicast() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.sendto(b"", ("224.0.0.251", 5353))
        except OSError:
            return False
    return True


@asynccontextmanager
async def running(*discoveries: Discovery) -> AsyncIterator[None]:
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in discoveries]
        yield
        for task in tasks:
            task.cancel()


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await asyncio.sleep(0.05)


@pytest.mark.skipif(not can_multicast(), reason="no multicast here")
def test_two_nodes_find_each_other_and_not_themselves() -> None:
    async def run() -> None:
        notes: list[Note] = []
        one, other = Discovery(notes.append), Discovery(notes.append)
        one.renew(("http://127.0.0.1:1111",))
        other.renew(("http://127.0.0.1:2222",))
        async with running(one, other):
            await until(lambda: "http://127.0.0.1:2222" in one.candidates())
            await until(lambda: "http://127.0.0.1:1111" in other.candidates())
            assert "http://127.0.0.1:1111" not in one.candidates()
        assert notes == []

    asyncio.run(run())


@pytest.mark.skipif(not can_multicast(), reason="no multicast here")
def test_who_comes_into_a_network_is_found_and_finds_from_then_on() -> None:
    async def run() -> None:
        one, other = Discovery(lambda note: None), Discovery(lambda note: None)
        one.renew(("http://127.0.0.1:1111",))
        async with running(one, other):
            other.renew(())
            other.renew(("http://127.0.0.1:3333",))
            await until(lambda: "http://127.0.0.1:3333" in one.candidates())
            await until(lambda: "http://127.0.0.1:1111" in other.candidates())
            other.renew(())
            await until(lambda: "http://127.0.0.1:3333" not in one.candidates())
            await until(lambda: other.candidates() == ())

    asyncio.run(run())


def test_without_a_network_nothing_is_found_and_that_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", fail)
    monkeypatch.setattr("buildnet.mesh.link.discovery._AGAIN_S", 0.0)

    async def run() -> None:
        notes: list[Note] = []
        discovery = Discovery(notes.append)
        discovery.renew(("http://127.0.0.1:1",))
        async with running(discovery):
            await until(lambda: len(notes) >= 3)
            assert discovery.candidates() == ()
        assert notes[0] == Note("discovery failed", None, "no network")

    asyncio.run(run())
    assert caplog.text.count("no network") == 1


def test_an_error_of_zeroconf_ends_neither_the_search_nor_the_node(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever it raises, also while it is closed."""

    class Broken:
        zeroconf = None

        def __init__(self, *arguments: object, **options: object) -> None:
            pass

        async def async_register_service(self, info: object) -> None:
            raise RuntimeError("a bug in it")

        async def async_cancel(self) -> None:
            pass

        async def async_close(self) -> None:
            raise RuntimeError("another one")

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", Broken)
    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncServiceBrowser", Broken)

    async def run() -> None:
        notes: list[Note] = []
        discovery = Discovery(notes.append)
        discovery.renew(("http://127.0.0.1:1",))
        async with running(discovery):
            await until(lambda: len(notes) >= 2)
        assert {note.detail for note in notes} == {"a bug in it", "another one"}

    asyncio.run(run())
