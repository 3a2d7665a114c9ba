"""``buildnet profile``: named sets of scheduling preferences."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli import saved
from buildnet.cli.client import Client
from buildnet.cli.output import Listing, escaped, show
from buildnet.cli.run import settings
from buildnet.cli.saved import DryRun, File, Kind, Named, Set, Yes
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="How builds are spread over the pool, kept under a name.", no_args_is_help=True
)


def _parse(text: str, where: str) -> object:
    from buildnet.pool.profile import parse_profile

    return parse_profile(text, where)


PROFILE = Kind("profile", "/api/profiles", "profiles", _parse)


@app.command("list")
def list_profiles() -> None:
    """List the profiles: those that are built in, then those of the cluster."""
    found, drafts = PROFILE.list()
    defaults = Client.of(settings()).get("/api/defaults")

    def table(console: Console) -> None:
        rows = Listing(
            *("profile", "description", "strategy", "priority", "origin", "used by"),
            wraps=("description", "used by"),
            spare=("priority", "origin"),
        )
        for one in found:
            used = ["default"] if defaults["profile"] == one["id"] else []
            used += [root for root, name in defaults["workspaces"].items() if name == one["id"]]
            rows.add_row(
                escaped(one["id"]),
                escaped(one.get("description", "")),
                escaped(one.get("strategy", "smart")),
                escaped(one.get("priority", "as configured")),
                saved.origin_text(one),
                escaped("\n".join(used)),
            )
        rows.print(console)
        saved.show_drafts(console, drafts)

    data = {"profiles": found, "drafts": drafts, "defaults": defaults}
    show(settings(), data, table, ids=[one["id"] for one in found])


@app.command("show")
def show_profile(name: Named) -> None:
    """Show one profile."""
    saved.show_one(PROFILE.get(name))


@app.command()
def use(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Its id.")] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(metavar="DIRECTORY", help="Only for the workspace around this directory."),
    ] = None,
    none: Annotated[bool, typer.Option("--none", help="Use none from now on.")] = False,
) -> None:
    """Choose the profile of builds that name none, on this node; kept for its user alone."""
    if (name is None) is not none:
        raise UsageError("nothing tells which profile", hint="give a NAME, or --none")
    root = None if workspace is None else str(workspace.absolute())
    answer = Client.of(settings()).put("/api/defaults", {"profile": name, "root": root})

    def table(console: Console) -> None:
        where = "" if workspace is None else f" of {escaped(workspace.absolute())}"
        how = "no profile" if name is None else f"the profile {escaped(name)}"
        console.print(f"builds{where} use {how} from now on", soft_wrap=True)

    show(settings(), answer, table)


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The id to keep it under.")],
    values: Set = None,
    file: File = None,
) -> None:
    """Make a profile of a file, and of keys that are set."""
    from buildnet.pool.keyed_values import assignments, merged, patch_of
    from buildnet.pool.profile import read_profile

    document = {} if file is None else saved.read_file(PROFILE, file)
    document = {**merged(document, patch_of(assignments(values or ()))), "id": name}
    read_profile(document, f"the profile {name}")
    saved.show_kept("profile", "created", PROFILE.create(document))


@app.command()
def delete(name: Named, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a profile, for everybody; those that are built in stay."""
    saved.delete(PROFILE, name, yes, dry_run)
