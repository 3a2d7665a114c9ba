"""``buildnet ledger``: what happened, who did it, how far it is sealed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.ledger_checks import Acknowledge, check_proof, prove, verify
from buildnet.cli.ledger_upkeep import backup, make_key, prune, restore, status
from buildnet.cli.output import (
    Listing,
    age_text,
    escaped,
    print_fields,
    printable,
    show,
    since_text,
)
from buildnet.cli.run import settings
from buildnet.cli.user import user_name

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="The ledger: what happened, and proof of it.")
ID_DIGITS = 12
_MORE = "more: add --cursor "

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this type, or build.* for all of a kind; repeatable."),
]
Origin = Annotated[str | None, typer.Option(help="Only what this node recorded (its id).")]
Who = Annotated[str | None, typer.Option(help="Only what this actor did (its id).")]
Entity = Annotated[str | None, typer.Option(help="Only what is about it, such as config:NAME.")]
Correlation = Annotated[str | None, typer.Option(help="Only what belongs together by this id.")]
BuildId = Annotated[str | None, typer.Option("--build", help="Only what is about this build.")]
From = Annotated[
    str | None, typer.Option("--from", help="From this moment on: ISO 8601 (UTC), or 2h ago: 2h.")
]
To = Annotated[str | None, typer.Option("--to", help="Up to this moment.")]
Text = Annotated[str | None, typer.Option(help="Only what says this, whatever the case.")]
Sealed = Annotated[
    bool | None, typer.Option("--sealed/--provisional", help="Only what is sealed, or is not.")
]


def list_entries(
    type: Types = None,
    origin: Origin = None,
    actor: Who = None,
    entity: Entity = None,
    correlation: Correlation = None,
    build: BuildId = None,
    since: From = None,
    to: To = None,
    text: Text = None,
    sealed: Sealed = None,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="In sealed order, then what is provisional.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last list ended.")] = None,
) -> None:
    """List entries, newest first."""
    data = Client.of(settings()).get(
        "/api/ledger",
        type=type,
        origin=origin,
        actor=actor,
        entity=entity,
        correlation=correlation,
        build=build,
        to=to,
        text=text,
        sealed=sealed,
        limit=limit,
        cursor=cursor,
        order="asc" if oldest_first else "desc",
        **{"from": since},
    )
    show_entries(data["entries"], data, data["next"])


app.command("list")(list_entries)


@app.callback(invoke_without_command=True)
def ledger(context: typer.Context) -> None:
    """The ledger: what happened, and proof of it. Without a verb: its newest entries."""
    if context.invoked_subcommand is None:
        list_entries()


def show_entries(entries: Sequence[dict[str, Any]], data: Any, following: str | None) -> None:
    """Print entries as a table, or ``data`` as it is wanted."""

    def table(console: Console) -> None:
        _table(entries).print(console)
        if following is not None:
            console.print(f"{_MORE}{escaped(following)}")

    show(settings(), data, table, ids=[one["id"] for one in entries])


def _table(entries: Iterable[dict[str, Any]]) -> Listing:
    table = Listing(
        "entry",
        "when",
        "node",
        "type",
        "what",
        "seal",
        right=("seal",),
        wraps=("what",),
        spare=("node", "type", "seal"),
    )
    for one in entries:
        table.add_row(
            one["id"][:ID_DIGITS],
            since_text(one["time"]),
            one["node_id"][:ID_DIGITS],
            escaped(one["type"]),
            escaped(one["text"]),
            _seal(one),
        )
    return table


def _seal(entry: dict[str, Any]) -> str:
    return "[yellow]provisional[/yellow]" if entry["sealed"] is None else str(entry["sealed"])


@app.command()
def tail(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is sealed from now on.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, max=1000, help="How many entries to begin with.")
    ] = 10,
    type: Types = None,
    origin: Origin = None,
    entity: Entity = None,
    cursor: Annotated[
        str | None, typer.Option(help="With -f: go on after the entry that had this cursor.")
    ] = None,
) -> None:
    """Show the newest sealed entries, the newest last; -f goes on as more are sealed."""
    client = Client.of(settings())
    if not follow:
        wanted = {"type": type, "origin": origin, "entity": entity, "sealed": True}
        data = client.get("/api/ledger", limit=max(1, count), **wanted)
        entries = data["entries"][:count][::-1]
        show_entries(entries, {"entries": entries, "next": data["next"]}, None)
        return
    with client.follow(
        "/api/ledger/tail", type=type, origin=origin, entity=entity, last=count, cursor=cursor
    ) as entries:
        for entry in entries:
            _print_line(entry)


def _print_line(entry: dict[str, Any]) -> None:
    if settings().format == "json":
        print(json.dumps(entry, ensure_ascii=False))
    elif settings().quiet:
        print(entry["id"])
    else:
        words = (entry["time"], entry["id"][:ID_DIGITS], entry["node_id"], entry["type"])
        print(*words, printable(entry["text"]), sep="  ")
    sys.stdout.flush()


@app.command("show")
def show_entry(
    entry_id: Annotated[str, typer.Argument(metavar="ID", help="Its id or the beginning of it.")],
) -> None:
    """Show all that one entry says."""
    entry = Client.of(settings()).get(f"/api/ledger/entries/{path_part(entry_id)}")
    show(settings(), entry, lambda console: _print_entry(console, entry), ids=[entry["id"]])


def _print_entry(console: Console, entry: dict[str, Any]) -> None:
    actor, height = entry["actor"], entry["sealed"]
    sealed = "not sealed yet: provisional" if height is None else f"by the seal of height {height}"
    rows = {
        "entry": entry["id"],
        "what": entry["text"],
        "type": entry["type"],
        "time": f"{entry['time']} ({since_text(entry['time'])})",
        "actor": f"{actor['name'] or actor['id']} ({actor['kind']} {actor['id']})",
        "reason": entry["reason"],
        "entity": entry["entity"],
        "correlation": entry["correlation"],
        "sealed": sealed,
        "chain": f"of node {entry['node_id']}, {entry['incarnation']}, number {entry['sequence']}",
        "after": entry["prev_hash"],
        "data": json.dumps(entry["data"], ensure_ascii=False),
    }
    for number, one in enumerate(entry["postings"], start=1):
        amount = f"{one['amount']} {one['unit']}" if one["unit"] else one["state"] or "nothing"
        rows[f"posting {number}"] = f"{one['side']} {one['account']}: {amount}"
    print_fields(console, {name: escaped(value) for name, value in rows.items() if value})


@app.command()
def seals(
    first: Annotated[
        int | None, typer.Option("--from", min=1, help="From this height on; default: the last.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many seals at most.")] = 20,
) -> None:
    """List final seals: what each one covers, and who signed it."""
    data = Client.of(settings()).get("/api/ledger/seals", limit=limit, **{"from": first})

    def table(console: Console) -> None:
        listing = Listing(
            "height",
            "seal",
            "when",
            "entries",
            "signed",
            "term",
            right=("height", "entries", "term"),
            spare=("term", "when"),
        )
        for one in data["seals"]:
            listing.add_row(
                str(one["height"]),
                one["hash"][:ID_DIGITS],
                since_text(one["time"]),
                str(one["entries"]),
                f"{len(one['signed_by'])} of {len(one['voters'])} voters",
                str(one["term"]),
            )
        listing.print(console)
        if data["next"] is not None:
            console.print(f"more: buildnet ledger seals --from {data['next']}")

    show(settings(), data, table, ids=[one["hash"] for one in data["seals"]])


@app.command()
def state(
    entity: Annotated[str, typer.Option(help="Such as config:NAME, node:ID or build:ID.")],
    at: Annotated[
        str | None,
        typer.Option(metavar="TIME|HEIGHT", help="At this moment or height; default: now."),
    ] = None,
) -> None:
    """Show what an entity was, by what was sealed then."""
    data = Client.of(settings()).get("/api/ledger/state", entity=entity, at=at)

    def table(console: Console) -> None:
        entry = data["entry"]
        rows = {"entity": data["entity"], "height": str(data["height"])}
        if entry is None:
            rows["state"] = "nothing was sealed of it by then"
        else:
            rows["last entry"] = f"{entry['id'][:ID_DIGITS]}, {entry['time']}: {entry['text']}"
            rows["data"] = json.dumps(data["data"], ensure_ascii=False)
        for name, found in data["rows"].items():
            for row in found:
                said = {key: value for key, value in row.items() if value is not None}
                rows[name] = "; ".join(f"{key}: {value}" for key, value in said.items())
        print_fields(console, {name: escaped(value) for name, value in rows.items()})

    show(settings(), data, table, ids=[data["entry"]["id"]] if data["entry"] else [])


@app.command()
def sync() -> None:
    """Show how far the chains reach here, and what the other nodes told of theirs."""
    data = Client.of(settings()).get("/api/ledger/sync")
    ids = [one["incarnation"] for one in data["chains"]]
    show(settings(), data, lambda console: _print_sync(console, data), ids=ids)


def _print_sync(console: Console, data: dict[str, Any]) -> None:
    last = f", {since_text(data['sealed_at'])}" if data["sealed_at"] else ""
    fields = {
        "problem": f"[red]{escaped(data['problem'] or '')}[/red]" if data["problem"] else "",
        "last seal": f"height {data['height']}{last}",
        "entries": f"{data['entries']}, {data['unsealed']} of them not sealed yet",
    }
    print_fields(console, {name: value for name, value in fields.items() if value})
    chains = Listing(
        "chain of", "begun as", "reaches", "sealed", "state", right=("reaches", "sealed")
    )
    for one in data["chains"]:
        broken = one["quarantined_from"]
        chains.add_row(
            escaped(one["name"] or one["node_id"]),
            one["incarnation"],
            str(one["sequence"]),
            str(one["sealed"]),
            "" if broken is None else f"[red]two entries at {broken}[/red]",
        )
    chains.print(console)
    peers = Listing("node", "link", "last seal", "state", "told", wraps=("state",), spare=("told",))
    for one in data["peers"]:
        peers.add_row(
            escaped(one["name"] or one["node_id"]),
            "linked" if one["linked"] else "[yellow]none[/yellow]",
            "unknown" if one["height"] is None else str(one["height"]),
            _peer_text(one),
            age_text(one["age_s"]),
        )
    if data["peers"]:
        peers.print(console)


def _peer_text(peer: dict[str, Any]) -> str:
    if peer["lacks"] is None:
        return "it told nothing yet"
    parts = [f"{peer['lacks']} entries behind"] if peer["lacks"] else []
    parts += [f"{peer['leads']} entries ahead"] if peer["leads"] else []
    return ", ".join(parts) or "holds the same entries"


@app.command()
def note(
    text: Annotated[str, typer.Argument(help="What is to be on record.")],
    ack: Annotated[
        Acknowledge,
        typer.Option(help="Wait for this node's disk, or until a majority of the voters has it."),
    ] = Acknowledge.LOCAL,
    entity: Annotated[str, typer.Option(help="What it is about, such as node:ID.")] = "",
) -> None:
    """Put a note on record, under your name."""
    import secrets

    body = {
        "text": text,
        "ack": ack.value,
        "entity": entity,
        "actor": user_name(),
        "request": secrets.token_hex(16),
    }
    entry = Client.of(settings()).post("/api/ledger/entries", body)

    def table(console: Console) -> None:
        where = "on this node's disk, not sealed yet"
        if entry["sealed"] is not None:
            where = f"sealed at height {entry['sealed']}"
        console.print(f"{entry['id'][:ID_DIGITS]}  {where}")

    show(settings(), entry, table, ids=[entry["id"]])


app.command("verify")(verify)
app.command("prove")(prove)
app.command("check-proof")(check_proof)
app.command("status")(status)
app.command("backup")(backup)
app.command("restore")(restore)
app.command("prune")(prune)
app.command("make-key")(make_key)
