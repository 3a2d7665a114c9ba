"""``buildnet node``: start, stop and look at the node of this host."""

from __future__ import annotations

import os
import select
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli import members, node_config, node_log
from buildnet.cli.client import Client
from buildnet.cli.draining import (
    Timeout,
    Wait,
    count_text,
    drain_node,
    resume_node,
    seconds,
)
from buildnet.cli.members import join_cluster, joined_text
from buildnet.cli.output import (
    Listing,
    age_text,
    benchmark_text,
    bytes_text,
    duration_text,
    escaped,
    note,
    print_fields,
    show,
    since_text,
)
from buildnet.cli.run import settings
from buildnet.cli.start import runtime_dict, start_or_find, wait_until_ready
from buildnet.mesh.errors import BuildNetError, UsageError
from buildnet.node.home import AlreadyRunningError, Home, Runtime, default_home

if TYPE_CHECKING:
    from rich.console import Console


class NodeRole(StrEnum):
    """What a node does."""

    WORKER = "worker"
    OBSERVER = "observer"


class LogFormat(StrEnum):
    """The forms of the log."""

    HUMAN = "human"
    JSON = "json"


app = typer.Typer(help="Start, stop and look at the node of this host.", no_args_is_help=True)
app.add_typer(node_config.app, name="config")
app.command()(node_log.logs)
_STOP_TIMEOUT_S = 60


@app.command()
def start(
    listen: Annotated[
        str | None,
        typer.Option(help="HOST:PORT to listen on; without it port 80, or 8080."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="The node's name; default: the one it had, at first the host's."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Configuration file; default: node.yaml in the data directory."),
    ] = None,
    role: Annotated[
        NodeRole | None,
        typer.Option(help="What it does: work, or only watch and serve views; default: worker."),
    ] = None,
    said: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="First put a setting into its node.yaml, such as workers.max=4; repeatable.",
        ),
    ] = None,
    join: Annotated[
        str | None, typer.Option(help="Then join the cluster of the node at this address.")
    ] = None,
    token: Annotated[str | None, typer.Option(help="The invitation's token, for --join.")] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Run in the background, return once it answers.")
    ] = False,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="How to log; default: human on a terminal.")
    ] = None,
) -> None:
    """Start a node on this host, in the foreground or (--detach) in the background."""
    if token is not None and join is None:
        raise UsageError(
            "--token needs --join",
            hint="buildnet node start --join ADDRESS --token TOKEN",
        )
    home = default_home()
    running = Home(home).read_runtime()
    node_config.put_all(said or (), running, config or Home(home).config)
    if running is not None:
        _runs_already(running)
        _join_after_start(running, join, token)
        return
    if detach:
        runtime, here = start_or_find(
            home, listen=listen, name=name, config=config, role=role, log_format=log_format
        )
        (_started if here else _runs_already)(runtime)
        _join_after_start(runtime, join, token)
        return
    from buildnet.node.daemon import StartOptions, run

    options = StartOptions(
        home, config, listen, name, role=role, join=join, token=token, log_format=log_format
    )
    while True:
        try:
            run(options, _started)
        except AlreadyRunningError:  # somebody else was quicker, or one is just ending
            running = wait_until_ready(home)
            if running is None:
                continue
            _runs_already(running)
            _join_after_start(running, join, token)
        return


def _join_after_start(runtime: Runtime, address: str | None, token: str | None) -> None:
    """Join, and tell of it beside the data that the start prints."""
    if address is None:
        return
    client = Client(socket_path=Path(runtime.socket))
    if client.get("/api/node")["cluster"]["members"] > 1:
        note(settings(), "the node is a member of a cluster already")
        return
    joined = join_cluster(client, address, token)
    note(settings(), joined_text(joined))


def _runs_already(runtime: Runtime) -> None:
    note(settings(), f"node {runtime.name} runs already (process {runtime.pid})")
    _print_runtime(runtime)


def _started(runtime: Runtime) -> None:
    note(settings(), f"node {runtime.name} ({runtime.node_id}) is ready")
    _print_runtime(runtime)


def _print_runtime(runtime: Runtime) -> None:
    def table(console: Console) -> None:
        console.print(f"address  {escaped(runtime.address)}\ndata     {escaped(runtime.home)}")

    show(settings(), runtime_dict(runtime), table, ids=[runtime.node_id])
    sys.stdout.flush()


