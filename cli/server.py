"""``buildnet server``: the hosts of the pool. Add, look at, drain, change and remove them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import AnswerError, Client, path_part
from buildnet.cli.draining import (
    NodeName,
    Timeout,
    Wait,
    count_text,
    drain_node,
    resume_node,
    seconds,
    until_idle,
)
from buildnet.cli.members import confirm
from buildnet.cli.output import (
    Listing,
    bytes_text,
    escaped,
    note,
    print_fields,
    role_text,
    show,
    since_text,
    status_text,
    waiting,
)
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="The hosts of the pool.", no_args_is_help=True)
_LOOK_S = 0.5

Tags = Annotated[
    list[str] | None,
    typer.Option(
        "--tag", "--label", help="Its tags from now on, which commands name as labels; repeatable."
    ),
]
MaxCores = Annotated[int | None, typer.Option(min=1, help="Use at most so many cores.")]
MaxCommands = Annotated[
    int | None, typer.Option(min=1, help="Run at most so many commands at once.")
]
Memory = Annotated[
    str | None,
    typer.Option(metavar="SIZE", help="Give commands at most so much memory, such as 8 GB."),
]
Weight = Annotated[
    float | None,
    typer.Option(help="How much to prefer it for work of others; usual: 1, twice as much: 2."),
]
Refuse = Annotated[bool, typer.Option("--refuse", help="Run none of others.")]
LocalOnly = Annotated[
    list[str] | None,
    typer.Option(metavar="HH:MM-HH:MM", help="Hours in which it runs none of others."),
]


class NotJoinedError(BuildNetError):
    """A server that was invited has not joined in time; it still may."""

    code = "SERVER_NOT_JOINED"
    exit_code = 3


@app.command()
def add(
    name: Annotated[
        str | None, typer.Argument(help="What its node is to be called; default: as its host.")
    ] = None,
    expires: Annotated[
        str,
        typer.Option(metavar="DURATION", help="How long the command works: 30m, 24h, 7d."),
    ] = "1h",
    tag: Tags = None,
    max_cores: MaxCores = None,
    max_commands: MaxCommands = None,
    memory: Memory = None,
    weight: Weight = None,
    refuse: Refuse = False,
    local_only: LocalOnly = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has joined.")] = False,
    timeout: Timeout = "1h",
) -> None:
    """Print the command that makes another host a server of this pool; builds that run use it.

    Tags and limits are part of that command: who runs it puts them into the new node's node.yaml.
    """
    if wait and name is None:
        raise UsageError("--wait needs a name", hint="buildnet server add NAME --wait")
    client = ensure_node(settings())
    before = {each["id"] for each in _servers(client)} if wait else set()
    accepts = False if refuse else None
    terms = _terms(tag, max_cores, max_commands, memory, accepts, weight, local_only)
    body = {"name": name, "valid_s": seconds(expires, "--expires"), "terms": _given(terms)}
    data = client.post("/api/servers", body)
    note(settings(), "run this on the other host, where BuildNet is installed:")
    if not wait:
        show(settings(), data, lambda console: _print_command(console, data), ids=[data["token"]])
    else:
        note(settings(), data["command"])
    if data["warning"]:
        note(settings(), f"warning: {data['warning']}")
    if wait and name is not None:
        joined = _until_joined(client, name, before, seconds(timeout, "--timeout"))
        show(settings(), joined, lambda console: _server_table(console, joined), ids=[joined["id"]])


def _print_command(console: Console, data: dict[str, Any]) -> None:
    console.print(escaped(data["command"]), soft_wrap=True)


def _until_joined(client: Client, name: str, before: set[str], timeout_s: float) -> dict[str, Any]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        waiting(settings(), f"waiting for {name} to join (Ctrl-C ends only the waiting)")
        for each in _servers(client):
            if each["name"] == name and each["id"] not in before and each["status"] != "offline":
                waiting(settings(), None)
                return each
        time.sleep(_LOOK_S)
    waiting(settings(), None)
    raise NotJoinedError(
        f"{name} has not joined within {timeout_s:.0f} s",
        hint="it may still do so: buildnet server list",
    )


@app.command("list")
def list_servers() -> None:
    """List the hosts of the pool: whether they take work of others, and for how many builds."""
    data = Client.of(settings()).get("/api/servers")

    def table(console: Console) -> None:
        if not data["view"]["complete"]:
            console.print(f"[yellow]incomplete:[/yellow] {escaped(data['view']['problem'])}")
        rows = Listing(
            "server",
            "role",
            "status",
            "cores in use",
            "works for",
            "tags",
            "lends nothing",
            wraps=("works for", "tags", "lends nothing"),
            spare=("tags", "role", "cores in use"),
        )
        for each in data["servers"]:
            rows.add_row(
                escaped(each["name"]) + (" (this node)" if each["this_node"] else ""),
                role_text(each),
                _status(each),
                f"{each['cores_in_use']} of {each['cores'] or 'unknown'}",
                _works_for(each),
                escaped(", ".join(each["tags"])),
                escaped(each["lends_nothing"] or ""),
            )
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["servers"]])


@app.command("show")
def show_server(name: NodeName) -> None:
    """Show one host: what it gives, and for which builds it works."""
    data = Client.of(settings()).get(_path(name))
    show(settings(), data, lambda console: _server_table(console, data), ids=[data["id"]])


@app.command()
def drain(name: NodeName, wait: Wait = False, timeout: Timeout = "1h") -> None:
    """Have a host take no new work of others; what runs there, runs to its end.

    It stays so, also over its next start, until it is resumed. Another node than this one can be
    drained by admins only.
    """
    drain_node(name, wait, seconds(timeout, "--timeout"))


@app.command()
def resume(name: NodeName) -> None:
    """Have a host take work of others again."""
    resume_node(name)


@app.command()
def update(
    name: NodeName,
    tag: Tags = None,
    max_cores: MaxCores = None,
    max_commands: MaxCommands = None,
    memory: Memory = None,
    weight: Weight = None,
    accept: Annotated[bool, typer.Option("--accept", help="Run commands of others.")] = False,
    refuse: Refuse = False,
    local_only: LocalOnly = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="First forget all that was said before.")
    ] = False,
) -> None:
    """Change a host's tags and narrow its limits, in force at once, within what node.yaml gives.

    Another node than this one: admins only, and where its owner allows it.
    """
    if accept and refuse:
        raise UsageError("--accept and --refuse are two things", hint="give one of them")
    accepts = accept if accept or refuse else None
    said = _terms(tag, max_cores, max_commands, memory, accepts, weight, local_only)
    change = said if reset else _given(said)
    if not change:
        raise UsageError("nothing is to change", hint="buildnet server update --help")
    data = Client.of(settings()).put(_path(name), change)

    def table(console: Console) -> None:
        console.print(f"{escaped(data['name'])} goes by that now")

    show(settings(), data, table, ids=[data["node_id"]])


@app.command()
def remove(
    name: NodeName,
    force: Annotated[
        bool, typer.Option("--force", help="At once; what runs there runs elsewhere.")
    ] = False,
    timeout: Timeout = "5m",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Take a host out of the pool, once what runs there has ended; it may be added again."""
    confirm(f"remove {name} from the pool?", yes)
    client = Client.of(settings())
    if not force:
        until_idle(client, name, seconds(timeout, "--timeout"))
    data = client.delete(_path(name), force="true" if force else None)
    show(
        settings(),
        data,
        lambda console: console.print(f"{escaped(data['name'])} is removed"),
        ids=[data["node_id"]],
    )


