"""``buildnet cache``: what the node keeps, check it, make it smaller."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client, path_part
from buildnet.cli.draining import count_text
from buildnet.cli.output import (
    Listing,
    age_text,
    bytes_text,
    duration_text,
    escaped,
    print_fields,
    show,
)
from buildnet.cli.run import settings
from buildnet.mesh.errors import BuildNetError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="What the node keeps: blobs and results.", no_args_is_help=True)


class DamagedCacheError(BuildNetError):
    """The cache held damaged blobs; they were dropped."""

    code = "CACHE_DAMAGED"


@app.command()
def stats() -> None:
    """Show counts and sizes."""
    data = Client.of(settings()).get("/api/cache/stats")

    def table(console: Console) -> None:
        asked = data["hits"] + data["misses"]
        rate = f" ({data['hits'] / asked:.0%})" if asked else ""
        oldest = data["oldest_used_at"]
        console.print(
            f"results   {data['actions']}\n"
            f"blobs     {data['blobs']}, {bytes_text(data['bytes'])} of at most "
            f"{bytes_text(data['capacity_bytes'])}\n"
            f"look-ups  {asked}, {data['hits']} found{rate}\n"
            f"index     {bytes_text(data['index_bytes'])}\n"
            f"oldest    {'nothing stored' if oldest is None else age_text(time.time() - oldest)}\n"
            f"volume    {bytes_text(data['free_bytes'])} free; blobs take at most "
            f"{bytes_text(data['disk_bytes_max'])} of it\n"
            f"checked   {_checked_text(data['scrubbed_at'], data['damaged'])}"
        )

    show(settings(), data, table)


def _checked_text(scrubbed_at: float | None, damaged: int) -> str:
    when = "not read through yet" if scrubbed_at is None else age_text(time.time() - scrubbed_at)
    return f"{when}, {damaged} damaged and dropped" if damaged else when


@app.command("list")
def list_results(
    label: Annotated[
        str | None, typer.Argument(help="Only results whose label contains this.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last list ended.")] = None,
) -> None:
    """List stored results, newest first."""
    data = Client.of(settings()).get("/api/cache/actions", label=label, limit=limit, cursor=cursor)

    def table(console: Console) -> None:
        rows = Listing(
            "result",
            "of",
            "size",
            "took",
            "hits",
            "made",
            right=("size", "took", "hits"),
            spare=("took", "made"),
        )
        for each in data["actions"]:
            rows.add_row(
                each["action"][:12],
                escaped(each["label"]),
                bytes_text(each["bytes"]),
                duration_text(each["duration_ms"]),
                str(each["hits"]),
                age_text(time.time() - each["created_at"]),
            )
        rows.print(console)
        if data["next"] is not None:
            console.print(f"more: buildnet cache list --cursor {data['next']}")

    show(settings(), data, table, ids=[each["action"] for each in data["actions"]])


@app.command("show")
def show_entry(
    digest: Annotated[str, typer.Argument(help="A result's or blob's digest, or its beginning.")],
) -> None:
    """Show one result or blob."""
    data = Client.of(settings()).get(f"/api/cache/show/{path_part(digest)}")

    def table(console: Console) -> None:
        print_fields(console, {name: escaped(_text(name, value)) for name, value in data.items()})

    show(settings(), data, table, ids=[data["hash"]])


@app.command()
def where(
    digest: Annotated[str, typer.Argument(help="A result's digest, or its beginning.")],
) -> None:
    """Show which nodes have one result, as they say now."""
    data = Client.of(settings()).get(f"/api/cache/where/{path_part(digest)}")

    def table(console: Console) -> None:
        found = Listing("node", "has it", "made", "round trip", "why", right=("round trip",))
        for each in data["nodes"]:
            here, made, far = each["this_node"], each["made_at"], each["latency_ms"]
            found.add_row(
                escaped(each["node"]) + (" (this node)" if here else ""),
                {True: "yes", False: "no", None: "unknown"}[each["has"]],
                "" if made is None else age_text(time.time() - made),
                "" if far is None else f"{far:.1f} ms",
                each["why"] or "",
            )
        found.print(console)

    have = [each["node_id"] for each in data["nodes"] if each["has"]]
    show(settings(), data, table, ids=have)


def _text(name: str, value: Any) -> str:
    if name in ("created_at", "used_at"):
        return age_text(time.time() - value)
    if name == "duration_ms":
        return duration_text(value)
    if name == "size_bytes":
        return bytes_text(value)
    if name == "blobs":
        return "\n".join(f"{blob['hash'][:12]} {bytes_text(blob['size_bytes'])}" for blob in value)
    return "\n".join(map(str, value)) if isinstance(value, list) else str(value)


@app.command()
def fetch(
    digest: Annotated[
        str, typer.Argument(metavar="HASH/SIZE", help="The blob, as `log` in a build's JSON is.")
    ],
    node: Annotated[
        str, typer.Option("--from", metavar="NODE", help="The member that has it: name or id.")
    ],
) -> None:
    """Get a blob from another node's cache into this one's."""
    data = Client.of(settings()).post("/api/cache/fetch", {"digest": digest, "node": node})

    def table(console: Console) -> None:
        size, seconds = data["size_bytes"], data["duration_ms"] / 1000
        if data["already"]:
            console.print(f"{data['hash'][:12]} is here already")
        else:
            speed = f", {bytes_text(size / seconds)} a second" if seconds else ""
            console.print(
                f"{data['hash'][:12]}: {bytes_text(size)} in "
                f"{duration_text(data['duration_ms'])}{speed}"
            )

    show(settings(), data, table, ids=[data["hash"]])


@app.command()
def extract(
    result: Annotated[str, typer.Argument(help="The result's digest, or its beginning.")],
    directory: Annotated[Path, typer.Argument(help="A directory that is new or empty.")],
) -> None:
    """Write what a stored result made to a directory."""
    target = str(directory.absolute())
    body = {"result": result, "directory": target}
    data = Client.of(settings()).post("/api/cache/extract", body)

    def table(console: Console) -> None:
        what = "1 file" if data["files"] == 1 else f"{data['files']} files"
        console.print(f"{what} of {escaped(data['label'])} in {escaped(data['directory'])}")

    show(settings(), data, table)


@app.command()
def clear(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be removed.")] = False,
) -> None:
    """Remove everything but what running builds need."""
    client = Client.of(settings())
    held = client.get("/api/cache/stats")
    what = f"{held['actions']} results and {held['blobs']} blobs, {bytes_text(held['bytes'])}"
    if dry_run:
        show(settings(), held, lambda console: console.print(f"would remove {what}"))
        return
    _confirm(f"remove {what}?", yes)
    _show_gone("removed", client.post("/api/cache/clear"))


@app.command()
def delete(
    result: Annotated[str, typer.Argument(help="The result's digest, or its beginning.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would be deleted.")] = False,
) -> None:
    """Delete one result, and the blobs that only it needs."""
    client = Client.of(settings())
    found = client.get(f"/api/cache/show/{path_part(result)}")
    if found["kind"] != "action":
        raise UsageError(
            f"{result} is a blob, not a result",
            hint="delete the results that need it: buildnet cache show tells them",
        )
    what = f"the result of {found['label']}"
    if dry_run:
        show(settings(), found, lambda console: console.print(escaped(f"would delete {what}")))
        return
    _confirm(f"delete {what}?", yes)
    _show_gone("deleted", client.delete(f"/api/cache/actions/{found['hash']}"))


@app.command()
def gc(
    max_size: Annotated[
        str | None, typer.Option(help="Shrink to this, such as 5GB; default: as configured.")
    ] = None,
) -> None:
    """Remove what was used longest ago, down to the configured size or --max-size."""
    from buildnet.pool.quantity import QuantityError, parse_bytes

    try:
        target = parse_bytes(max_size) if max_size is not None else None
    except QuantityError as error:
        raise UsageError(f"--max-size: {error}", hint="write a size such as 500MB") from error
    _show_gone("removed", Client.of(settings()).post("/api/cache/gc", {"target_bytes": target}))


@app.command()
def verify() -> None:
    """Read every blob and compare it with its name; what is damaged is dropped."""
    data = Client.of(settings()).post("/api/cache/verify")

    def table(console: Console) -> None:
        console.print(
            f"checked {data['checked']} blobs, {bytes_text(data['bytes'])}: "
            f"{len(data['damaged'])} damaged, {len(data['missing'])} missing, "
            f"{len(data['orphans'])} adopted, {data['repaired']} corrections of the index"
        )

    show(settings(), data, table)
    if data["damaged"]:
        raise DamagedCacheError(
            f"{len(data['damaged'])} blobs were damaged and have been dropped",
            hint="the next build makes them again; check the disk (its own log, SMART)",
        )


def _show_gone(done: str, data: dict[str, Any]) -> None:
    def table(console: Console) -> None:
        console.print(
            f"{done} {count_text(data['actions'], 'result')} and "
            f"{count_text(data['blobs'], 'blob')}, {bytes_text(data['bytes'])}"
        )

    show(settings(), data, table)


def _confirm(question: str, yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("this removes data and needs --yes without a terminal", hint="add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Abort
