"""``buildnet demo``: BuildNet's main job on a bare machine, in a minute and without traces."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from buildnet.cli.building import BuildOptions, build
from buildnet.cli.client import Client
from buildnet.cli.node import wait_for_end
from buildnet.cli.output import Style, console, note
from buildnet.cli.pool import pool_table
from buildnet.cli.run import settings
from buildnet.cli.start import start_detached
from buildnet.mesh.errors import BuildNetError

_EXAMPLE = "observatory"


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(help="Put the workspace here and keep it, to look at the outputs."),
    ] = None,
) -> None:
    """Start a node, build an example workspace twice, show the pool, stop the node."""
    example = Path(__file__).resolve().parent.parent / "examples" / _EXAMPLE
    if keep is not None and keep.exists():
        raise BuildNetError(f"{keep} exists already", hint="name a directory that does not exist")
    with tempfile.TemporaryDirectory(prefix="buildnet-demo-") as directory:
        workspace = keep.absolute() if keep else Path(directory) / _EXAMPLE
        ignore = shutil.ignore_patterns("dist", "__pycache__", "node_modules")
        shutil.copytree(example, workspace, ignore=ignore)
        code = _show(workspace, Path(directory) / "home")
        if keep is not None:
            note(settings(), f"the workspace and its outputs are in {keep}")
    raise typer.Exit(code)


def _show(workspace: Path, home: Path) -> int:
    quiet = settings()
    style = Style(quiet, sys.stderr)

    def step(text: str) -> None:
        note(quiet, f"\n{style('bold', text)}")

    step("1. a node starts on a free port")
    runtime = start_detached(home, listen="127.0.0.1:0", name="demo")
    client = Client(socket_path=Path(runtime.socket))
    try:
        note(quiet, f"node {runtime.name} ({runtime.node_id}) answers on {runtime.address}")
        options = BuildOptions(directory=workspace, explain=False)
        step(f"2. it builds the workspace {workspace.name}, for the first time")
        code = build(options, quiet, client)
        if code == 0:
            step("3. again, with nothing to do")
            code = build(options, quiet, client)
        if code == 0:
            step("4. again, after its outputs were deleted: they come from the cache")
            for output in workspace.glob("*/dist"):
                shutil.rmtree(output)
            code = build(options, quiet, client)
        if code == 0:
            step("5. the pool")
            pool = client.get("/api/pool")
            if quiet.format == "table":
                pool_table(console(quiet), pool)
            else:
                print(json.dumps(pool, indent=2))
    finally:  # also when interrupted: its data directory is removed next
        client.post("/api/node/stop")
        wait_for_end(runtime.pid)
    step("6. the node has stopped")
    return code
