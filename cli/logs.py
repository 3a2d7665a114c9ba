"""``buildnet logs``: what the commands of builds print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.build_report import task_name
from buildnet.cli.client import Build, Client, path_part
from buildnet.cli.client.events import follow as follow_events
from buildnet.cli.client.events import pieces_of
from buildnet.cli.output import printable, show
from buildnet.cli.run import settings
from buildnet.mesh.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

PATIENCE_S = 60.0
MOST_OF_A_LINE = 64 * 1024
"""Characters that are waited for until the line that they are of is shown."""


def logs(
    build: Annotated[
        str | None,
        typer.Argument(
            metavar="BUILD",
            help="The build: its id, or the beginning of it; default: the latest one of this node, "
            "with --follow all.",
        ),
    ] = None,
    package: Annotated[
        str | None,
        typer.Argument(metavar="PACKAGE", help="Only of this package, or of PACKAGE#TASK."),
    ] = None,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow",
            "-f",
            help="Show what running tasks printed so far (the latest of it), and what follows, up "
            "to the build's end.",
        ),
    ] = False,
) -> None:
    """Show what the commands of a build printed, each line with its package. With --follow and
    --json one event a line."""
    client = Client.of(settings())
    if follow:
        _show(_of_build(client, build, package) if build else _of_all(client))
        return
    build_id = build or _latest(client)
    report = client.get(f"/api/build/{path_part(build_id)}")
    found = [
        {"name": each["name"], "task": each["task"], "text": _text(client, report, each)}
        for each in report["packages"]
        if each.get("log") and _is_wanted(each, package)
    ]
    if package is not None and not found:
        raise NotFoundError(
            f"build {report['build_id']} has no output of {package}",
            hint=f"only tasks that ran or came from the cache have one: buildnet history {build}",
        )
    data = {"build_id": report["build_id"], "logs": found}

    def table(console: Console) -> None:
        for each in found:
            for line in str(each["text"]).splitlines():
                print(line_of(each, line))

    show(settings(), data, table, ids=[report["build_id"]])


def _latest(client: Client) -> str:
    asked = client.get("/api/node")["node_id"]
    builds = client.get("/api/builds", limit=1, node=asked)["builds"]
    if not builds:
        raise NotFoundError("nothing was built yet", hint="buildnet build")
    return str(builds[0]["build_id"])


def _text(client: Client, report: Mapping[str, Any], entry: Mapping[str, Any]) -> str:
    path = f"/api/build/{path_part(report['build_id'])}/log"
    return str(client.get(path, package=entry["name"], task=entry["task"]))


def _is_wanted(entry: Mapping[str, Any], package: str | None) -> bool:
    if package is None:
        return True
    name, _, task = package.partition("#")
    return bool(entry["name"] == name and (not task or entry["task"] == task))


def _of_build(client: Client, build: str, package: str | None) -> Iterator[Mapping[str, Any]]:
    """Yield what one build prints, up to its end."""
    for event in Build(client, build).events():
        if event["type"] == "task_output" and _is_wanted(event, package):
            yield {"build_id": build, **event}


def _of_all(client: Client) -> Iterator[Mapping[str, Any]]:
    """Yield what running tasks of all builds printed so far, and what all print, for ever."""
    so_far = True
    for event in follow_events(client, ("logs",), "", None, PATIENCE_S):
        for piece in pieces_of(event, so_far=so_far):
            yield {"type": "task_output", **piece}
        so_far = so_far and event["type"] != "snapshot"


def _show(pieces: Iterable[Mapping[str, Any]]) -> None:
    if settings().format == "yaml":
        raise UsageError("what goes on has no form in YAML", hint="--json: one event a line")
    if settings().format == "json":
        for piece in pieces:
            print(json.dumps(piece, ensure_ascii=False), flush=True)
        return
    for line in whole_lines(pieces):
        print(line, flush=True)


def whole_lines(pieces: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield lines for people of output that comes in pieces; what no line ended comes last."""
    begun: dict[tuple[str, str], tuple[Mapping[str, Any], str]] = {}
    for piece in pieces:
        key = str(piece["build_id"]), task_name(dict(piece))
        *lines, rest = (begun.pop(key, (piece, ""))[1] + str(piece["text"])).split("\n")
        if len(rest) > MOST_OF_A_LINE:
            lines, rest = [*lines, rest], ""
        if rest:
            begun[key] = piece, rest
        for line in lines:
            yield line_of(piece, line)
    for piece, rest in begun.values():
        yield line_of(piece, rest)


def line_of(entry: Mapping[str, Any], line: str) -> str:
    """Return a line of output as it is shown: with the task whose command printed it."""
    return f"{task_name(dict(entry))} │ {printable(line.rstrip(chr(13)))}"
