"""``buildnet pool health``: is everybody there, who decides, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.output import (
    Listing,
    age_text,
    bytes_text,
    duration_text,
    escaped,
    print_fields,
    role_text,
    show,
    status_text,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console


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
    coordinator, quorum, lag = data["coordinator"], data["quorum"], data["loop_lag_ms"]
    problems = "\n".join(data["problems"])
    fields = {"problem": f"[red]{escaped(problems)}[/red]"}
    if data["healthy"]:
        fields = {"state": "[green]healthy[/green]"}
    if coordinator:
        fields["coordinator"] = f"{escaped(coordinator['name'])}, term {coordinator['term']}"
    if len(data["nodes"]) > 1:
        fields["quorum"] = escaped(quorum["state"].removeprefix("quorum, "))
    fields["loop lag"] = "not measured yet" if lag is None else f"{lag:.1f} ms (p99)"
    print_fields(console, fields)
    _nodes(data).print(console)
    harmless = [each for each in data["refused"] if each["harmless"]]
    if len(harmless) < len(data["refused"]):
        _refused(each for each in data["refused"] if not each["harmless"]).print(console)
    if harmless:
        count = sum(each["count"] for each in harmless)
        console.print(f"harmless notes of normal operation: {count} (--json lists them)")


def _refused(counters: Iterable[dict[str, Any]]) -> Listing:
    table = Listing(
        "refused or noted",
        "count",
        "last by",
        "when",
        "what",
        right=("count",),
        wraps=("what",),
        spare=("last by",),
    )
    for each in counters:
        table.add_row(
            escaped(each["reason"]),
            str(each["count"]),
            escaped(each["last_name"] or each["last_peer"] or ""),
            age_text(each["last_age_s"]),
            escaped(each["last_detail"]),
        )
    return table


def _nodes(data: dict[str, Any]) -> Listing:
    table = Listing(
        "node",
        "id",
        "role",
        "status",
        "link",
        "round trip",
        "heard",
        "loop lag",
        "sent",
        spare=("sent", "loop lag", "heard", "link", "round trip"),
    )
    for node in data["nodes"]:
        link = node["link"]
        latency = latency_text(node["latency_ms"], estimated=node["latency_estimated"])
        table.add_row(
            escaped(node["name"]),
            node["id"][:12],
            role_text(node),
            status_text(node["status"]),
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
