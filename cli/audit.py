"""``buildnet audit``: the ledger for whoever has to look at it from outside."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.client import Client
from buildnet.cli.ledger_checks import cluster_of, print_report
from buildnet.cli.ledger_checks import verify as verify_node
from buildnet.cli.ledger_listing import (
    BuildId,
    Correlation,
    Entity,
    From,
    Origin,
    Provisional,
    Sealed,
    Text,
    To,
    Types,
    Who,
    list_entries,
    pruned_text,
    sealed_only,
)
from buildnet.cli.output import bytes_text, escaped, note, print_fields, show
from buildnet.cli.provenance import attest, is_statement, verify_statement
from buildnet.cli.run import settings
from buildnet.cli.whole_file import write_whole
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Look through, check and export the ledger.", no_args_is_help=True)


class ExportFormat(StrEnum):
    """The forms of an export."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    CHECKABLE = "checkable"


app.command("query")(list_entries)
app.command("attest")(attest)


@app.command()
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="A checkable export or a statement of where files come from; without it, what "
            "the node holds is checked."
        ),
    ] = None,
    artifact: Annotated[
        list[Path] | None,
        typer.Option(help="With a statement: a file, or all files of a directory, to compare."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="With FILE: the cluster's id, known from elsewhere.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Without FILE: build the derived tables again, too.")
    ] = False,
) -> None:
    """Check the node's ledger, or, without a node, a checkable export or a statement of where files
    come from. Ends with 1 if anything is not what was written."""
    if file is None:
        if cluster is not None or artifact:
            given = "--cluster" if cluster is not None else "--artifact"
            raise UsageError(f"{given} needs a file", hint="buildnet audit verify FILE")
        verify_node(deep=deep)
        return
    if deep:
        raise UsageError("--deep checks a node, not a file", hint="leave one of them away")
    if is_statement(file):
        verify_statement(file, artifact or (), cluster)
        return
    if artifact:
        raise UsageError(
            f"{file} is no statement, so there is nothing to compare files with",
            hint="buildnet audit attest BUILD-ID writes them",
        )
    from buildnet.ledger.checkable import verify_checkable
    from buildnet.ledger.entry_view import time_text
    from buildnet.ledger.signing import ANYBODY

    verdict = verify_checkable(file, ANYBODY, cluster=cluster_of(cluster))
    mind = ["the file may have been cut after its last seal: ask a member for the newest one"]
    if cluster is None:
        mind.append("anybody can found a cluster: compare its id with one known from elsewhere")
    if verdict.pruned:
        mind.append("of what was pruned it proves the order, not what it said")

    def table(console: Console) -> None:
        last = verdict.last
        if not verdict.verified:
            print_report(console, verdict.as_dict())
            return
        checked = f"{verdict.entries_checked} entries, {verdict.seals_checked} seals"
        pruned = f", and the hashes of {verdict.pruned} pruned ones" if verdict.pruned else ""
        console.print(f"[green]verified[/green]: {checked}{pruned}")
        rows = {"cluster": verdict.cluster.hex()}
        if last is not None:
            at = time_text(last.value.hlc)
            rows["last seal"] = f"height {last.height}, {at}, {last.hash.hex()}"
        print_fields(console, rows)
        for line in mind:
            console.print(f"[yellow]mind[/yellow]: {line}", soft_wrap=True)

    show(settings(), {**verdict.as_dict(), "cautions": mind if verdict.verified else []}, table)
    if not verdict.verified:
        raise typer.Exit(1)


@app.command()
def export(
    format: Annotated[
        ExportFormat,
        typer.Option(help="For programs; or checkable: everything sealed, with what proves it."),
    ] = ExportFormat.JSON,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; default: standard output.")
    ] = None,
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
) -> None:
    """Export all entries that fit the filters, in their order."""
    if format is ExportFormat.CHECKABLE and out is None:
        raise UsageError("a checkable export is no text", hint="name a file with --out FILE")
    only = sealed_only(sealed, provisional)
    client = Client.of(settings())
    pruned = client.get("/api/ledger/store")["pruned"]
    with client.download(
        "/api/ledger/export",
        format=format.value,
        type=type,
        origin=origin,
        actor=actor,
        entity=entity,
        correlation=correlation,
        build=build,
        to=to,
        text=text,
        sealed=only,
        **{"from": since},
    ) as parts:
        if out is None:
            for part in parts:
                sys.stdout.buffer.write(part)
            sys.stdout.flush()
            if pruned is not None:
                note(settings(), pruned_text(pruned))
            return
        size = write_whole(out, parts, hint="name another file with --out")
    answer = {"file": str(out), "format": format.value, "bytes": size, "pruned": pruned}

    def table(console: Console) -> None:
        console.print(f"{bytes_text(size)} written to {escaped(out)}", soft_wrap=True)
        if pruned is not None:
            console.print(pruned_text(pruned), soft_wrap=True)

    show(settings(), answer, table, ids=[str(out)])
