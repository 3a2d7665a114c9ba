"""A pool as it is after a morning's work: builds, tests, people, keys, configurations, notes."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from buildnet.cli.testing import write_files
from testbed.nodes import Cluster, Node
from testbed.storefront import Storefront

NAMES = ("studio", "attic", "harbour")
_COMMANDS = 2
"""So many does each node run at once."""

_PATIENCE_S = 300.0
_SMALL = {"website": ("pages", "assets"), "tools": ("lint", "release-notes"), "docs": ("guide",)}
"""Workspaces beside the shop."""


class Studio:
    """Three nodes in ``directory`` while the context is open; :meth:`work` fills them."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._cluster = Cluster(directory, len(NAMES), bare=False, make=_make)
        self.shop = Storefront(directory / "shop", directory / ".unsteady")
        for name, packages in _SMALL.items():
            _write_small(directory / name, name, packages)
        self.failed = ""
        """The build that failed; and so on."""
        self.tested = ""
        self.first = ""
        self.second = ""
        self.keys: dict[str, str] = {}

    def __enter__(self) -> Studio:
        self._cluster.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._cluster.__exit__()

    @property
    def nodes(self) -> list[Node]:
        """The nodes; the first one founded the cluster."""
        return self._cluster.members

    def work(self) -> None:
        """Do what a team does in a morning."""
        first, second, _ = self.nodes
        self._admit_people()
        self.first = self.build("shop", "ann")
        for name, by in (("website", "cara"), ("tools", "ben")):
            self.build(name, by)
        self.shop.edit("cart", "mailer")
        self.second = self.build("shop", "ann")
        self.shop.break_types("payments")
        self.failed = self.build("shop", "ben", keep_going=True)
        self.shop.mend_types("payments")
        self.build("shop", "ben")
        self.tested = self.build("shop", "ann", task="test")
        self.build("shop", "ann")
        self.build("docs", "cara", node=second)
        for text, entity in (
            ("Release 4.2 is built of what stands in the repository as v4.2.0", "workspace:shop"),
            ("New disk in the attic's node", "node:attic"),
        ):
            first.post("/api/ledger/entries", {"text": text, "entity": entity, "ack": "sealed"})
        for node in self.nodes:
            node("node", "benchmark")
        self.shop.edit("catalog", "ui-kit")  # so there is something to estimate

    def be_busy(self) -> str:
        """Begin a build that takes a while, and some behind it; return the id of the first."""
        slow = ("catalog", "cart", "payments", "mailer", "ui-kit", "api-client", "handbook")
        self.shop.set_pace(90.0, *slow)
        running = self.begin("shop", "ann", priority="high")
        self._until(lambda: self._running(running) == _COMMANDS * len(NAMES))
        for name, by, priority in (
            ("website", "cara", "normal"),
            ("tools", "ben", "normal"),
            ("docs", "dana", "low"),
        ):
            for package in _SMALL[name]:
                source = self._directory / name / package / "text.md"
                source.write_text(source.read_text() + "One more line.\n")
            build = self.begin(name, by, priority=priority)
            self._until(lambda asked=build: self._running(asked) is not None)  # type: ignore[misc]
        self.nodes[0].post(f"/api/queue/{build}/pause", {"reason": "waits for the new logo"})
        return running

    def begin(self, workspace: str, by: str, *, node: Node | None = None, **asked: Any) -> str:
        """Begin a build, and return its id."""
        root = str(self._directory / workspace)
        body = {"root": root, "environment": {}, "actor": by, **asked}
        return str((node or self.nodes[0]).post("/api/build", body)["build_id"])

    def build(self, workspace: str, by: str, *, node: Node | None = None, **asked: Any) -> str:
        """Build a workspace, and return the build's id."""
        asked_of = node or self.nodes[0]
        build = self.begin(workspace, by, node=asked_of, **asked)
        self._until(lambda: asked_of.get(f"/api/build/{build}")["status"] != "running")
        return build

    def _admit_people(self) -> None:
        first = self.nodes[0]
        for name, rights, who in (
            ("ann", "admin", "Ann, platform"),
            ("ben", "builder", "Ben, payments"),
            ("cara", "builder", "Cara, website"),
            ("dana", "observer", "Dana, support"),
        ):
            first.post("/api/accounts", {"id": name, "rights": rights, "description": who})
        for key, rights in (("ci", "builder"), ("review-agent", "observer"), ("old-ci", "builder")):
            self.keys[key] = str(first.post("/api/keys", {"name": key, "rights": rights})["key"])
        first.post("/api/keys/old-ci/revoke", {"reason": "the old CI server is gone"})
        first.post(
            "/api/configs",
            {
                "id": "release-build",
                "name": "Release build",
                "description": "Four cores, two of them in the attic",
                "resources": {
                    "cpu": {
                        "node_allocations": [
                            {"node_id": "studio", "cores": 2},
                            {"node_id": "attic", "cores": 2},
                        ]
                    },
                    "tools": ["git"],
                },
                "execution": {"strategy": "fastest", "timeout": "30m"},
            },
        )
        first.post(
            "/api/templates",
            {
                "id": "nightly",
                "description": "All tests, on a part of the pool",
                "category": "ci_cd",
                "config": {"resources": {"cpu": {"cores": "{cores}"}}},
                "variables": [{"name": "cores", "type": "integer", "default": 4, "minimum": 1}],
            },
        )

    def _running(self, build: str) -> int | None:
        """Return how many commands of a build run; None: it is not in the queue."""
        builds = self.nodes[0].get("/api/queue")["builds"]
        return next((int(one["running"]) for one in builds if one["build_id"] == build), None)

    def _until(self, is_it: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not is_it():
            if time.monotonic() > deadline:
                raise TimeoutError("the pool does not get on with its work")
            time.sleep(0.1)


def _make(directory: Path, name: str, **options: Any) -> Node:
    """Make a member with a name of ours."""
    own = NAMES[int(name.removeprefix("node")) - 1]
    node = Node(directory.with_name(own), own, **options)
    settings = f"node_tags: [office]\nworkers:\n  max: {_COMMANDS}\ncache:\n  max_gb: 50\n"
    write_files(node.home.directory, {node.home.config.name: settings})
    return node


def _write_small(root: Path, name: str, packages: tuple[str, ...]) -> None:
    text = f"workspace: {name}\npackages:\n"
    files = {}
    for package in packages:
        text += (
            f"  - name: {package}\n    path: {package}\n"
            f"    build_cmd: sleep 2; cp text.md page.html; echo wrote page.html\n"
            f"    outputs: [{package}/page.html]\n"
        )
        files[f"{package}/text.md"] = f"# {package.capitalize()} of {name}\n" * 20
    write_files(root, {"buildnet.yaml": text, **files})
