"""``buildnet ledger state``: what was so at a time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.ledger_listing import ID_DIGITS
from buildnet.cli.output import Listing, bytes_text, escaped, print_fields, show
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

_MAX_SHOWN = 160
"""Characters of one value."""


def state(
    entity: Annotated[str, typer.Option(help="Such as config:NAME, node:NAME or build:ID.")],
    at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|HEIGHT",
            help="At this moment, or at the seal of this height; default: now.",
        ),
    ] = None,
) -> None:
    """Show what an entity was, and what stood on its accounts, by what was sealed then."""
    data = Client.of(settings()).get("/api/ledger/state", entity=entity, at=at)
    ids = [data["entry"]["id"]] if data["entry"] else []
    show(settings(), data, lambda console: _print(console, data), ids=ids)


def _print(console: Console, data: dict[str, Any]) -> None:
    entry = data["entry"]
    rows = {"entity": data["entity"], "height": str(data["height"])}
    if entry is None and data["pruned"]:
        rows["state"] = "what was sealed of it was pruned here; a node that keeps more may show it"
    elif entry is None:
        rows["state"] = "nothing was sealed of it by then"
    else:
        rows["last entry"] = f"{entry['id'][:ID_DIGITS]}, {entry['time']}: {entry['text']}"
    if data["pruned"]:
        rows["pruned"] = f"{data['pruned']} entries about it say nothing any more on this node"
    print_fields(console, {name: escaped(value) for name, value in rows.items()})
    if accounts := data["rows"].get("accounts"):
        _print_accounts(console, accounts)
    cut = False
    for name, found in data["rows"].items():
        for row in () if name == "accounts" else found:
            said = {key: _value(key, value) for key, value in row.items() if value is not None}
            cut = cut or any(len(value) > _MAX_SHOWN for value in said.values())
            console.print(f"[bold]{escaped(name)}[/bold]")
            print_fields(console, {key: escaped(_cut(value)) for key, value in said.items()})
    if cut:
        console.print("… --json shows all of it")


def _print_accounts(console: Console, accounts: list[dict[str, Any]]) -> None:
    listing = Listing("account", "stands at", right=("stands at",), wraps=("account",))
    for one in accounts:
        if one["state"]:
            listing.add_row(escaped(one["account"]), escaped(one["state"]))
        for unit, amount in json.loads(one["balances"]).items():
            told = f"{amount} {unit}"
            if unit == "bytes":
                told += f" ({'-' if amount < 0 else ''}{bytes_text(abs(amount))})"
            listing.add_row(escaped(one["account"]), escaped(told))
    listing.print(console)


def _value(name: str, value: object) -> str:
    """Return a column for people: those that end in _at are milliseconds since 1970."""
    if name.endswith("_at") and isinstance(value, int):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(timespec="milliseconds")
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
