"""``buildnet demo``: three nodes on this machine become a pool, build together, lose a worker and
their coordinator; in a minute and without traces."""

from __future__ import annotations

import json
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from buildnet.cli.building import BuildOptions, build
from buildnet.cli.demo_nodes import (
    AGREED_WITHIN_S,
    LOOK_AGAIN_S,
    DemoNode,
    agree,
    stopped,
    there,
)
from buildnet.cli.ledger_checks import print_report, verified
from buildnet.cli.output import Style, console, note
from buildnet.cli.pool import pool_table
from buildnet.cli.run import settings
from buildnet.mesh.errors import BuildNetError

_EXAMPLE = "fractal"
_IGNORED = shutil.ignore_patterns("dist", "__pycache__", "node_modules")
_NAMES = ("demo-1", "demo-2", "demo-3")
_AT_WORK_S = 2.5
"""So long after it began to work the worker is killed."""


def demo(
    keep: Annotated[
        Path | None,
        typer.Option(help="Put the workspace here and keep it, to look at the outputs."),
    ] = None,
) -> None:
    """Start three nodes, join them, build an example on all, kill one of them meanwhile, build a
    copy elsewhere from the cache, kill the coordinator, verify the ledger, stop them."""
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
        with stopped(homes):
            code = _show(workspace, homes)
        note(settings(), "\nthe nodes have stopped")
        if keep is not None:
            note(settings(), f"the workspace and its outputs are in {keep}")
    raise typer.Exit(code)


def _step(text: str) -> None:
    note(settings(), f"\n{Style(settings(), sys.stderr)('bold', text)}")


def _show(workspace: Path, homes: list[Path]) -> int:
    _step("1. three nodes start, each with a data directory and a port of its own, and one core")
    _, second, third = nodes = [_start(home) for home in homes]
    _step("2. the first one invites, the others join: one pool")
    _join(nodes)
    _wait_for_votes(nodes)
    _show_pool(second.pool())
    _step(
        f"3. {second.name} is asked to build the workspace {workspace.name}: all take part, and "
        f"{third.name} is killed in the middle"
    )
    with _killed_at_work(third) as loss:
        code = _build(workspace, second)
    if code:
        return code
    note(settings(), loss.told(third.name))
    _step("4. again, with nothing to do")
    if code := _build(workspace, second):
        return code
    if loss.happened_after_s is not None:
        _step(f"5. {third.name} starts again, and is a member as before")
        third = nodes[2] = _start(homes[2])
        agree(nodes, lambda pools: all(len(there(pool)) == len(nodes) for pool in pools))
        _wait_for_votes(nodes)
    _step(f"6. {third.name} builds a copy of it: what it did not run comes from the pool's cache")
    copy = homes[0].with_name("copy")
    shutil.copytree(workspace, copy, ignore=_IGNORED)
    if code := _build(copy, third):
        return code
    left = _lose_the_coordinator(nodes)
    return _verify_ledger(left)


def _start(home: Path) -> DemoNode:
    node = DemoNode.start(home)
    runtime = node.runtime
    note(settings(), f"node {runtime.name} ({runtime.node_id}) answers on {runtime.address}")
    return node


def _join(nodes: list[DemoNode]) -> None:
    first, *others = nodes
    invitation = first.client.post("/api/node/invite", {"uses": len(others)})
    for node in others:
        body = {"address": first.runtime.address, "token": invitation["token"]}
        joined = node.client.post("/api/pool/join", body)
        note(settings(), f"{node.name} joined {joined['cluster']['name']}")
    agree(nodes, lambda pools: all(len(there(pool)) == len(nodes) for pool in pools))


def _build(workspace: Path, node: DemoNode) -> int:
    options = BuildOptions(directory=workspace, explain=False)
    return build(options, settings(), node.client)


@dataclass(slots=True)
class _Loss:
    """``happened_after_s``: when the node was killed; None: it ran no command."""

    happened_after_s: float | None = None

    def told(self, name: str) -> str:
        """Say it."""
        if self.happened_after_s is None:
            return f"{name} ran no command, and lives: is there strict isolation on this host?"
        return (
            f"{name} was killed {self.happened_after_s:.1f} s after the build began, while it ran "
            "a command, which ran again elsewhere"
        )


@contextmanager
def _killed_at_work(node: DemoNode) -> Iterator[_Loss]:
    """Kill a node while it runs a command, some time after it ran its first one."""
    loss, over, began = _Loss(), threading.Event(), time.monotonic()

    def look() -> None:
        at_work_since: float | None = None
        while not over.wait(LOOK_AGAIN_S):
            if not node.is_running_a_command():
                continue
            now = time.monotonic()
            if at_work_since is None:
                at_work_since = now
            if now - at_work_since >= _AT_WORK_S:
                node.kill()
                loss.happened_after_s = now - began
                return

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield loss
    finally:
        over.set()
        thread.join()


def _wait_for_votes(nodes: list[DemoNode]) -> None:
    """Wait until every node votes: as long as few do, the loss of one may leave no majority."""
    deadline, wanted = time.monotonic() + AGREED_WITHIN_S, len(nodes)
    while any(
        (quorum["voters"], quorum["voters_reachable"]) != (wanted, wanted)
        for quorum in (node.client.get("/api/pool/health")["quorum"] for node in nodes)
    ):
        if time.monotonic() > deadline:
            raise BuildNetError(
                f"not all nodes voted within {AGREED_WITHIN_S:.0f} s",
                hint="is this machine very busy? run the demo again",
            )
        time.sleep(LOOK_AGAIN_S)


def _lose_the_coordinator(nodes: list[DemoNode]) -> list[DemoNode]:
    """Kill the coordinator, wait for the next one; return the nodes that are left."""
    before = nodes[0].pool()["coordinator"]
    lost = next(node for node in nodes if node.runtime.node_id == before["node_id"])
    _step(f"7. the coordinator, {lost.name} (term {before['term']}), is killed without a warning")
    left = [node for node in nodes if node is not lost]
    began = time.monotonic()
    lost.kill()

    def succeeded(pools: list[dict[str, Any]]) -> bool:
        known = [pool["coordinator"] for pool in pools]
        return (
            None not in known
            and known[0]["term"] > before["term"]
            and len({(one["node_id"], one["term"], one["quorum"]) for one in known}) == 1
        )

    after = agree(left, succeeded)[0]["coordinator"]
    note(
        settings(),
        f"{(time.monotonic() - began) * 1000:.0f} ms later the others agree: {after['name']} "
        f"coordinates, term {after['term']}",
    )
    pools = agree(left, lambda pools: all(len(there(pool)) == len(left) for pool in pools))
    _show_pool(pools[0])
    return left


def _verify_ledger(nodes: list[DemoNode]) -> int:
    _step("8. the ledger of what happened, checked on both that are left")
    reports = [verified(node.client) for node in nodes]
    for report in reports:
        if settings().format == "table":
            print_report(console(settings()), report)
        else:
            print(json.dumps(report, indent=2))
    return 0 if all(report["verified"] for report in reports) else 1


def _show_pool(pool: dict[str, Any]) -> None:
    if settings().format == "table":
        pool_table(console(settings()), pool)
        sys.stdout.flush()
    else:
        print(json.dumps(pool, indent=2))


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
