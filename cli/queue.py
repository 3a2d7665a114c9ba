"""``buildnet queue``: what waits to be built, and what was given up."""

from __future__ import annotations

import typer

from buildnet.cli import dead_letters

app = typer.Typer(help="What waits to be built, and what was given up.", no_args_is_help=True)
app.add_typer(dead_letters.app, name="dead")
