"""Real nodes and the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.attacked import GROWTH_MAX_BYTES, Door

from buildnet.cli.testing import CommandLine
from testbed.commands import ForkedCommandLine
from testbed.nodes import Cluster, Node, alive
from testbed.rogue import cluster_of
from testbed.waiting import until


@pytest.fixture
def buildnet(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line, forked and bare; whatever node it leaves running is stopped."""
    command = ForkedCommandLine(tmp_path / "home", bare=True)
    yield command
    command("node", "stop")


@pytest.fixture
def equipped(tmp_path: Path) -> Iterator[CommandLine]:
    """The same where nodes find the tools of this machine."""
    command = ForkedCommandLine(tmp_path / "home")
    yield command
    command("node", "stop")


@pytest.fixture
def true_buildnet(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line for tests of a start itself: as its owner's shell starts it."""
    command = CommandLine(tmp_path / "home")
    yield command
    command("node", "stop")


@pytest.fixture
def node(buildnet: CommandLine) -> CommandLine:
    """The command line with a node that runs."""
    buildnet.start()
    return buildnet


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of one cluster, for all tests of a file."""
    with Cluster(tmp_path_factory.mktemp("trio"), 3) as cluster:
        yield cluster


@pytest.fixture
def newcomer(trio: Cluster, tmp_path: Path) -> Iterator[Node]:
    """A node of its own, which may join the three; afterwards they are as they were."""
    node = Node(tmp_path / "newcomer", "newcomer", listen="127.0.0.1:0", bare=True)
    node.start()
    yield node
    founder = trio.members[0]
    if any(each["name"] == "newcomer" for each in founder.get("/api/node/members")["members"]):
        founder.post("/api/node/revoke", {"node": "newcomer"})
    node.kill()
    trio.settle()


@pytest.fixture(scope="module")
def door(trio: Cluster) -> Door:
    """Three honest nodes and one of them that is attacked."""
    honest = tuple(trio.members)
    return Door(honest, honest[1], cluster_of(honest[0]))


@pytest.fixture
def unharmed(door: Door) -> Iterator[None]:
    """After each attack: the same coordinator in the same term, all honest nodes alive to each
    other, no node grown, and their logs without a bug."""
    before = {node.name: (node.office(), node.process.memory_info().rss) for node in door.honest}
    yield
    for node in door.honest:
        office, memory = before[node.name]
        assert node.office() == office
        until(lambda node=node: alive(node) >= 3)  # type: ignore[misc]
        assert node.process.memory_info().rss - memory < GROWTH_MAX_BYTES
        log = (node.home.directory / "node.log").read_text()
        assert '"level": "error"' not in log, log
