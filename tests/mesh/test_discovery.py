"""Nodes on the LAN."""

from __future__ import annotations

import asyncio
import socket

import pytest

from buildnet.mesh.link.discovery import Discovery, urls_of


def test_urls() -> None:
    assert urls_of(["10.0.0.1", "fe80::1"], 80) == ("http://10.0.0.1:80", "http://[fe80::1]:80")
    assert urls_of(["10.0.0.1"], None) == ()


def can_multicast() -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.sendto(b"", ("224.0.0.251", 5353))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not can_multicast(), reason="no multicast here")
def test_two_nodes_find_each_other_and_not_themselves() -> None:
    async def run() -> None:
        here = socket.inet_aton("127.0.0.1")
        one, other = Discovery(1111, (here,)), Discovery(2222, (here,))
        async with asyncio.timeout(30), one.running(), other.running():
            while "http://127.0.0.1:2222" not in one.candidates():
                await asyncio.sleep(0.05)
            while "http://127.0.0.1:1111" not in other.candidates():
                await asyncio.sleep(0.05)
            assert "http://127.0.0.1:1111" not in one.candidates()

    asyncio.run(run())


def test_without_a_network_nothing_is_found(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(**options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", fail)

    async def run() -> None:
        discovery = Discovery(1)
        async with discovery.running():
            assert discovery.candidates() == ()

    asyncio.run(run())
    assert "no network" in caplog.text