@app.command()
def stop() -> None:
    """Stop the node of this host; running builds are cancelled."""
    if settings().node is not None:
        raise UsageError(
            "node stop ends the node of this host's data directory, not another one",
            hint="leave --node and BUILDNET_NODE away; on the other host run: buildnet node stop",
        )
    runtime = Home(default_home()).read_runtime()
    if runtime is None:
        note(settings(), "no node runs here")
        show(settings(), {"stopped": False}, lambda console: None)
        return
    Client(socket_path=Path(runtime.socket)).post("/api/node/stop")
    wait_for_end(runtime.pid)
    show(
        settings(),
        {"stopped": True, "node_id": runtime.node_id},
        lambda console: console.print(f"node {escaped(runtime.name)} stopped"),
        ids=[runtime.node_id],
    )


def wait_for_end(pid: int, timeout_s: float = _STOP_TIMEOUT_S) -> None:
    """Wait until the process of a node that was told to stop has ended."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            ended = bool(select.select([descriptor], [], [], timeout_s)[0])
        finally:
            os.close(descriptor)
    else:
        import psutil

        try:
            psutil.Process(pid).wait(timeout_s)
            ended = True
        except psutil.NoSuchProcess:
            ended = True
        except psutil.TimeoutExpired:
            ended = False
    if not ended:
        raise BuildNetError(
            f"the node (process {pid}) did not end within {timeout_s:.0f} s",
            hint=f"its log may tell why; to end it by force: kill -9 {pid} (nothing is lost)",
        )


@app.command()
def status() -> None:
    """Show what the node is and does."""
    data = Client.of(settings()).get("/api/node")
    show(settings(), data, lambda console: _status_table(console, data), ids=[data["node_id"]])


@app.command()
def drain(
    node: Annotated[
        str | None, typer.Argument(help="A node's name or id; default: the node of this host.")
    ] = None,
    wait: Wait = False,
    timeout: Timeout = "1h",
) -> None:
    """Have a node take no new work of others; what runs there, runs to its end.

    It stays so, also over its next start, until it is resumed. Builds that are asked for on it
    still run. Another node than this one can be drained by admins only.
    """
    drain_node(_named(node), wait, seconds(timeout, "--timeout"))


@app.command()
def resume(
    node: Annotated[
        str | None, typer.Argument(help="A node's name or id; default: the node of this host.")
    ] = None,
) -> None:
    """Have a node take work of others again."""
    resume_node(_named(node))


def _named(node: str | None) -> str:
    return str(Client.of(settings()).get("/api/node")["node_id"]) if node is None else node


def _cluster_text(data: dict[str, Any]) -> str:
    cluster, coordinator = data["cluster"], data["coordinator"]
    if cluster["members"] == 1:
        return f"{cluster['name']} (a cluster of one)"
    leads = "no coordinator is known"
    if coordinator:
        kind = "" if coordinator["quorum"] else ", provisional"
        leads = f"coordinator {coordinator['name']}, term {coordinator['term']}{kind}"
    return f"{cluster['name']} ({cluster['members']} members, {leads})"


def _isolation_text(isolation: dict[str, str | None]) -> str:
    if isolation["level"] is None:
        return "being found out"
    return ": ".join(filter(None, (isolation["level"], isolation["reason"])))


def _lends_text(data: dict[str, Any]) -> str:
    slots = sum(each["slots"] for each in data["lent"])
    builds = count_text(len(data["lent"]), "build")
    lent = f"{count_text(slots, 'command')} at once for {builds}" if slots else "none now"
    return f"{lent}; no new ones: {data['lends_nothing']}" if data["lends_nothing"] else lent


def _status_table(console: Console, data: dict[str, Any]) -> None:
    rows = {
        "node": f"{data['name']} ({data['node_id']})",
        "status": data["status"],
        "address": data["address"],
        "role": f"{data['role']}, rights {data['rights']}",
        "cluster": _cluster_text(data),
        "running for": duration_text(data["uptime_s"] * 1000),
        "version": data["version"],
        "data": data["home"],
        "commands at once": str(data["slots"]),
        "speed": benchmark_text(data["benchmark"]),
        "isolation": _isolation_text(data["isolation"]),
        "builds": ", ".join(each["build_id"] for each in data["builds"]) or "none running",
        "works for others": _lends_text(data),
    }
    if data.get("joining"):
        rows = {"node": rows.pop("node"), **_joining_rows(data["joining"]), **rows}
    for told in ("warning", "problem"):
        if data.get(told):
            rows = {"node": rows.pop("node"), told: data[told], **rows}
    print_fields(console, {name: escaped(value) for name, value in rows.items()})


def _joining_rows(joining: dict[str, Any]) -> dict[str, str]:
    begun = f"at {joining['address']}, begun {since_text(joining['since'])}"
    if joining["waits_for"] == "admin":
        return {
            "joining": f"{begun}: waits for an admin there (buildnet node requests shows the same "
            "code, buildnet node approve lets this node in)",
            "code": joining["code"],
        }
    problem = f": {joining['problem']}; it is tried again" if joining["problem"] else ""
    return {"joining": begun + problem}


@app.command()
def scan() -> None:
    """Scan this host again and show what it has."""
    resources = Client.of(settings()).post("/api/node/scan")["resources"]
    names = [each["name"] for each in (*resources["tools"], *resources["runtimes"])]
    show(settings(), resources, lambda console: resources_table(console, resources), ids=names)


@app.command()
def benchmark() -> None:
    """Measure how fast this host is, now, and show it."""
    found = Client.of(settings()).post("/api/node/benchmark")["benchmark"]
    show(settings(), found, lambda console: _benchmark_table(console, found))


def _benchmark_table(console: Console, found: dict[str, Any]) -> None:
    def speed(name: str, unit: str) -> str:
        return "unknown" if found[name] is None else f"{found[name]:.0f} {unit}"

    rows = {
        "core": f"{found['cpu_units']:.0f} units",
        "processor": escaped(found["cpu_model"] or "unknown model"),
        "reads": speed("read_mib_s", "MiB/s"),
        "writes": speed("write_mib_s", "MiB/s"),
        "small writes": speed("writes_per_s", "/s"),
        "measured": age_text(found["age_s"]),
    }
    print_fields(console, rows)


def resources_table(console: Console, resources: dict[str, Any]) -> None:
    """Print what a host has."""
    from datetime import UTC, datetime

    age = datetime.now(UTC) - datetime.fromisoformat(resources["scanned_at"])
    cpu, memory = resources["cpu"], resources["memory"]
    frequency = f", {cpu['frequency_mhz']} MHz" if cpu["frequency_mhz"] else ""
    print_fields(
        console,
        {
            "scanned": age_text(age.total_seconds()),
            "cpu": f"{cpu['cores']} cores usable of {cpu['logical']}: "
            f"{escaped(cpu['model'] or 'unknown model')} ({cpu['architecture']}{frequency})",
            "memory": f"{bytes_text(memory['available_bytes'])} free of "
            f"{bytes_text(memory['total_bytes'])}",
        },
    )
    storage = Listing(
        "storage",
        "class",
        "file system",
        "free",
        "size",
        right=("free", "size"),
        spare=("file system", "class"),
    )
    for volume in resources["storage"]:
        storage.add_row(
            escaped(volume["path"]),
            volume["storage_class"],
            escaped(volume["file_system"]),
            bytes_text(volume["available_bytes"]),
            bytes_text(volume["total_bytes"]),
        )
    storage.print(console)
    for title in ("tools", "runtimes"):
        table = Listing(title, "version", "path", "can", wraps=("can",), spare=("can",))
        for each in resources[title]:
            can = ", ".join(each["capabilities"][:8]) + (
                " …" if len(each["capabilities"]) > 8 else ""
            )
            table.add_row(
                escaped(each["name"]),
                escaped(each["version"] or "unknown"),
                escaped(each["path"]),
                escaped(each["problem"] or can),
            )
        table.print(console)
    network = Listing("network", "addresses", "speed", wraps=("addresses",))
    for each in resources["network"]:
        speed = f"{each['speed_mbps']} Mbit/s" if each["speed_mbps"] else "unknown"
        addresses = ", ".join(each["addresses"])
        state = speed if each["up"] else "down"
        network.add_row(escaped(each["name"]), escaped(addresses), state)
    network.print(console)
    for gpu in resources["gpus"]:
        console.print(f"[bold]gpu[/bold] {escaped(gpu['name'])} {bytes_text(gpu['memory_bytes'])}")


for _command in members.COMMANDS:
    app.command(
        _command.__name__.replace("_", "-").removesuffix("-command"),
        # -5 is a priority, not an option.
        context_settings={"ignore_unknown_options": _command is members.set_priority},
    )(_command)
