"""``buildnet ledger state``: what was so at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.ledger_listing import ID_DIGITS
from buildnet.cli.output import (
    Listing,
    bytes_text,
    duration_text,
    escaped,
    print_fields,
    show,
    since_text,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, Any]

_MAX_SHOWN = 400
"""Characters of one value."""
_CAPACITY, _FREE, _ALLOCATED = "capacity", "free", "allocated"


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
    show(settings(), data, lambda console: print_state(console, data), ids=ids)


def print_state(console: Console, data: dict[str, Any]) -> None:
    """Print a state for people."""
    entry, seal = data["entry"], data["seal"]
    rows = {"entity": data["entity"], "as of": "the beginning, before the first seal"}
    if seal is not None:
        when = _moment(seal["time"])
        rows["as of"] = f"the seal of height {seal['height']}, {when} ({since_text(seal['time'])})"
    if entry is None and data["pruned"]:
        rows["state"] = "what was sealed of it was pruned here; a node that keeps more may show it"
    elif entry is None:
        rows["state"] = "nothing was sealed of it by then"
    else:
        rows["last entry"] = f"{entry['text']} ({entry['id'][:ID_DIGITS]}, {entry['time']})"
    if data["pruned"]:
        rows["pruned"] = f"{data['pruned']} entries about it say nothing any more on this node"
    print_fields(console, {name: escaped(value) for name, value in rows.items()})
    for name, found in data["rows"].items():
        if not found:
            continue
        if (table := _TABLES.get(name)) is not None:
            table(console, found)
        else:
            _others(console, name, found)


# --- tables ------------------------------------------------------------------------------------


def _nodes(console: Console, rows: list[Row]) -> None:
    for row in rows:
        _title(console, f"node {row['name'] or row['id']}")
        words = (row["role"], row["rights"], row["membership"], row["status"])
        fields = {
            "is": ", ".join(str(one) for one in words if one),
            "address": row["address"],
            "joined": _at(row["joined_at"]),
            "last entry of it": _at(row["last_seen_at"]),
        }
        _fields(console, fields)


def _resources(console: Console, rows: list[Row]) -> None:
    _title(console, "resources, as the last scan found them")
    _fields(console, {row["resource_type"]: _resource(row) for row in rows})


def _resource(row: Row) -> str:
    """Return one kind of resources in words; as it was recorded, where it is none that is known."""
    try:
        found = json.loads(row["resource_data"])
        return _RESOURCES[row["resource_type"]](found) or "none"
    except (KeyError, TypeError, ValueError, AttributeError):
        return _cut(str(row["resource_data"]))


def _cpu(found: Any) -> str:
    return ", ".join(
        filter(None, (f"{found['cores']} cores", found.get("model"), found.get("architecture")))
    )


def _volumes(found: Any) -> str:
    return ", ".join(f"{one['path']} {bytes_text(one['total_bytes'])}" for one in found)


def _programs(found: Any) -> str:
    return ", ".join(f"{one['name']} {one['version'] or ''}".strip() for one in found)


def _builds(console: Console, rows: list[Row]) -> None:
    for row in rows:
        _title(console, f"build {row['id']}: {row['status']}")
        took = row["duration_ms"]
        fields = {
            "asked by": row["triggered_by"],
            "configuration": row["config_id"],
            "began": _at(row["started_at"]),
            "ended": _at(row["completed_at"]),
            "took": None if took is None else duration_text(took),
            "error": row["error"],
            "root of results": row["root"],
        }
        _fields(console, fields)


def _packages(console: Console, rows: list[Row]) -> None:
    listing = Listing("package", "status", "took", "on", "error", wraps=("error",), spare=("on",))
    for row in rows:
        took = row["duration_ms"]
        listing.add_row(
            escaped(row["package_name"]),
            escaped(row["status"]),
            "" if took is None else duration_text(took),
            escaped((row["assigned_node"] or "")[:ID_DIGITS]),
            escaped(_cut(row["error"] or "")),
        )
    listing.print(console)


def _allocations(console: Console, rows: list[Row]) -> None:
    listing = Listing("allocation", "build", "of node", "what", "until", spare=("allocation",))
    for row in rows:
        released = _at(row["released_at"])
        listing.add_row(
            escaped(row["id"]),
            escaped((row["build_id"] or "")[:ID_DIGITS]),
            escaped((row["node_id"] or "")[:ID_DIGITS]),
            escaped(_amount_of(row)),
            f"released {released}" if released else _at(row["expires_at"]) or "",
        )
    listing.print(console)


def _amount_of(row: Row) -> str:
    try:
        told = ", ".join(
            _quantity(unit, value) for unit, value in json.loads(row["amount"]).items()
        )
    except (TypeError, ValueError, AttributeError):
        told = _cut(str(row["amount"]))
    return f"{row['resource_type']}: {told}"


def _accounts(console: Console, rows: list[Row]) -> None:
    """Print what a node offers, and what of it is free, resource by resource; else each account."""
    legs: dict[tuple[str, str], dict[str, int]] = {}
    others: list[tuple[str, str]] = []
    for row in rows:
        place, _, leg = row["account"].rpartition("/")
        if row["state"]:
            others.append((row["account"], row["state"]))
        for unit, amount in json.loads(row["balances"]).items():
            if leg in (_CAPACITY, _FREE, _ALLOCATED):
                legs.setdefault((place, unit), {})[leg] = amount
            else:
                others.append((row["account"], _quantity(unit, amount)))
    if legs:
        listing = Listing("resource", "offered", "free", "allocated", right=_RIGHT)
        for (place, unit), found in sorted(legs.items()):
            listing.add_row(
                escaped(place.partition("/")[2] or place),
                # What is offered was taken from its source, which stands below zero by as much.
                escaped(_quantity(unit, -found.get(_CAPACITY, 0))),
                escaped(_quantity(unit, found.get(_FREE, 0))),
                escaped(_quantity(unit, found.get(_ALLOCATED, 0))),
            )
        listing.print(console)
    if others:
        listing = Listing("account", "stands at", wraps=("account",))
        for account, stands in others:
            listing.add_row(escaped(account), escaped(stands))
        listing.print(console)


def _others(console: Console, name: str, rows: list[Row]) -> None:
    for row in rows:
        _title(console, name.replace("_", " "))
        _fields(console, {key: _value(key, value) for key, value in row.items()})


_RIGHT = ("offered", "free", "allocated")
_TABLES: dict[str, Callable[[Console, list[Row]], None]] = {
    "nodes": _nodes,
    "node_resources": _resources,
    "builds": _builds,
    "build_packages": _packages,
    "allocations": _allocations,
    "accounts": _accounts,
}
_RESOURCES: dict[str, Callable[[Any], str]] = {
    "cpu": _cpu,
    "memory": lambda found: bytes_text(found["total_bytes"]),
    "storage": _volumes,
    "gpus": lambda found: ", ".join(str(one.get("name") or one.get("model")) for one in found),
    "system": lambda found: str(found.get("version") or found["name"]),
    "tools": _programs,
    "runtimes": _programs,
}

# --- words -------------------------------------------------------------------------------------


def _title(console: Console, text: str) -> None:
    console.print()
    console.print(f"[bold]{escaped(text)}[/bold]", soft_wrap=True)


def _fields(console: Console, fields: dict[str, Any]) -> None:
    told = {name: escaped(_cut(str(value))) for name, value in fields.items() if value}
    print_fields(console, told, indent=2)


def _quantity(unit: str, amount: int) -> str:
    if unit == "bytes":
        return f"{'-' if amount < 0 else ''}{bytes_text(abs(amount))}"
    return f"{amount} {unit[:-1] if amount == 1 and unit.endswith('s') else unit}"


def _at(milliseconds: int | None) -> str | None:
    if milliseconds is None:
        return None
    return _moment(datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat())


def _moment(iso: str) -> str:
    return datetime.fromisoformat(iso).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _value(name: str, value: object) -> object:
    """Return a column for people: those that end in _at are milliseconds since 1970."""
    return _at(value) if name.endswith("_at") and isinstance(value, int) else value


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_SHOWN else f"{text[: _MAX_SHOWN - 1]}…"
