"""The nodes of ``buildnet demo``: real ones on this machine, which are stopped however it ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from buildnet.cli.client import Client
from buildnet.cli.node import wait_for_end
from buildnet.cli.start import start_detached
from buildnet.mesh.errors import BuildNetError
from buildnet.node.home import Home, Runtime

_CONFIG = "resource_limits:\n  cpu:\n    max_cores: 1\n"
"""One command at once, however large the host: so that one node is not enough."""
AGREED_WITHIN_S = 30.0
_STOPPED_WITHIN_S = 10.0
LOOK_AGAIN_S = 0.02


@dataclass(slots=True)
class DemoNode:
    """One of them. ``home``: its data directory."""

    home: Path
    runtime: Runtime

    @classmethod
    def start(cls, home: Path) -> DemoNode:
        """Start it, for the first time or again."""
        home.mkdir(exist_ok=True)
        (home / "node.yaml").write_text(_CONFIG)
        listen = "127.0.0.1:0"
        return cls(home, start_detached(home, listen=listen, name=home.name))

    @property
    def name(self) -> str:
        """What people call it."""
        return self.runtime.name

    @property
    def client(self) -> Client:
        """The way to it."""
        return Client(socket_path=Path(self.runtime.socket))

    def pool(self) -> dict[str, Any]:
        """Return the pool as it sees it."""
        view: dict[str, Any] = self.client.get("/api/pool")
        return view

    def is_running_a_command(self) -> bool:
        """Tell whether it runs a command now, its own or of a build of another node."""
        return any(each["this_node"] and each["actions_running"] for each in self.pool()["nodes"])

    def kill(self) -> None:
        """End it without a warning, as a host that loses its power."""
        os.kill(self.runtime.pid, signal.SIGKILL)
        wait_for_end(self.runtime.pid)


def agree(
    nodes: list[DemoNode], wanted: Callable[[list[dict[str, Any]]], bool]
) -> list[dict[str, Any]]:
    """Ask until what all of them see is as ``wanted``; return it.

    Raises:
        BuildNetError: it did not come to that in time.
    """
    deadline = time.monotonic() + AGREED_WITHIN_S
    while not wanted(pools := [node.pool() for node in nodes]):
        if time.monotonic() > deadline:
            raise BuildNetError(
                f"the nodes did not agree within {AGREED_WITHIN_S:.0f} s",
                cause="; ".join(str(pool["view"]["problem"]) for pool in pools),
                hint="is this machine very busy? run the demo again",
            )
        time.sleep(LOOK_AGAIN_S)
    return pools


def there(pool: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes that are there and have told what they have."""
    return [
        node for node in pool["nodes"] if node["status"] in ("online", "busy") and node["resources"]
    ]


@contextmanager
def stopped(homes: list[Path]) -> Iterator[None]:
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
