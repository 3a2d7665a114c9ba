"""Starting a node: in this process, or as a process of its own that outlives the command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from buildnet import __version__
from buildnet.cli.client import Client, NodeUnreachableError
from buildnet.cli.output import note
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError
from buildnet.node.home import Home, Runtime, default_home


class StartError(BuildNetError):
    """A detached node ended before it was ready; code and exit code are those it gave."""

    code = "START_FAILED"

    def __init__(self, said: dict[str, str | None], exit_code: int) -> None:
        super().__init__(str(said["message"]), cause=said.get("cause"), hint=said.get("hint"))
        self.code = str(said.get("code") or self.code)
        self.exit_code = exit_code


def start_detached(
    home: Path,
    *,
    listen: str | None = None,
    name: str | None = None,
    config: Path | None = None,
    any_port: bool = False,
    log_format: str | None = None,
) -> Runtime:
    """Start a node as a process of its own and wait until it answers.

    Raises:
        StartError: it could not start; the error is the node's own.
    """
    options = {
        "home": str(home),
        "config": str(config.absolute()) if config else None,
        "listen": listen,
        "name": name,
        "any_port": any_port,
        "log_format": log_format,
    }
    reading, writing = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "buildnet.node", str(writing), json.dumps(options)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
        )
    finally:
        os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as said:
        answer = json.loads(said.readline() or "null")
    if answer is None:
        process.wait()
        raise StartError(
            {
                "message": f"the node ended before it was ready (exit code {process.returncode})",
                "hint": f"its log may tell why: {home / 'node.log'}",
            },
            1,
        )
    if "error" in answer:
        process.wait()
        raise StartError(answer["error"], answer["exit_code"])
    process.returncode = 0  # it goes on without us: no warning about a child that still runs
    return Runtime(**answer["ready"])


def ensure_node(settings: Settings) -> Client:
    """Return a client of the wanted node; start the local one if it is that and does not run."""
    client = Client.of(settings)
    if settings.node is not None:
        return client
    home = default_home()
    runtime = Home(home).read_runtime()
    if runtime is not None and runtime.version != __version__:
        note(
            settings,
            f"the node that runs is BuildNet {runtime.version}, this command is {__version__}: "
            "restart it with buildnet node stop",
        )
    if runtime is None:
        note(settings, "no node runs here: starting one (buildnet node stop ends it)")
        try:
            start_detached(home, any_port=True)
        except StartError as error:
            if error.code != "ALREADY_RUNNING":  # somebody else was quicker
                raise
    return client


def running_node(settings: Settings) -> tuple[Client, Runtime]:
    """Return the local node that runs.

    Raises:
        NodeUnreachableError: none does.
    """
    runtime = Home(default_home()).read_runtime()
    if runtime is None:
        raise NodeUnreachableError(
            "no node runs here", hint="start one with: buildnet node start --detach"
        )
    return Client.of(settings), runtime


def runtime_dict(runtime: Runtime) -> dict[str, object]:
    """Return the JSON of ``node start --detach``."""
    return asdict(runtime)
