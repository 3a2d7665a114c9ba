"""``buildnet pool health``: is everybody there, who decides, and what was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.output import (
    age_text,
    bytes_text,
    duration_text,
    escaped,
    new_table,
    show,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

STATUS_COLORS = {"online": "green", "busy": "yellow", "suspect": "yellow"}


def health(
    exit_status: Annotated[
        bool,
        typer.Option(
            "--exit-status",
            help="End with 1 if something is wrong; with --quiet print only the nodes concerned.",
        ),
    ] = False,
) -> None:
    """Show each node's status and link as seen from here, the quorum, and what was refused."""
    data = Client.of(settings()).get("/api/pool/health")
    ids = [node["id"] for node in data["nodes"]]
    if exit_status:
        ids = [node["id"] for node in data["nodes"] if node["status"] not in ("online", "busy")]
        if not ids and not data["healthy"]:  # what is wrong is wrong with the one that was asked
            ids = [data["node_id"]]
    show(settings(), data, lambda console: _table(console, data), ids=ids)
    if exit_status and not data["healthy"]:
        raise typer.Exit(1)


def _table(console: Console, data: dict[str, Any]) -> None:
    if data["healthy"]:
        console.print("[green]healthy[/green]")
    for problem in data["problems"]:
        console.print(f"[red]problem[/red]      {escaped(problem)}")
    coordinator, quorum = data["coordinator"], data["quorum"]
    if coordinator:
        console.print(
            f"[bold]coordinator[/bold]  {escaped(coordinator['name'])}, term {coordinator['term']}"
        )
    if len(data["nodes"]) > 1:
        console.print(
            f"[bold]quorum[/bold]       {escaped(quorum['state'].removeprefix('quorum, '))}"
        )
    lag = data["loop_lag_ms"]
    console.print(
        f"[bold]loop lag[/bold]     {'not measured yet' if lag is None else f'{lag:.1f} ms (p99)'}"
    )
    console.print(_nodes(data))
    refused = data["refused"]
    if refused:
        table = new_table("refused or noted", "count", "last by", "when", "what", right=("count",))
        for each in refused:
            table.add_row(
                escaped(each["reason"]),
                str(each["count"]),
                escaped(each["last_peer"] or ""),
                age_text(each["last_age_s"]),
                escaped(each["last_detail"]),
            )
        console.print(table)


def _nodes(data: dict[str, Any]) -> Any:
    table = new_table("node", "id", "status", "link", "round trip", "heard", "loop lag", "sent")
    for node in data["nodes"]:
        color = STATUS_COLORS.get(node["status"], "red")
        link = node["link"]
        latency = latency_text(node["latency_ms"], estimated=node["latency_estimated"])
        table.add_row(
            escaped(node["name"]),
            node["id"][:12],
            f"[{color}]{node['status']}[/{color}]",
            "this node" if node["this_node"] else escaped(_link(link)),
            "" if node["this_node"] else latency,
            "" if node["this_node"] else age_text(node["last_heard_s"]),
            duration_text(node["loop_lag_ms"]),
            bytes_text(link["bytes_sent"]) if link else "",
        )
    return table


def latency_text(latency_ms: float | None, *, estimated: bool) -> str:
    """Return a round trip for people."""
    if latency_ms is None:
        return "unknown"
    return f"{'about ' if estimated else ''}{latency_ms:.1f} ms"


def _link(link: dict[str, Any] | None) -> str:
    if link is None:
        return "none"
    if link["relayed_by"]:
        return f"through {link['relayed_by']}"
    return f"dialled {link['address']}" if link["outgoing"] else "dialled by it"
