"""The one port: addresses, and what is said when one can't be had."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.node.listen import (
    Address,
    ListenError,
    bind_first,
    parse_address,
    reachable_address,
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
        assert reachable_address(listener) == f"http://127.0.0.1:{port}"
        assert reachable_address(listener, "build.example") == f"http://build.example:{port}"
        assert reachable_address(listener, "build.example:9") == "http://build.example:9"
