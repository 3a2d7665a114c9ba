"""``buildnet history``: earlier builds, and what became of each package."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.build_report import task_name
from buildnet.cli.client import Client, path_part
from buildnet.cli.history_records import Asked, print_course, show_records
from buildnet.cli.output import Listing, age_text, duration_text, escaped, show
from buildnet.cli.run import settings
from buildnet.cli.tested import print_recorded_tests

if TYPE_CHECKING:
    from rich.console import Console


def history(
    build_id: Annotated[
        str | None,
        typer.Argument(
            help="Show this build (its id or the beginning of it); with --trends: this package."
        ),
    ] = None,
    log: Annotated[
        str | None, typer.Option(help="Print the output of this package in that build.")
    ] = None,
    review: Annotated[
        bool,
        typer.Option("--review", help="Tell what took long in that build, what ran and why."),
    ] = False,
    trace: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write that build as a trace for Perfetto; -: print it."),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="BUILD-ID", help="Tell what that build, after this one, did otherwise."
        ),
    ] = None,
    trends: Annotated[
        bool, typer.Option("--trends", help="Show how packages fared over the latest builds.")
    ] = False,
    flaky: Annotated[
        bool, typer.Option("--flaky", help="List tests that failed and passed on the same inputs.")
    ] = False,
    workspace: Annotated[
        str | None,
        typer.Option(help="With --trends (default: of the latest build), --flaky: of this one."),
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            help="Only running, succeeded, failed, cancelled or unknown builds (ends nobody tells)."
        ),
    ] = None,
    actor: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only builds of account:NAME, agent:NAME or a user."),
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="NODE", help="Only builds that this node drove, by its name or id."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=500,
            help="How many at most; default: 20 builds, with --trends 100, --flaky all.",
        ),
    ] = None,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last list ended.")] = None,
) -> None:
    """List the builds of all nodes, or show one: its packages, its timeline, what was saved."""
    client = Client.of(settings())
    asked = Asked(build_id, review=review, trace=trace, compare=compare, trends=trends, flaky=flaky)
    if asked.is_of_records:
        show_records(client, asked, workspace, limit, cursor)
    elif build_id is None:
        data = client.get(
            "/api/builds",
            limit=limit or 20,
            cursor=cursor,
            status=status,
            actor=actor,
            node=on,
        )
        ids = [build["build_id"] for build in data["builds"]]
        none = no_builds(actor, status, on, goes_on=cursor is not None)
        show(settings(), data, lambda console: list_builds(console, data, none), ids=ids)
    elif log is not None:
        package, _, task = log.partition("#")
        print(
            client.get(
                f"/api/build/{path_part(build_id)}/log", package=package, task=task or "build"
            ),
            end="",
        )
    else:
        build = client.get(f"/api/build/{path_part(build_id)}")
        show(
            settings(), build, lambda console: _one(console, client, build), ids=[build["build_id"]]
        )


def no_builds(actor: str | None, status: str | None, node: str | None, *, goes_on: bool) -> str:
    """Return what is said instead of a list that has none; ``goes_on``: of its following part."""
    what = f"{status} builds" if status is not None else "builds"
    whose = f" of {actor}" if actor is not None else ""
    where = f" on {node}" if node is not None else ""
    return f"no {'more ' if goes_on else ''}{what}{whose}{where}"


def list_builds(console: Console, data: dict[str, Any], none: str) -> None:
    """Print a part of the record of builds; ``none``: what is said where there is no build."""
    if not data["builds"]:
        console.print(escaped(none))
        return
    table = Listing(
        "build",
        "workspace",
        "status",
        "took",
        "expected",
        "when",
        "node",
        "by",
        right=("took", "expected"),
        spare=("expected", "by", "took", "node", "when"),
    )
    for build in data["builds"]:
        table.add_row(
            build["build_id"],
            escaped(build["workspace"]),
            _colored(build["status"]),
            duration_text(build["duration_ms"]) if build["duration_ms"] is not None else "",
            _expected(build),
            age_text(time.time() - build["started_at"]),
            escaped(build["node"]),
            escaped(build["triggered_by"]),
        )
    table.print(console)
    if not data["complete"]:
        console.print("this node still reads in its ledger what others built: there may be more")
    known = data["estimates"]
    if known["builds"]:
        console.print(
            f"estimates of the last {known['builds']} builds here that had one: half of them "
            f"within {known['median_error']:.0%}, {known['within_interval']:.0%} ended in their "
            "range"
        )
    if data["next"] is not None:
        console.print(f"more: buildnet history --cursor {escaped(data['next'])}")


def _expected(build: dict[str, Any]) -> str:
    """Return what a build was expected to take, and by how much that was wrong."""
    if build["estimated_ms"] is None:
        return ""
    error = build["estimate_error"]
    off = "" if error is None else f" ({error:.0%} off)"
    return f"{duration_text(build['estimated_ms'])}{off}"


def _one(console: Console, client: Client, build: dict[str, Any]) -> None:
    console.print(
        f"[bold]build[/bold] {build['build_id']} of {escaped(build['workspace'])}, "
        f"{_colored(build['status'])}, {age_text(time.time() - build['started_at'])}"
    )
    if (where := _where(build.get("durable"))) is not None:
        console.print(where)
    if (told := build.get("recorded_on")) is not None:
        kept = "" if told["kept_at"] is None else age_text(time.time() - told["kept_at"])
        console.print(f"on record on {escaped(told['name'])}{kept and f', as it told {kept}'}")
    if build.get("estimate_error") is not None:
        low, high = build["estimate"]["interval_ms"]
        console.print(
            f"took {duration_text(build['duration_ms'])}, expected {_expected(build)}, "
            f"{duration_text(low)} to {duration_text(high)} four times of five"
        )
    if build["error"]:
        message = build["error"]["message"] if isinstance(build["error"], dict) else build["error"]
        console.print(f"[red]{escaped(message)}[/red]")
    for notice in build.get("notices") or ():
        console.print(f"[cyan]note:[/cyan] {escaped(notice)}")
    table = Listing(
        "package",
        "status",
        "tier",
        "took",
        "why",
        right=("took",),
        wraps=("why",),
        spare=("tier", "took"),
    )
    for entry in build["packages"]:
        error = entry["error"] or {}
        table.add_row(
            escaped(task_name(entry)),
            _colored(entry["status"]),
            entry["tier"] or "",
            duration_text(entry["duration_ms"]),
            escaped(error.get("message") or "\n".join(entry["reasons"][:5])),
        )
        for shard in entry.get("shards") or ():
            where = f"on {shard['node_name']}" if shard["node_name"] else ""
            why = (shard["error"] or {}).get("message")
            table.add_row(
                f"  {escaped(task_name(entry))} {escaped(shard['shard'])}",
                _colored(shard["status"]),
                shard["tier"] or "",
                duration_text(shard["duration_ms"]),
                escaped(why or where),
            )
    table.print(console)
    print_recorded_tests(build, settings())
    print_course(console, client, build)


def _where(durable: dict[str, Any] | None) -> str | None:
    """Return words for the other node that a build has to do with; None: there is none."""
    if durable is None or durable["node"] is None:
        return None
    words = {
        "durable": "{} goes on with it if this node is lost",
        "elsewhere": "this node lost it, and {} goes on with it",
        "ended elsewhere": "this node lost it, and {} brought it to its end",
        "taken over": "asked for on {}, which lost it: this node went on with it",
    }
    return words[durable["state"]].format(escaped(durable["node_name"] or durable["node"]))


def _colored(status: str) -> str:
    color = {"succeeded": "green", "failed": "red"}.get(status, "yellow")
    return f"[{color}]{status}[/{color}]"