def _terms(
    tags: list[str] | None,
    max_cores: int | None,
    max_commands: int | None,
    memory: str | None,
    accepts: bool | None,
    weight: float | None,
    local_only: list[str] | None,
) -> dict[str, Any]:
    """Return terms of a host as the API has them; None: not said."""
    return {
        "tags": tags,
        "max_cores": max_cores,
        "max_commands": max_commands,
        "max_memory_gb": None if memory is None else _gibibytes(memory),
        "accept_remote_builds": accepts,
        "priority_weight": weight,
        "local_only_hours": local_only,
    }


def _given(terms: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in terms.items() if value is not None}


def _gibibytes(text: str) -> float:
    from buildnet.pool.quantity import GIB, QuantityError, parse_bytes

    try:
        return parse_bytes(text) / GIB
    except QuantityError as error:
        raise UsageError(f"--memory: {error}", hint="write a size such as 8 GB") from error


def _servers(client: Client) -> list[dict[str, Any]]:
    try:
        found: list[dict[str, Any]] = client.get("/api/servers")["servers"]
    except AnswerError:
        return []
    return found


def _path(name: str) -> str:
    return f"/api/servers/{path_part(name)}"


def _status(server: dict[str, Any]) -> str:
    drained = ", [yellow]drained[/yellow]" if server["draining"] else ""
    return status_text(server["status"]) + drained


def _works_for(server: dict[str, Any]) -> str:
    slots = sum(each["slots"] for each in server["lent"])
    builds = len(server["lent"])
    if not builds:
        return "nobody else"
    return f"{count_text(builds, 'build')}, {count_text(slots, 'command')} at once"


def _server_table(console: Console, server: dict[str, Any]) -> None:
    rows = {
        "server": f"{escaped(server['name'])} ({server['id']})",
        "status": _status(server),
        "role": role_text(server),
        "address": escaped(server["address"] or "unknown"),
        "version": escaped(server["version"] or "unknown"),
        "cores": f"{server['cores_in_use']} in use of {server['cores'] or 'unknown'}",
        "memory": bytes_text(server["memory_bytes"]),
        "tags": escaped(", ".join(server["tags"])) or "none",
        "weight": f"{server['priority_weight']:g}",
        "own builds": str(server["builds"]),
        "works for": _works_for(server),
    }
    if server["lends_nothing"]:
        rows["lends nothing"] = escaped(server["lends_nothing"])
    print_fields(console, rows)
    for each in server["lent"]:
        console.print(
            f"  build {escaped(each['build'])} of {escaped(each['actor'])} on "
            f"{escaped(each['node_id'][:12])}: "
            f"{count_text(each['slots'], 'command')} at once, since {since_text(each['since'])}"
        )
