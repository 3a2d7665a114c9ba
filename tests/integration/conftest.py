"""Real nodes and the real command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine


@pytest.fixture
def buildnet(tmp_path: Path) -> Iterator[CommandLine]:
    """The command line; whatever node it leaves running is stopped."""
    command = CommandLine(tmp_path / "home")
    yield command
    command("node", "stop")


@pytest.fixture
def node(buildnet: CommandLine) -> CommandLine:
    """The command line with a node that runs."""
    buildnet.start()
    return buildnet
