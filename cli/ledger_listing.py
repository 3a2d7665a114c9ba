"""Lists of the ledger's entries: by which filters, and how they look."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.client import Client
from buildnet.cli.output import Listing, escaped, show, since_text, waiting
from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

ID_DIGITS = 12
_MORE = "more: add --cursor "

Types = Annotated[
    list[str] | None,
    typer.Option("--type", help="Only this type, or build.* for all of a kind; repeatable."),
]
Origin = Annotated[str | None, typer.Option(help="Only what this node recorded: its name or id.")]
Who = Annotated[str | None, typer.Option(help="Only what this actor did (its id).")]
Entity = Annotated[
    str | None, typer.Option(help="Only what is about it: node:NAME, build:ID, config:NAME.")
]
Correlation = Annotated[str | None, typer.Option(help="Only what belongs together by this id.")]
BuildId = Annotated[
    str | None,
    typer.Option("--build", help="Only what is about this build: its id, or the beginning of it."),
]
From = Annotated[
    str | None, typer.Option("--from", help="From this moment on: ISO 8601 (UTC), or 2h ago: 2h.")
]
To = Annotated[str | None, typer.Option("--to", help="Up to this moment.")]
Text = Annotated[str | None, typer.Option(help="Only what says this, whatever the case.")]
Sealed = Annotated[bool, typer.Option("--sealed", help="Only what is sealed.")]
Provisional = Annotated[bool, typer.Option("--provisional", help="Only what is not sealed yet.")]


def list_entries(
    type: Types = None,
    origin: Origin = None,
    actor: Who = None,
    entity: Entity = None,
    correlation: Correlation = None,
    build: BuildId = None,
    since: From = None,
    to: To = None,
    text: Text = None,
    sealed: Sealed = False,
    provisional: Provisional = False,
    oldest_first: Annotated[
        bool, typer.Option("--oldest-first", help="In sealed order, then what is provisional.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many entries at most.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Go on where the last list ended.")] = None,
) -> None:
    """List entries, newest first."""
    wanted = {
        "type": type,
        "origin": origin,
        "actor": actor,
        "entity": entity,
        "correlation": correlation,
        "build": build,
        "from": since,
        "to": to,
        "text": text,
        "sealed": sealed_only(sealed, provisional),
        "order": "asc" if oldest_first else "desc",
    }
    data = find_entries(Client.of(settings()), wanted, limit, cursor)
    show_entries(data["entries"], data, data["next"])


def sealed_only(sealed: bool, provisional: bool) -> bool | None:
    """Return the filter of two options: only what is sealed, only what is not, or None.

    Raises:
        UsageError: both are given.
    """
    if sealed and provisional:
        raise UsageError(
            "nothing is both sealed and provisional", hint="leave --sealed and --provisional away"
        )
    return sealed if sealed or provisional else None


def find_entries(
    client: Client, wanted: dict[str, Any], limit: int, cursor: str | None = None
) -> dict[str, Any]:
    """Return the next ``limit`` entries that fit, wherever they are: one answer of the node tells
    of some thousand entries that it looked at. Interrupted, return what was found by then."""
    entries: list[dict[str, Any]] = []
    data: dict[str, Any] = {"next": cursor, "looked_to": None, "pruned": None}
    try:
        while len(entries) < limit:
            rest = limit - len(entries)
            data = client.get("/api/ledger", **wanted, limit=rest, cursor=data["next"])
            entries += data["entries"]
            if data["next"] is None:
                break
            _tell(data["looked_to"] if len(entries) < limit else None)
    except KeyboardInterrupt:
        if not entries:
            raise
    finally:
        _tell(None)
    return {**data, "entries": entries}


def _tell(looked_to: str | None) -> None:
    """Show who waits how far the search is."""
    waiting(settings(), None if looked_to is None else f"looked as far as {looked_to} …")


def show_entries(entries: Sequence[dict[str, Any]], data: Any, following: str | None) -> None:
    """Print entries as a table, or ``data`` as it is wanted."""

    def table(console: Console) -> None:
        if entries:
            _table(entries).print(console)
        else:
            console.print("no entry fits" if following is None else "no entry fits so far")
        if following is not None:
            console.print(f"{_MORE}{escaped(following)}")
        elif data.get("pruned"):
            console.print(pruned_text(data["pruned"]), soft_wrap=True)

    show(settings(), data, table, ids=[one["id"] for one in entries])


def pruned_text(pruned: dict[str, Any]) -> str:
    """Say what is missing, and where it may be."""
    return (
        f"what was sealed up to {pruned['until']} (height {pruned['height']}) was pruned on this "
        "node, and most of it is missing here: a node or backup that keeps more has it"
    )


def _table(entries: Iterable[dict[str, Any]]) -> Listing:
    table = Listing(
        "entry",
        "when",
        "node",
        "type",
        "what",
        "seal",
        right=("seal",),
        wraps=("what",),
        spare=("node", "type", "seal"),
    )
    for one in entries:
        table.add_row(
            one["id"][:ID_DIGITS],
            since_text(one["time"]),
            one["node_id"][:ID_DIGITS],
            escaped(one["type"]),
            escaped(one["text"]),
            _seal(one),
        )
    return table


def _seal(entry: dict[str, Any]) -> str:
    return "[yellow]provisional[/yellow]" if entry["sealed"] is None else str(entry["sealed"])
