"""``buildnet audit``: the ledger for whoever has to look at it from outside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from buildnet.cli.client import Client
from buildnet.cli.ledger import (
    BuildId,
    Correlation,
    Entity,
    From,
    Origin,
    Sealed,
    Text,
    To,
    Types,
    Who,
    list_entries,
)
from buildnet.cli.ledger_checks import FileError, cluster_of
from buildnet.cli.ledger_checks import verify as verify_node
from buildnet.cli.output import escaped, note, show
from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(help="Look through, check and export the ledger.", no_args_is_help=True)
_SHOWN = 20


class ExportFormat(StrEnum):
    """The forms of an export."""

    JSON = "json"
    NDJSON = "ndjson"
    CSV = "csv"
    CHECKABLE = "checkable"


app.command("query")(list_entries)


@app.command()
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(help="A checkable export; without it, what the node holds is checked."),
    ] = None,
    cluster: Annotated[
        str | None, typer.Option(help="With FILE: the cluster's id, known from elsewhere.")
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Without FILE: build the derived tables again, too.")
    ] = False,
) -> None:
    """Check the node's ledger, or, without a node, a checkable export. Ends with 1 if anything is
    not what was written."""
    if file is None:
        if cluster is not None:
            raise UsageError("--cluster needs a file", hint="buildnet audit verify FILE")
        verify_node(deep=deep)
        return
    from buildnet.ledger.export import verify_export
    from buildnet.ledger.signing import ANYBODY

    verdict = verify_export(file, ANYBODY, cluster=cluster_of(cluster))

    def table(console: Console) -> None:
        checked = f"{verdict.entries_checked} entries, {verdict.seals_checked} seals"
        if not verdict.verified:
            console.print(f"[red]not verified[/red]: {checked}")
            for one in verdict.errors[:_SHOWN]:
                console.print(f"  {escaped(one)}", soft_wrap=True)
            return
        pruned = f", {verdict.pruned} of them pruned to their hashes" if verdict.pruned else ""
        console.print(f"[green]verified[/green]: {checked}{pruned}")
        if cluster is None:
            console.print(
                "[yellow]mind[/yellow]: compare the cluster's id with one that you know from "
                f"elsewhere: {verdict.cluster.hex()}",
                soft_wrap=True,
            )

    show(settings(), verdict.as_dict(), table)
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
    sealed: Sealed = None,
) -> None:
    """Export all entries that fit the filters, in their order."""
    if format is ExportFormat.CHECKABLE and out is None:
        raise UsageError("a checkable export is no text", hint="name a file with --out FILE")
    with Client.of(settings()).download(
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
        sealed=sealed,
        **{"from": since},
    ) as parts:
        if out is None:
            for part in parts:
                sys.stdout.buffer.write(part)
            sys.stdout.flush()
            return
        size = _write(out, parts)
    note(settings(), f"{size} bytes written to {out}")


def _write(path: Path, parts: Iterator[bytes]) -> int:
    """Write a whole file or none."""
    partial = path.with_name(f".{path.name}.part")
    try:
        try:
            with partial.open("wb") as file:
                size = _copy(parts, file)
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise FileError(
            f"{path} can't be written",
            cause=error.strerror or str(error),
            hint="name another file with --out",
        ) from error
    return size


def _copy(parts: Iterator[bytes], file: BinaryIO) -> int:
    size = 0
    for part in parts:
        size += file.write(part)
    file.flush()
    os.fsync(file.fileno())
    return size
