"""``buildnet events``: what happens in the pool, as it happens."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.client.events import follow
from buildnet.cli.client.shapes import Event
from buildnet.cli.output import note, printable
from buildnet.cli.run import settings

PATIENCE_S = 60.0
_TOLD = 5
"""So many keys of what is new are shown on a line."""


def events(
    channels: Annotated[
        list[str] | None,
        typer.Argument(
            help="resources, nodes, builds, queue, pool, ledger, logs, sessions, node_logs; "
            "default: all but the last two."
        ),
    ] = None,
    build: Annotated[
        str, typer.Option(metavar="ID", help="Only what concerns this build; its whole id.")
    ] = "",
    cursor: Annotated[
        str | None, typer.Option(help="Go on after the event that had this cursor.")
    ] = None,
) -> None:
    """Show what happens in the pool, as it happens, until Ctrl-C. With --json one event a line, the
    first with the state of everything."""
    client = Client.of(settings())
    for event in follow(client, channels or (), build, cursor, PATIENCE_S):
        if settings().format == "json":
            print(json.dumps(event, ensure_ascii=False))
        elif settings().quiet:
            print(event["cursor"])
        elif event["type"] == "snapshot":
            if event.get("gap"):
                note(settings(), "what happened meanwhile is not known any more")
        else:
            print(line_of(event))
        sys.stdout.flush()


def line_of(event: Event) -> str:
    """Return an event as a line for people."""
    data: dict[str, Any] = event.get("data", {})
    at = time.strftime("%H:%M:%S", time.localtime(event.get("at", 0.0)))
    if event["type"] == "build_output":
        said = f"{data['name']}#{data['task']} │ {data['text'].rstrip()}"
    elif event["type"] == "ledger_entry":
        said = f"{data['id'][:12]} {data['type']} {data['text']}"
    else:
        plain = [
            f"{key}={value}"
            for key, value in data.items()
            if isinstance(value, str | int | float) and key not in ("id", "build_id")
        ]
        said = " ".join([str(data.get("id", data.get("build_id", ""))), *plain[:_TOLD]])
    return f"{at}  {event['type']:<18} {printable(said)}"
