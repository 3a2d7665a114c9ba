"""What is known of workspaces takes memory, so it is kept of the latest ones alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.node import workspaces as module
from buildnet.node.workspaces import Workspaces
from buildnet.pool.claims import Claim

DEFINITION = "workspace: one\npackages: [{name: p, path: p, build_cmd: 'true'}]\n"


def test_workspaces_that_are_too_many_are_forgotten_but_for_those_that_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KNOWN", 2)
    workspaces = Workspaces(tmp_path / "cookies")
    roots = [tmp_path / name for name in ("busy", "silent", "old", "asked", "new")]
    for root in roots:
        write_files(root, {"buildnet.yaml": DEFINITION, "p/x": ""})
    busy, silent, old, asked, new = (workspaces.find(root) for root in roots)
    for number, opened in enumerate((busy, silent, old, asked, new)):
        opened.found_at = float(number)
    workspaces.find(roots[3])  # the latest one now
    silent.distrusted = "a change was not told"
    assert busy.claims.one(Claim(None, None)).take_at_once()
    workspaces.unwatch_unused(time.monotonic())
    assert workspaces.find(roots[0]) is busy
    assert workspaces.find(roots[1]) is silent
    assert workspaces.find(roots[3]) is asked
    assert workspaces.find(roots[4]) is new
    assert workspaces.find(roots[2]) is not old
    workspaces.close()
