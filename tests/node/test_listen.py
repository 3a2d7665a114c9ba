"""The one port: addresses, and what is said when one can't be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.node.listen import (
    Address,
    ListenError,
    addresses_on_network,
    bind_first,
    is_on_network,
    parse_address,
    reachable_addresses,
)


@pytest.fixture
def taken() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield Address("127.0.0.1", listener.getsockname()[1])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
        (":8080", Address("0.0.0.0", 8080)),
        ("localhost", Address("localhost", 80)),
        ("[::1]:81", Address("::1", 81)),
        ("[::1]", Address("::1", 80)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["host:http", "host:99999", "http://host:80", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_address(text)


def test_the_next_address_is_taken_and_it_is_said_why(taken: Address) -> None:
    listener, passed_over = bind_first([taken, Address("127.0.0.1", 0)])
    with listener:
        assert listener.getsockname()[1] != taken.port
    assert passed_over == [f"{taken} is taken by another program"]


def test_no_address_left_is_an_error_with_a_remedy(taken: Address) -> None:
    with pytest.raises(ListenError) as error:
        bind_first([taken])
    assert "--listen" in (error.value.hint or "")


def test_the_address_that_others_use() -> None:
    listener, _ = bind_first([Address("127.0.0.1", 0)])
    with listener:
        port = listener.getsockname()[1]
        assert reachable_addresses(listener) == (f"http://127.0.0.1:{port}",)
        for advertised, url in (
            ("build.example", f"http://build.example:{port}"),
            ("build.example:9", "http://build.example:9"),
            ("fd00::2", f"http://[fd00::2]:{port}"),
            ("[fd00::2]", f"http://[fd00::2]:{port}"),
            ("[fd00::2]:9", "http://[fd00::2]:9"),
            ("https://build.example", "https://build.example"),
            ("http://build.example:9", "http://build.example:9"),
        ):
            assert reachable_addresses(listener, advertised) == (url,)
        assert addresses_on_network(listener) == ()


Interfaces = dict[str, list[SimpleNamespace]]


def interfaces(*addresses: tuple[str, int]) -> Interfaces:
    given = [SimpleNamespace(address=address, family=family) for address, family in addresses]
    return {"eth0": given, "lo": [SimpleNamespace(address="127.0.0.1", family=socket.AF_INET)]}


@pytest.mark.parametrize(
    ("way_out", "found", "hosts"),
    [
        ("10.0.0.5", interfaces(("192.168.1.5", socket.AF_INET)), ["10.0.0.5", "192.168.1.5"]),
        ("10.0.0.5", interfaces(("10.0.0.5", socket.AF_INET)), ["10.0.0.5"]),
        # Without a way out (a network of its own) others still reach the interfaces.
        (None, interfaces(("10.9.0.1", socket.AF_INET)), ["10.9.0.1"]),
        (None, interfaces(("169.254.3.4", socket.AF_INET)), ["127.0.0.1"]),
        (None, interfaces(("fe80::1%eth0", socket.AF_INET6)), ["127.0.0.1"]),
        # Nobody reaches an IPv4 listener at an IPv6 address.
        ("10.0.0.5", interfaces(("2001:db8::1", socket.AF_INET6)), ["10.0.0.5"]),
        (None, {}, ["127.0.0.1"]),
    ],
)
def test_a_node_that_listens_everywhere_tells_its_interfaces(
    monkeypatch: pytest.MonkeyPatch, way_out: str | None, found: Interfaces, hosts: list[str]
) -> None:
    monkeypatch.setattr("buildnet.node.listen._way_out", lambda: way_out)
    monkeypatch.setattr("psutil.net_if_addrs", lambda: found)
    listener, _ = bind_first([Address("0.0.0.0", 0)])
    with listener:
        port = listener.getsockname()[1]
        urls = tuple(f"http://{host}:{port}" for host in hosts)
        assert reachable_addresses(listener) == urls
        assert addresses_on_network(listener) == (() if hosts == ["127.0.0.1"] else urls)


def test_who_is_on_a_network() -> None:
    assert is_on_network(["http://127.0.0.1:80", "http://10.0.0.1:80"])
    assert is_on_network(["http://build.example"])
    assert not is_on_network(["http://127.0.0.2:80", "http://[::1]:80", "http://localhost:80"])
