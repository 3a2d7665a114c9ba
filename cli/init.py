"""``buildnet init``: write the ``buildnet.yaml`` of a workspace that detection found."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


def init(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the file instead of writing it.")
    ] = False,
    directory: Annotated[
        Path, typer.Option("--directory", "-C", help="The workspace around this directory.")
    ] = Path(),
) -> None:
    """Look at the repository and write the buildnet.yaml that builds it."""
    client = ensure_node(settings())
    found = client.post("/api/workspace", {"root": str(directory.absolute())})
    file = Path(found["root"]) / "buildnet.yaml"
    if found["file"] is not None:
        raise UsageError(f"{file} exists already", hint="edit it, or remove it and run init again")

    def table(console: Console) -> None:
        rows = Listing(
            "package", "path", "needs", "command", wraps=("needs", "command"), spare=("needs",)
        )
        for package in found["packages"]:
            rows.add_row(
                escaped(package["name"]),
                escaped(package["path"] or "."),
                escaped(", ".join(package["dependencies"])),
                escaped(package["command"] or "nothing to run"),
            )
        rows.print(console)

    if dry_run and settings().format == "table":
        print(found["yaml"], end="")
        return
    if dry_run:
        show(settings(), found, table)
        return
    if settings().format == "table":
        show(settings(), found, table)
    for each in found["notes"]:
        note(settings(), f"note: {each}")
    if not yes:
        if not sys.stdin.isatty():
            raise UsageError("init asks before it writes", hint="add --yes without a terminal")
        if not typer.confirm(f"write {file}?", default=True, err=True):
            raise typer.Abort
    temporary = file.with_name(f".buildnet.yaml.{os.getpid()}.new")
    temporary.write_text(found["yaml"])
    temporary.rename(file)
    if settings().format != "table":
        show(settings(), {**found, "file": str(file)}, table)
    note(settings(), f"wrote {file}; next: buildnet build")
