"""What nodes leave behind: processes, mounts and files of commands that are over, and leases.

    with nothing_left(cluster.members):
        ...  # whatever happens to nodes and builds

At the end every node that runs has given back and put away everything, and of one that does not
nothing runs or is mounted. What it left on the disk its next start removes.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from testbed.nodes import Node

_LAUNCHER = "buildnet.node.execute.launcher.server"
_PATIENCE_S = 40.0
"""Longer than a lease lives that nobody renews, and what is put aside takes to be removed."""


@contextmanager
def nothing_left(nodes: Sequence[Node]) -> Iterator[None]:
    """See that nothing is left once the context ends without an error."""
    yield
    deadline = time.monotonic() + _PATIENCE_S
    while left := remains(nodes):
        assert time.monotonic() < deadline, "\n".join(left)
        time.sleep(0.1)


def remains(nodes: Sequence[Node]) -> list[str]:
    """Return in words what is there that should not be."""
    left = _mounts(nodes)
    for node in nodes:
        if node.is_running:
            left += [*_processes(node), *_files(node), *_leases(node)]
    return left


def _processes(node: Node) -> list[str]:
    """Return what runs below a node beside what starts its commands."""
    found = []
    for process in node.process.children(recursive=True):
        try:
            line = process.cmdline()
        except psutil.Error:  # it has ended
            continue
        if not any(_LAUNCHER in word for word in line):
            found.append(f"{node.name}: process {process.pid}: {' '.join(line)}")
    return found


def _mounts(nodes: Sequence[Node]) -> list[str]:
    """Return which processes, of whatever node, see something of a node's mounted."""
    homes = {f"{node.home.directory}/": node.name for node in nodes}
    found = []
    for file in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines = file.read_text().splitlines()
        except OSError:  # it has ended
            continue
        found += [
            f"{name}: mounted for process {file.parent.name}: {line}"
            for line in lines
            for home, name in homes.items()
            if home in line
        ]
    return found


def _files(node: Node) -> list[str]:
    """Return what lies where running commands have their files, and unfinished blobs are."""
    work, store = node.home.directory / "work", node.home.store
    files = [*work.glob(".trash/*"), *store.glob("tmp/*/*")]
    for entry in work.iterdir():
        if entry.name.startswith("strict-"):  # stays for the next command
            files += [each for each in entry.rglob("*") if each.name not in ("tmp", "home")]
        elif entry.name != ".trash" and not entry.name.startswith(".sandbox-"):
            files.append(entry)
    return [f"{node.name}: {each.relative_to(node.home.directory)}" for each in files]


def _leases(node: Node) -> list[str]:
    """Return what a node lends."""
    lent = [each for each in node.get("/api/pool")["leases"] if each["owner"] == node.identity]
    return [f"{node.name}: lent to {each['holder_name']}: {each['build']}" for each in lent]
