"""The command ``buildnet dashboard``. Loads nothing of the screen before it is shown."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from buildnet.cli.run import settings
from buildnet.mesh.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from buildnet.cli.client.async_pool import AsyncPool


def dashboard(
    once: Annotated[
        bool, typer.Option("--once", help="Print one screen as text, and end; --json: as data.")
    ] = False,
) -> None:
    """Show the pool on one screen, live: builds, nodes, sessions, events. Keys: ? tells them."""
    from buildnet.cli.client.async_pool import AsyncPool

    given = settings()
    pool = AsyncPool(given.node, key=given.key, retry_s=0.0)
    if once or given.format != "table":
        _print(pool)
        return
    if not all(each.isatty() for each in (sys.stdin, sys.stdout, sys.stderr)):
        raise UsageError(
            "the live screen needs a terminal",
            hint="buildnet dashboard --once prints one screen, with --json as data; buildnet "
            "events --json tells what happens",
        )
    from buildnet.cli.dashboard.live import run

    raise typer.Exit(run(pool, colored=given.colored(True, os.environ)))


def _print(pool: AsyncPool) -> None:
    from dataclasses import asdict

    from buildnet.cli.dashboard.once import lines, look
    from buildnet.cli.output import show

    screen = look(pool)

    def table(console: Console) -> None:
        for line in lines(screen, min(console.width, 120)):
            console.print(line, soft_wrap=True)

    running = [each.id for each in screen.running or ()]
    show(settings(), asdict(screen), table, ids=running)
