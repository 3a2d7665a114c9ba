"""People at the page of real nodes, in a real browser.

``owner``, ``builder`` and ``observer`` are logged in at the first of three nodes that are one
cluster; ``stranger`` is not. The cluster is of one module: a module whose tests need the tools of
this machine says so by a fixture ``bare`` of its own that returns False.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from testbed.nodes import Cluster, Node
from testbed.visits import Visit, find_chromium, launch

AXE = Path(__file__).parents[2] / "node/web/ui/node_modules/axe-core/axe.min.js"
Visiting = Callable[..., Visit]


@pytest.fixture(scope="session")
def program() -> str:
    """The browser's program."""
    program = find_chromium()
    if program is None:
        pytest.skip("there is no Chromium: apt-get install chromium")
    return program


@pytest.fixture(scope="module")
def bare() -> bool:
    """Whether the nodes find no tools on their host, and so are there sooner."""
    return True


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, bare: bool) -> Iterator[Cluster]:
    """Three nodes; the first one founded their cluster."""
    with Cluster(tmp_path_factory.mktemp("page"), 3, bare=bare) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def chromium(program: str, cluster: Cluster) -> Iterator[Browser]:
    """A browser. What drives it holds the thread's event loop: it is there after the cluster and
    gone before it, and of no more than a module."""
    with sync_playwright() as playwright, launch(playwright, program) as browser:
        yield browser


@pytest.fixture(scope="module")
def node(cluster: Cluster) -> Node:
    """The node whose page is looked at."""
    return cluster.members[0]


@pytest.fixture(scope="module")
def keys(node: Node) -> dict[str, str]:
    """A key of each right below the owner's."""
    return {
        rights: str(node.post("/api/keys", {"name": rights, "rights": rights})["key"])
        for rights in ("builder", "observer")
    }


@pytest.fixture
def visiting(chromium: Browser, node: Node, request: pytest.FixtureRequest) -> Iterator[Visiting]:
    """Return what opens a browser at the page of a node (none named: the first one); options as of
    :class:`Visit`. In the end each is closed, and must not have complained."""
    pictures: Path | None = request.config.getoption("--screenshots")
    with ExitStack() as stack:

        def visit(at: Node = node, **options: Any) -> Visit:
            return stack.enter_context(Visit(chromium, at, pictures=pictures, **options))

        yield visit


@pytest.fixture
def stranger(visiting: Visiting) -> Visit:
    """Somebody who is not logged in."""
    return visiting()


@pytest.fixture
def owner(visiting: Visiting) -> Visit:
    """The owner of the node, who founded the cluster: an admin."""
    visit = visiting()
    visit.log_in()
    return visit


@pytest.fixture
def builder(visiting: Visiting, keys: dict[str, str]) -> Visit:
    """Somebody with a key that may build."""
    visit = visiting()
    visit.log_in_with_key(keys["builder"])
    return visit


@pytest.fixture
def observer(visiting: Visiting, keys: dict[str, str]) -> Visit:
    """Somebody with a key that may look."""
    visit = visiting()
    visit.log_in_with_key(keys["observer"])
    return visit


@pytest.fixture(scope="session")
def axe() -> str:
    """The script that checks a page for what keeps people out (https://github.com/dequelabs/axe-core)."""
    if not AXE.exists():
        pytest.skip("there is no axe-core: npm ci in node/web/ui")
    return AXE.read_text(encoding="utf-8")


@pytest.fixture
def require_accessible(axe: str) -> Callable[[Visit], None]:
    """Return what sees that axe finds nothing serious in what is looked at."""

    def require(visit: Visit) -> None:
        visit.page.evaluate(axe)
        visit.wait_for_pictures()
        found = visit.page.evaluate(
            """async () => (await axe.run()).violations
                 .filter((each) => ["serious", "critical"].includes(each.impact))
                 .map((each) => `${each.id}: ${each.nodes.map((one) => one.target).join()}`)"""
        )
        assert found == []

    return require
