"""``buildnet queue``: the builds that run and wait in the cluster, and what people want of them."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from buildnet.cli import dead_letters
from buildnet.cli.building import BuildOptions, request_of
from buildnet.cli.client import Client, path_part
from buildnet.cli.output import Listing, console, duration_text, escaped, note, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node

if TYPE_CHECKING:
    from rich.console import Console

PriorityName = Literal["critical", "high", "normal", "low"]
_LOOK_EVERY_S = 1.0

app = typer.Typer(help="See and change which builds run and wait.", no_args_is_help=True)
app.add_typer(dead_letters.app, name="dead")

BuildArgument = Annotated[
    str, typer.Argument(metavar="BUILD", help="The build: its id, or the beginning of it.")
]
SomeBuild = Annotated[
    str | None,
    typer.Argument(metavar="BUILD", help="This build; without: the queue as a whole."),
]


@app.command("list")
def list_builds(
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            "-w",
            "--follow",
            "-f",
            help="Show it again whenever it changes, with --json one line each time.",
        ),
    ] = False,
) -> None:
    """List the builds that run and wait in the cluster, who comes next first."""
    client = Client.of(settings())
    if watch:
        _watch(client)
    data = client.get("/api/queue")
    ids = [each["build_id"] for each in data["builds"]]
    show(settings(), data, lambda on: _table(on, data), ids=ids)


@app.command()
def add(
    packages: Annotated[
        list[str] | None, typer.Argument(help="Only these and what they depend on; default: all.")
    ] = None,
    task: Annotated[str, typer.Option(help="Run this task instead of build.")] = "build",
    priority: Annotated[
        PriorityName | None, typer.Option(help="How urgent it is; else as its profile says.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run even what has a result.")] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="After a failure go on with what is independent.")
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Go by this configuration, or by what a file (./FILE.yaml) holds and nobody kept.",
        ),
    ] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Spread it as this profile says.")
    ] = None,
    directory: Annotated[
        Path, typer.Option("--directory", "-C", help="Build the workspace around this directory.")
    ] = Path(),
) -> None:
    """Ask for a build and do not wait for it."""
    client = ensure_node(settings())
    options = BuildOptions(
        packages=tuple(packages or ()),
        task=task,
        priority=priority,
        force=force,
        keep_going=keep_going,
        durable=True,  # who does not wait for it may leave with this node
        config=config,
        profile=profile,
        directory=directory,
    )
    data = client.post("/api/build", request_of(options, client))
    build = data["build_id"]
    show(
        settings(),
        data,
        lambda on: on.print(f"build {build} is asked for: buildnet queue list"),
        ids=[build],
    )


@app.command()
def move(
    build: BuildArgument,
    place: Annotated[int, typer.Argument(min=1, max=100_000, help="1 comes next.")],
) -> None:
    """Put a build at a place of the queue; those before it keep theirs."""
    where = "comes next" if place == 1 else f"comes to place {place}, or to the end of fewer"
    _change(build, "move", where, place=place)


@app.command()
def priority(
    build: BuildArgument,
    level: Annotated[PriorityName, typer.Argument(help="How urgent it is from now on.")],
) -> None:
    """Change how urgent a build is."""
    _change(build, "priority", f"has the priority {level} now", priority=level)


@app.command()
def pause(
    build: SomeBuild = None,
    reason: Annotated[
        str, typer.Option(help="Why; buildnet queue list shows it, and the ledger keeps it.")
    ] = "",
) -> None:
    """Let a build start no commands, or no build at all; what runs ends."""
    _change(build, "pause", "is paused", reason=reason)


@app.command()
def resume(build: SomeBuild = None) -> None:
    """Let a build start commands again, or all of them."""
    _change(build, "resume", "goes on")


@app.command()
def cancel(build: BuildArgument) -> None:
    """Ask for the end of a build, whichever node drives it."""
    _change(build, "cancel", "is being cancelled")


def _change(build: str | None, what: str, done: str, **body: object) -> None:
    path = f"/api/queue/{what}" if build is None else f"/api/queue/{path_part(build)}/{what}"
    data = Client.of(settings()).post(path, body)
    found = data["build_id"]
    words = f"the queue {done}" if found is None else f"build {found} {done}"
    if not data.get("changed", True):
        words = f"{'the queue' if found is None else f'build {found}'} is not paused"
    if data.get("goes_on"):
        words = f"build {found} goes on for others who asked for the same"
    show(settings(), data, lambda on: on.print(words), ids=[found] if found else [])


def _watch(client: Client) -> None:
    """Show the queue as it changes, until somebody ends this."""
    before: Any = None
    while True:
        data = client.get("/api/queue")
        if data != before:
            before = data
            if settings().format == "table":
                on = console(settings())
                on.clear()
                _table(on, data)
            else:
                print(json.dumps(data, ensure_ascii=False), flush=True)
        time.sleep(_LOOK_EVERY_S)


def _table(on: Console, data: dict[str, Any]) -> None:
    if not data["complete"]:
        note(settings(), "no coordinator answers: these are the builds of this node alone")
    if data["paused"]:
        why = f": {escaped(data['reason'])}" if data.get("reason") else ""
        on.print(f"[yellow]the queue is paused by {escaped(data['paused_by'])}{why}[/yellow]")
    if not data["builds"]:
        on.print("nothing runs or waits")
        return
    table = Listing(
        "place",
        "build",
        "workspace",
        "by",
        "node",
        "priority",
        "state",
        "waited",
        "starts in",
        "ends in",
        right=("place", "waited", "starts in", "ends in"),
        spare=("by", "priority", "waited", "node"),
    )
    for each in data["builds"]:
        table.add_row(
            str(each["place"]),
            each["build_id"],
            escaped(each["workspace"]),
            escaped(each["actor"]),
            escaped(each["node"]) + (" (this node)" if each["this_node"] else ""),
            each["priority"],
            _colored(each),
            _time(each["waited_s"], ""),
            _time(each["starts_in_s"], "" if each["state"] != "waiting" else "unknown"),
            _time(each["ends_in_s"], "unknown"),
        )
    table.print(on)


def _colored(each: dict[str, Any]) -> str:
    color = {"running": "green", "paused": "yellow"}.get(each["state"])
    words = escaped(each["words"])
    if each.get("reason"):
        words += f" ({escaped(each['reason'])})"
    return words if color is None else f"[{color}]{words}[/{color}]"


def _time(seconds: float | None, unknown: str) -> str:
    return unknown if seconds is None else duration_text(seconds * 1000)
