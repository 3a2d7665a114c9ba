"""What a node learns of a build that is over."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.workspaces import Workspaces
from buildnet.pool.build import Status
from buildnet.pool.warrant import SALT_BYTES, Warrant


@pytest.mark.parametrize(
    ("asked", "learned"),
    [({}, [7.0]), ({"times": 2}, [None]), ({"trace_inputs": True}, []), ({"dry_run": True}, [])],
)
def test_commands_that_were_slowed_down_teach_nothing(
    asked: dict[str, Any], learned: list[float | None], tmp_path: Path
) -> None:
    root = write_files(
        tmp_path, {"buildnet.yaml": "workspace: s\npackages:\n  - {name: core, path: .}\n"}
    )
    definition = Workspaces(tmp_path / "cookies").find(root).definition
    warrant = Warrant(bytes(32), bytes(SALT_BYTES))
    request = BuildRequest(root, **asked)
    build = RunningBuild(warrant.build, definition, request, 0.0, "n", warrant)
    taught: list[float | None] = []
    forecast: Any = SimpleNamespace(
        first=None, learn=lambda reports, node, duration_ms: taught.append(duration_ms)
    )
    build.forecast = forecast
    build.close(Status.SUCCEEDED, 7.0, None)
    build.learn()
    assert taught == learned
