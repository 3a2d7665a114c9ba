"""``buildnet ledger tail``: the ledger as it grows."""

from __future__ import annotations

import json
import sys
import time
from typing import Annotated, Any

import typer

from buildnet.cli.client import Client, NodeUnreachableError
from buildnet.cli.ledger_listing import (
    ID_DIGITS,
    BuildId,
    Entity,
    Origin,
    Text,
    Types,
    Who,
    find_entries,
    show_entries,
)
from buildnet.cli.output import note, printable
from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError

_AGAIN_S = 1.0


def tail(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is recorded from now on.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, max=1000, help="How many entries to begin with.")
    ] = 10,
    sealed: Annotated[
        bool, typer.Option("--sealed", help="Only what is sealed, in its final order.")
    ] = False,
    type: Types = None,
    origin: Origin = None,
    actor: Who = None,
    entity: Entity = None,
    build: BuildId = None,
    text: Text = None,
    cursor: Annotated[
        str | None, typer.Option(help="With -f: go on after the entry that had this cursor.")
    ] = None,
) -> None:
    """Show the newest entries, the newest last; -f goes on with each as soon as this node has it.
    What is not sealed yet is marked provisional."""
    if cursor is not None and not follow:
        raise UsageError("--cursor needs -f", hint="buildnet ledger list --oldest-first --cursor …")
    filters: dict[str, object] = {
        "type": type,
        "origin": origin,
        "actor": actor,
        "entity": entity,
        "build": build,
        "text": text,
        "sealed": True if sealed else None,
    }
    client = Client.of(settings())
    if follow:
        _follow(client, filters, count, cursor)
        return
    data = find_entries(client, filters, max(1, count))
    entries = data["entries"][:count][::-1]
    data = {"entries": entries, "next": data["next"], "pruned": data["pruned"]}
    show_entries(entries, data, None)


def _follow(client: Client, filters: dict[str, object], count: int, cursor: str | None) -> None:
    """Print entries until the person has enough; wait for a node that ends, and go on."""
    told: dict[tuple[str, str], int] = {}
    waiting = reached = False
    while True:
        try:
            with client.follow(
                "/api/ledger/tail", last=0 if cursor else count, cursor=cursor, **filters
            ) as entries:
                reached, waiting = True, False
                for entry in entries:
                    cursor = entry["cursor"]
                    chain = (entry["origin"], entry["incarnation"])
                    if entry["sequence"] > told.get(chain, 0):
                        told[chain] = entry["sequence"]
                        _print(entry)
        except NodeUnreachableError:
            if not reached:
                raise
        if not waiting:
            note(settings(), "the node hung up; this goes on once it answers again")
            waiting = True
        time.sleep(_AGAIN_S)


def _print(entry: dict[str, Any]) -> None:
    if settings().format == "json":
        print(json.dumps(entry, ensure_ascii=False))
    elif settings().quiet:
        print(entry["id"])
    else:
        seal = "provisional" if entry["sealed"] is None else f"seal {entry['sealed']}"
        words = (entry["time"], entry["id"][:ID_DIGITS], entry["node_id"], seal, entry["type"])
        print(*words, printable(entry["text"]), sep="  ")
    sys.stdout.flush()
