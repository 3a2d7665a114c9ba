"""Random workspaces under random edits: each build equals a clean one."""

from __future__ import annotations

from pathlib import Path

import pytest

from testbed.fork_server import ForkServer, shared_server
from testbed.workspaces_edits import Edit
from testbed.workspaces_run import World, shortest


@pytest.fixture(scope="module")
def server() -> ForkServer:
    return shared_server()


@pytest.mark.parametrize("seed", [pytest.param(1, marks=pytest.mark.thorough), 2])
def test_builds_of_a_workspace_that_is_edited_at_random_equal_clean_ones(
    seed: int, server: ForkServer, tmp_path: Path
) -> None:
    """The short form of ``tests/faults/random_builds.py``."""
    with World(tmp_path, server, seed) as world:
        world.run(40)
    print(world.counts)
    assert world.counts["builds"] > 10
    assert world.counts["full"] > 10
    assert world.counts["instant-skip"] > 10


def test_the_shortest_list_of_edits_that_fails_is_found() -> None:
    edits: list[Edit] = [["touch", f"f{number}", None] for number in range(100)]

    def fails(part: list[Edit]) -> bool:
        return edits[17] in part and edits[80] in part

    assert shortest(fails, edits, deadline=float("inf")) == [edits[17], edits[80]]
