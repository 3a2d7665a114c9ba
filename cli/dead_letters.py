"""``buildnet queue dead``: what was given up, why, and another try."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from buildnet.cli.building import BuildOptions, build
from buildnet.cli.client import Client, path_part
from buildnet.cli.output import Listing, age_text, escaped, print_fields, show
from buildnet.cli.run import settings
from buildnet.cli.start import ensure_node
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

app = typer.Typer(
    help="Commands that no host could run, or that failed on several.", no_args_is_help=True
)

Letter = Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning of it.")]


@app.command("list")
def list_letters() -> None:
    """List what builds asked for on this node gave up, the latest first."""
    data = Client.of(settings()).get("/api/dead-letters")

    def table(console: Console) -> None:
        if not data["letters"]:
            console.print("nothing was given up")
            return
        rows = Listing("id", "of", "workspace", "tries", "why", "when", right=("tries",))
        for each in data["letters"]:
            rows.add_row(
                each["id"],
                escaped(_name(each)),
                escaped(each["workspace"]),
                str(len(each["attempts"])),
                escaped(str(each["error"].get("message"))),
                age_text(time.time() - each["at"]),
            )
        rows.print(console)

    show(settings(), data, table, ids=[each["id"] for each in data["letters"]])


@app.command("show")
def show_letter(letter: Letter) -> None:
    """Show one with all its attempts: on which host, and why each came to nothing."""
    data = Client.of(settings()).get(f"/api/dead-letters/{path_part(letter)}")

    def table(console: Console) -> None:
        error = data["error"]
        fields = {
            "id": data["id"],
            "of": f"{_name(data)} of {data['workspace']}",
            "workspace": data["root"],
            "build": data["build"],
            "given up": age_text(time.time() - data["at"]),
            "error": f"{error.get('code')}: {error.get('message')}",
            "cause": error.get("cause") or "",
            "hint": error.get("hint") or "",
            "attempts": "\n".join(map(_attempt_text, data["attempts"])),
        }
        print_fields(console, {name: escaped(text) for name, text in fields.items() if text})

    show(settings(), data, table, ids=[data["id"]])


@app.command()
def retry(letter: Letter) -> None:
    """Build it again, with what it depends on; it leaves the list once it has run."""
    node = ensure_node(settings())
    found = node.get(f"/api/dead-letters/{path_part(letter)}")
    options = BuildOptions(
        packages=(found["package"],), task=found["task"], directory=Path(found["root"])
    )
    raise typer.Exit(build(options, settings(), node))


@app.command()
def clear(
    letter: Annotated[
        str | None, typer.Argument(metavar="ID", help="Only this one; default: all.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget one, or all."""
    if letter is None and not yes:
        if not sys.stdin.isatty():
            raise UsageError("this forgets all of them", hint="add --yes, or name one")
        if not typer.confirm("forget all that was given up?", err=True):
            raise typer.Abort
    which = "" if letter is None else f"/{path_part(letter)}"
    data = Client.of(settings()).delete(f"/api/dead-letters{which}")
    show(settings(), data, lambda console: console.print(f"forgot {data['removed']}"))


def _name(letter: dict[str, Any]) -> str:
    name = str(letter["package"])
    return name if letter["task"] == "build" else f"{name}#{letter['task']}"


def _attempt_text(attempt: dict[str, Any]) -> str:
    where = attempt["node_name"] or "here"
    return f"{where}, {age_text(time.time() - attempt['at'])}: {attempt['why']}"
