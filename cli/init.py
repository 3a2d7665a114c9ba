"""``buildnet init``: write the ``buildnet.yaml`` of a workspace that detection found."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.output import Listing, escaped, note, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console


class Tool(StrEnum):
    """Whose configuration can be taken over."""

    TURBO = "turbo"
    NX = "nx"


def init(
    tool: Annotated[
        Tool | None,
        typer.Option("--from", help="Take over what this tool's configuration says."),
    ] = None,
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
    body = {"root": str(directory.absolute())}
    if tool is not None:
        body["import_from"] = tool.value
    found = client.post("/api/workspace", body)
    file = Path(found["root"]) / "buildnet.yaml"
    if found["file"] is not None and not (tool is not None and dry_run):
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
    for each in found["findings"]:
        place = each["file"] if each["line"] is None else f"{each['file']}:{each['line']}"
        note(settings(), f"{place}: {each['message']} ({each['hint']})")
    for other in Tool if tool is None else ():
        if (file.parent / f"{other.value}.json").is_file():
            text = f"{other.value}.json says more of its tasks: buildnet init --from {other.value}"
            note(settings(), f"note: {text}")
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
