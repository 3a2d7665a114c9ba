"""``buildnet ledger``: what happened, who did it, how far it is sealed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.ledger_checks import Acknowledge, check_proof, prove, verify
from buildnet.cli.ledger_listing import ID_DIGITS, list_entries
from buildnet.cli.ledger_sealing import last_seal_text, sealing_text, wait_for_seal
from buildnet.cli.ledger_state import state
from buildnet.cli.ledger_tail import tail
from buildnet.cli.ledger_upkeep import backup, make_key, prune, restore, status
from buildnet.cli.output import (
    Listing,
    age_text,
    escaped,
    print_fields,
    show,
    since_text,
    waiting,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="The ledger: what happened, and proof of it.")


app.command("list")(list_entries)


@app.callback(invoke_without_command=True)
def ledger(context: typer.Context) -> None:
    """The ledger: what happened, and proof of it. Without a verb: its newest entries."""
    if context.invoked_subcommand is None:
        list_entries()


app.command("tail")(tail)


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
        "before it": entry["previous"] or "none: it begins the chain",
        "after it": entry["next"] or "none yet",
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


app.command("state")(state)


@app.command()
def sync() -> None:
    """Show how far the chains reach here, and what the other nodes told of theirs."""
    data = Client.of(settings()).get("/api/ledger/sync")
    ids = [one["incarnation"] for one in data["chains"]]
    show(settings(), data, lambda console: _print_sync(console, data), ids=ids)


def _print_sync(console: Console, data: dict[str, Any]) -> None:
    fields = {
        "problem": f"[red]{escaped(data['problem'] or '')}[/red]" if data["problem"] else "",
        "sealing": sealing_text(data["sealing"]),
        "last seal": last_seal_text(data["height"], data["sealed_at"]),
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
            "" if one["age_s"] is None else age_text(one["age_s"]),
        )
    if data["peers"]:
        peers.print(console)


def _peer_text(peer: dict[str, Any]) -> str:
    if peer["lacks"] is None:
        return "no word yet since this node started"
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
    entity: Annotated[
        str, typer.Option(help="What it is about, such as node:NAME or build:ID.")
    ] = "",
) -> None:
    """Put a note on record, under your name."""
    import secrets

    body = {
        "text": text,
        "ack": ack.value,
        "entity": entity,
        "request": secrets.token_hex(16),
    }
    client = Client.of(settings())
    if ack is Acknowledge.SEALED:
        wait_for_seal(client)
    try:
        entry = client.post("/api/ledger/entries", body)
    finally:
        waiting(settings(), None)

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
