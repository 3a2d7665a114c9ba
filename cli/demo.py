"""``buildnet demo``: three nodes on this machine become a pool, build, and lose their coordinator;
in a minute and without traces."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from buildnet.cli.building import BuildOptions, build
from buildnet.cli.client import Client
from buildnet.cli.node import wait_for_end
from buildnet.cli.output import Style, console, note
from buildnet.cli.pool import pool_table
from buildnet.cli.run import settings
from buildnet.cli.start import start_detached
from buildnet.mesh.errors import BuildNetError
from buildnet.node.home import Home, Runtime

_EXAMPLE = "observatory"
_IGNORED = shutil.ignore_patterns("dist", "__pycache__", "node_modules")
_NAMES = ("demo-1", "demo-2", "demo-3")
_AGREED_WITHIN_S = 30.0
_STOPPED_WITHIN_S = 10.0
_LOOK_AGAIN_S = 0.02


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(help="Put the workspace here and keep it, to look at the outputs."),
    ] = None,
) -> None:
    """Start three nodes, join them, build an example on two, kill the coordinator, stop them."""
    example = Path(__file__).resolve().parent.parent / "examples" / _EXAMPLE
    if keep is not None and keep.exists():
        raise BuildNetError(f"{keep} exists already", hint="name a directory that does not exist")
    with (
        _ended_by_signals(),
        tempfile.TemporaryDirectory(prefix="buildnet-demo-") as directory,
    ):
        workspace = keep.absolute() if keep else Path(directory) / _EXAMPLE
        shutil.copytree(example, workspace, ignore=_IGNORED)
        homes = [Path(directory) / name for name in _NAMES]
        with _stopped(homes):
            code = _show(workspace, homes)
        _step("8. the nodes have stopped")
        if keep is not None:
            note(settings(), f"the workspace and its outputs are in {keep}")
    raise typer.Exit(code)


def _step(text: str) -> None:
    note(settings(), f"\n{Style(settings(), sys.stderr)('bold', text)}")


def _show(workspace: Path, homes: list[Path]) -> int:
    _step("1. three nodes start, each with a data directory and a port of its own")
    runtimes = [_start(home) for home in homes]
    clients = [Client(socket_path=Path(runtime.socket)) for runtime in runtimes]
    _step("2. the first one invites, the others join: one pool")
    invitation = clients[0].post("/api/node/invite", {"uses": len(clients) - 1})
    for runtime, client in zip(runtimes[1:], clients[1:], strict=True):
        body = {"address": runtimes[0].address, "token": invitation["token"]}
        joined = client.post("/api/pool/join", body)
        note(settings(), f"{runtime.name} joined {joined['cluster']['name']}")
    _agree(clients, lambda pools: all(len(_there(pool)) == len(homes) for pool in pools))
    _show_pool(clients[1].get("/api/pool"))
    code = _build(workspace, clients[1])
    if code == 0:
        code = _build_a_copy(workspace, homes[2].with_name("copy"), clients[2])
    if code == 0:
        _lose_the_coordinator(runtimes, clients)
    return code


def _start(home: Path) -> Runtime:
    runtime = start_detached(home, listen="127.0.0.1:0", name=home.name)
    note(settings(), f"node {runtime.name} ({runtime.node_id}) answers on {runtime.address}")
    return runtime


def _build(workspace: Path, client: Client) -> int:
    options = BuildOptions(directory=workspace, explain=False)
    _step(f"3. one of them builds the workspace {workspace.name}, for the first time")
    code = build(options, settings(), client)
    if code == 0:
        _step("4. again, with nothing to do")
        code = build(options, settings(), client)
    if code == 0:
        _step("5. again, after its outputs were deleted: they come from the cache")
        for output in workspace.glob("*/dist"):
            shutil.rmtree(output)
        code = build(options, settings(), client)
    return code


def _build_a_copy(workspace: Path, copy: Path, client: Client) -> int:
    _step("6. another node builds a copy of it: what ran in strict comes from the pool's cache")
    shutil.copytree(workspace, copy, ignore=_IGNORED)
    return build(BuildOptions(directory=copy), settings(), client)


def _wait_for_votes(clients: list[Client]) -> None:
    """Wait until every node votes: as long as few do, the loss of one may leave no majority."""
    deadline, wanted = time.monotonic() + _AGREED_WITHIN_S, len(clients)
    while any(
        (quorum["voters"], quorum["voters_reachable"]) != (wanted, wanted)
        for quorum in (client.get("/api/pool/health")["quorum"] for client in clients)
    ):
        if time.monotonic() > deadline:
            raise BuildNetError(
                f"not all nodes voted within {_AGREED_WITHIN_S:.0f} s",
                hint="is this machine very busy? run the demo again",
            )
        time.sleep(_LOOK_AGAIN_S)


def _lose_the_coordinator(runtimes: list[Runtime], clients: list[Client]) -> None:
    _wait_for_votes(clients)
    before = clients[0].get("/api/pool")["coordinator"]
    lost = next(one for one in runtimes if one.node_id == before["node_id"])
    _step(f"7. the coordinator, {lost.name} (term {before['term']}), is killed without a warning")
    left = [client for one, client in zip(runtimes, clients, strict=True) if one is not lost]
    began = time.monotonic()
    os.kill(lost.pid, signal.SIGKILL)

    def succeeded(pools: list[dict[str, Any]]) -> bool:
        known = [pool["coordinator"] for pool in pools]
        return (
            None not in known
            and known[0]["term"] > before["term"]
            and len({(one["node_id"], one["term"], one["quorum"]) for one in known}) == 1
        )

    after = _agree(left, succeeded)[0]["coordinator"]
    note(
        settings(),
        f"{(time.monotonic() - began) * 1000:.0f} ms later the others agree: {after['name']} "
        f"coordinates, term {after['term']}",
    )
    pools = _agree(left, lambda pools: all(len(_there(pool)) == len(left) for pool in pools))
    _show_pool(pools[0])


def _agree(
    clients: list[Client], wanted: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Ask until what all of them see is as ``wanted``; return it."""
    deadline = time.monotonic() + _AGREED_WITHIN_S
    while not wanted(pools := [client.get("/api/pool") for client in clients]):
        if time.monotonic() > deadline:
            raise BuildNetError(
                f"the nodes did not agree within {_AGREED_WITHIN_S:.0f} s",
                cause="; ".join(str(pool["view"]["problem"]) for pool in pools),
                hint="is this machine very busy? run the demo again",
            )
        time.sleep(_LOOK_AGAIN_S)
    return pools


def _there(pool: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes that are there and have told what they have."""
    return [
        node for node in pool["nodes"] if node["status"] in ("online", "busy") and node["resources"]
    ]


def _show_pool(pool: dict[str, Any]) -> None:
    if settings().format == "table":
        pool_table(console(settings()), pool)
        sys.stdout.flush()
    else:
        print(json.dumps(pool, indent=2))


@contextmanager
def _stopped(homes: list[Path]) -> Iterator[None]:
    """Stop whatever runs on ``homes`` at the end, however that comes: they are removed next."""
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # who is impatient must not leave a node
        running = [runtime for home in homes if (runtime := Home(home).read_runtime())]
        for runtime in running:
            with suppress(BuildNetError):
                Client(socket_path=Path(runtime.socket)).post("/api/node/stop")
        for runtime in running:
            try:
                wait_for_end(runtime.pid, _STOPPED_WITHIN_S)
            except BuildNetError:
                with suppress(ProcessLookupError):
                    os.kill(runtime.pid, signal.SIGKILL)
                wait_for_end(runtime.pid)
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the demo as Ctrl-C does: after everything was put away."""

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
