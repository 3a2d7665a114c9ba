"""Real nodes and the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine
from testbed.commands import ForkedCommandLine


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
