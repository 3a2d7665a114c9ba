"""Draining a node: by ``buildnet node drain`` and ``buildnet server drain`` and ``remove``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.output import escaped, note, show, waiting
from buildnet.cli.run import settings
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

NodeName = Annotated[
    str, typer.Argument(help="A node's name, id or the first 4 or more characters of its id.")
]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until nothing is in flight there.")]
Timeout = Annotated[str, typer.Option(metavar="DURATION", help="How long to wait at most.")]
_LOOK_S = 0.5


class StillBusyError(BuildNetError):
    """A node that was drained still works after the time that was given to it."""

    code = "SERVER_BUSY"
    exit_code = 3


def drain_node(name: str, wait: bool, timeout_s: float) -> None:
    """Drain a node, and tell of it."""
    client = Client.of(settings())
    data = until_idle(client, name, timeout_s) if wait else _drain(client, name)

    def table(console: Console) -> None:
        left = in_flight_text(data)
        console.print(f"{escaped(data['name'])} takes no new work" + (f"; {left}" if left else ""))

    show(settings(), data, table, ids=[data["node_id"]])
    if in_flight_text(data):
        note(settings(), f"to wait for its end: buildnet server drain --wait {data['name']}")


def resume_node(name: str) -> None:
    """Have a node take work again, and tell of it."""
    client = Client.of(settings())
    data = client.post(f"/api/servers/{path_part(name)}/resume")

    def table(console: Console) -> None:
        console.print(f"{escaped(data['name'])} takes work again")

    show(settings(), data, table, ids=[data["node_id"]])


def until_idle(client: Client, name: str, timeout_s: float) -> dict[str, Any]:
    """Drain a node and wait until nothing is in flight there; return how it is then.

    Raises:
        StillBusyError: something still is. It stays drained.
    """
    deadline = time.monotonic() + timeout_s
    while (left := in_flight_text(data := _drain(client, name))) is not None:
        if time.monotonic() >= deadline:
            waiting(settings(), None)
            raise StillBusyError(
                f"{data['name']} still works after {timeout_s:g} s: {left}",
                hint="it stays drained; wait longer with --timeout, or have it take work again: "
                "buildnet server resume",
            )
        waiting(settings(), f"{data['name']} is drained; {left}")
        time.sleep(_LOOK_S)
    waiting(settings(), None)
    return data


def in_flight_text(data: dict[str, Any]) -> str | None:
    """Return in words what is in flight at a node; None: nothing."""
    parts = []
    if data["leases"]:
        parts.append(f"{count_text(data['running'], 'command')} of others there")
    if data["builds"]:
        parts.append(f"{count_text(data['builds'], 'build')} of its own")
    return ", ".join(parts) or None


def count_text(number: int, word: str) -> str:
    """Return a number of things in words."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def seconds(text: str, option: str) -> float:
    """Return a duration that was given with an option."""
    from buildnet.pool.quantity import QuantityError, parse_duration_s

    try:
        return parse_duration_s(text)
    except QuantityError as error:
        raise UsageError(f"{option}: {error}", hint="write a duration such as 30m") from error


def _drain(client: Client, name: str) -> dict[str, Any]:
    path = f"/api/servers/{path_part(name)}/drain"
    found: dict[str, Any] = client.post(path)
    return found
