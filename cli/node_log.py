"""``buildnet node logs``: what the node of this host logs."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.client.events import follow as follow_events
from buildnet.cli.output import printable, show
from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError
from buildnet.node.log_lines import Level

if TYPE_CHECKING:
    from rich.console import Console

PATH = "/api/node/logs"
PATIENCE_S = 60.0
_MOST = 1000
Line = Mapping[str, Any]


def logs(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")
    ] = False,
    count: Annotated[
        int, typer.Option("--count", "-n", min=0, max=_MOST, help="How many lines to begin with.")
    ] = 100,
    level: Annotated[
        Level, typer.Option(help="Only what is as important as this, or more.")
    ] = Level.DEBUG,
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only what holds this, in whatever case.")
    ] = "",
) -> None:
    """Show what this node has logged since it started, the newest last. With --follow and --json
    one line each. Of what it logged before, and why it ended, its log file tells."""
    client = Client.of(settings())
    if follow:
        _show(_following(client, count, level, search))
        return
    found = client.get(PATH, limit=max(1, count), level=level.value, search=search)
    data = {"lines": found["lines"][:count][::-1], "next": found["next"]}

    def table(console: Console) -> None:
        for line in data["lines"]:
            print(text_of(line))

    show(settings(), data, table, ids=[str(line["number"]) for line in data["lines"]])


def _following(client: Client, count: int, level: Level, search: str) -> Iterator[Line]:
    """Yield the latest lines and all that come; also those of another run, if it comes to one."""
    last = 0
    for event in follow_events(client, ("node_logs",), "", None, PATIENCE_S):
        if event["type"] == "snapshot":
            # What was logged until now: at first as much as is wanted, after a gap what it left.
            limit = _MOST if last else count
            found = client.get(PATH, limit=limit, level=level.value, search=search) if limit else {}
            lines = [each for each in found.get("lines", [])[::-1] if each["number"] > last]
        else:
            line = event["data"]
            is_wanted = line["number"] > last and Level(line["level"]).number >= level.number
            lines = [line] if is_wanted and _holds(line, search) else []
        for line in lines:
            last = line["number"]
            yield line


def _holds(line: Line, search: str) -> bool:
    said = (line["source"], line["message"], line["exception"] or "")
    return any(search.lower() in each.lower() for each in said)


def _show(lines: Iterator[Line]) -> None:
    if settings().format == "yaml":
        raise UsageError("what goes on has no form in YAML", hint="--json: one line each")
    for line in lines:
        if settings().format == "json":
            print(json.dumps(line, ensure_ascii=False), flush=True)
        else:
            print(line["number"] if settings().quiet else text_of(line), flush=True)


def text_of(line: Line) -> str:
    """Return a line as it is shown to people."""
    at = time.strftime("%m-%d %H:%M:%S", time.localtime(line["at"]))
    source = str(line["source"]).removeprefix("buildnet.")
    text = f"{at} {line['level']:<8} {source:<8} {line['message']}"
    return printable(text if line["exception"] is None else f"{text}\n{line['exception']}")
