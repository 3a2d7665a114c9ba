"""``buildnet pool``: all nodes' resources in one view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.health import health, latency_text
from buildnet.cli.output import (
    Listing,
    age_text,
    benchmark_text,
    bytes_text,
    escaped,
    print_fields,
    role_text,
    show,
    since_text,
    status_text,
)
from buildnet.cli.run import settings

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="All nodes' resources in one view.", no_args_is_help=True)


@app.command()
def status() -> None:
    """Show the pool: its nodes and what they have together."""
    data = Client.of(settings()).get("/api/pool")
    ids = [node["id"] for node in data["nodes"]]
    show(settings(), data, lambda console: pool_table(console, data), ids=ids)


@app.command()
def nodes() -> None:
    """List the nodes."""
    data = Client.of(settings()).get("/api/pool/nodes")
    ids = [node["id"] for node in data["nodes"]]

    def table(console: Console) -> None:
        _print_problem(console, data["view"])
        _nodes_table(console, data["nodes"])

    show(settings(), data, table, ids=ids)


@app.command()
def resources(
    type: Annotated[
        str | None,
        typer.Option(help="Only cpu, memory, storage, tool, runtime, network or gpu."),
    ] = None,
    on: Annotated[str | None, typer.Option(help="Only this node (name or id).")] = None,
) -> None:
    """List every resource with the node that owns it."""
    data = Client.of(settings()).get("/api/pool/resources", type=type, node=on)
    names = [each["name"] for each in data["resources"]]

    def table(console: Console) -> None:
        _print_problem(console, data["view"])
        _resources_table(console, data)

    show(settings(), data, table, ids=names)


app.command()(health)


def pool_table(console: Console, data: dict[str, Any]) -> None:
    """Print the pool's status."""
    aggregate = data["aggregate"]
    console.print(f"[bold]pool[/bold] {escaped(data['cluster']['name'])}, {escaped(_leads(data))}")
    _print_problem(console, data["view"])
    _nodes_table(console, data["nodes"])
    _leases_table(console, data["leases"])
    for node in data["nodes"]:
        if node["lends_nothing"] and node["role"] == "worker":
            console.print(
                f"{escaped(node['name'])} works for nobody else: {escaped(node['lends_nothing'])}",
                soft_wrap=True,
            )
    free, size, volumes = _disks(aggregate["storage_volumes"])
    memory = (aggregate["available_memory_bytes"], aggregate["total_memory_bytes"])
    print_fields(
        console,
        {
            "cores": f"{aggregate['available_cpu_cores']} free of {aggregate['total_cpu_cores']}",
            "memory": f"{bytes_text(memory[0])} free of {bytes_text(memory[1])}",
            "storage": f"{bytes_text(free)} free of {bytes_text(size)}, "
            f"{volumes} volume{'' if volumes == 1 else 's'}",
            "tools": escaped(", ".join(aggregate["tools"])) or "none",
            "runtimes": escaped(", ".join(aggregate["runtimes"])) or "none",
        },
    )


def _disks(found: list[dict[str, Any]]) -> tuple[int, int, int]:
    """Return what is free of volumes, how large they are, and how many: directories of one volume
    of a node have its space together."""
    volumes: dict[tuple[str, str], tuple[int, int]] = {}
    for one in found:
        told = (one["total_bytes"] or 0, one["available_bytes"] or 0)
        place = (one["node_id"], one["mount_point"])
        volumes[place] = max(volumes.get(place, told), told)
    sizes = volumes.values()
    return sum(free for _, free in sizes), sum(size for size, _ in sizes), len(volumes)


def _leads(data: dict[str, Any]) -> str:
    coordinator = data["coordinator"]
    if coordinator:
        kind = "" if coordinator["quorum"] else ", provisional"
        return f"coordinator {coordinator['name']}, term {coordinator['term']}{kind}"
    if data["view"]["members"] == 1:
        return "no coordinator (a node alone)"
    return "no coordinator is known"


def _print_problem(console: Console, view: dict[str, Any]) -> None:
    """Say it where what follows is not all of the pool, or old."""
    if not view["complete"]:
        console.print(f"[yellow]incomplete:[/yellow] {escaped(view['problem'])}")


def _nodes_table(console: Console, nodes: list[dict[str, Any]]) -> None:
    table = Listing(
        "node",
        "id",
        "role",
        "status",
        "cores in use",
        "cpu",
        "memory",
        "latency",
        "speed",
        "measured",
        spare=("measured", "speed", "latency", "memory", "cpu", "cores in use"),
    )
    for node in nodes:
        held, used = node["resources"], node["utilization"]
        memory = held and (
            f"{bytes_text(held['memory']['available_bytes'])} free of "
            f"{bytes_text(held['memory']['total_bytes'])}"
        )
        busy = used and used["cpu_percent"] is not None and f"{used['cpu_percent']:.0f} %"
        latency = latency_text(node["latency_ms"], estimated=node["latency_estimated"])
        table.add_row(
            escaped(node["name"]),
            escaped(node["id"][:12]),
            role_text(node),
            status_text(node["status"])
            + (", [yellow]drained[/yellow]" if node["draining"] else ""),
            f"{node['cores_in_use']} of {held['cpu']['cores']}" if held else "unknown",
            busy or "unknown",
            memory or "unknown",
            "this node" if node["this_node"] else latency,
            benchmark_text(node["benchmark"]),
            age_text(node["age_s"]),
        )
    table.print(console)


def _leases_table(console: Console, leases: list[dict[str, Any]]) -> None:
    """Print who lends how much to which build of whom."""
    if not leases:
        return
    table = Listing("lends", "to build", "of", "commands at once", "since", spare=("since",))
    for each in leases:
        table.add_row(
            escaped(each["owner_name"]),
            escaped(each["build"]),
            escaped(f"{each['actor']} on {each['holder_name']}"),
            str(each["slots"]),
            since_text(each["since"]),
        )
    table.print(console)


def _resources_table(console: Console, data: dict[str, Any]) -> None:
    table = Listing("type", "name", "node", "free", "what", wraps=("name", "what"), spare=("free",))
    for each in data["resources"]:
        share = each["availability"]
        table.add_row(
            each["type"],
            escaped(each["name"]),
            escaped(each["node_name"]),
            "unknown" if share is None else f"{share:.0%}",
            escaped(_what(each["type"], each["resource"])),
        )
    table.print(console)


def _what(kind: str, resource: dict[str, Any]) -> str:
    match kind:
        case "cpu":
            return f"{resource['cores']} cores, {resource['architecture']}"
        case "memory":
            return bytes_text(resource["total_bytes"])
        case "storage":
            return f"{resource['storage_class']}, {bytes_text(resource['total_bytes'])}"
        case "network":
            return ", ".join(resource["addresses"])
        case "gpu":
            return bytes_text(resource["memory_bytes"])
        case _:
            return f"{resource['version'] or resource['problem']} {resource['path']}"
