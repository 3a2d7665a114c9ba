"""Where a node can be reached follows the host's network."""

from __future__ import annotations

import asyncio
import socket

import pytest

from buildnet.node.config import NetworkSettings
from buildnet.node.listen import Address, bind_first
from buildnet.node.whereabouts import Whereabouts, answers, follow

HOME = Whereabouts(("http://127.0.0.1:80",), ())
OFFICE = Whereabouts(("http://10.0.0.5:80",), ("http://10.0.0.5:80",))
CAFE = Whereabouts(("http://192.168.7.9:80",), ("http://192.168.7.9:80",))


def test_a_change_is_told_once_and_an_error_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("buildnet.node.whereabouts.LOOK_INTERVAL_S", 0.0)
    seen = iter((HOME, OFFICE, OFFICE, None, OFFICE, CAFE))
    told: list[Whereabouts] = []

    class OverError(Exception):
        pass

    def look() -> Whereabouts:
        for found in seen:
            if found is None:
                raise OSError("not now")
            return found
        raise OverError

    async def run() -> None:
        async with asyncio.timeout(30):
            with pytest.raises(OverError):
                await follow(HOME, look, told.append)

    asyncio.run(run())
    assert told == [OFFICE, CAFE]


def test_the_addresses_to_announce(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those listened on, whatever others are told to dial; none on loopback alone."""
    monkeypatch.setattr("buildnet.node.listen._own_hosts", lambda family: ["10.0.0.5"])
    behind_proxy = NetworkSettings(advertise_address="https://build.example")
    quiet = NetworkSettings(discovery=False)
    listener, _ = bind_first([Address("0.0.0.0", 0)])
    with listener:
        port = listener.getsockname()[1]
        assert Whereabouts.of(listener, behind_proxy) == Whereabouts(
            ("https://build.example",), (f"http://10.0.0.5:{port}",)
        )
        assert Whereabouts.of(listener, quiet).on_lan == ()
        monkeypatch.setattr("buildnet.node.listen._own_hosts", lambda family: ["127.0.0.1"])
        assert Whereabouts.of(listener, NetworkSettings()) == Whereabouts(
            (f"http://127.0.0.1:{port}",), ()
        )


def test_whether_anything_answers_at_an_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert asyncio.run(answers(url))
    assert not asyncio.run(answers(url))
