"""Caches of package managers: one for each workspace, private, those that were used last stay."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from buildnet.node.downloads import Downloads


def test_workspaces_managers_and_levels_have_caches_of_their_own(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "downloads")
    of = {
        downloads.cache(level, manager, workspace)
        for level in ("strict", "staged")
        for manager in ("npm", "yarn")
        for workspace in ("a", "b")
    }
    assert len(of) == 8
    assert all(place.is_dir() for place in of)
    assert downloads.cache("strict", "npm", "a") in of


def test_nobody_else_reads_them(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir(mode=0o755)
    cache = Downloads(tmp_path / "downloads").cache("strict", "npm", "a")
    assert stat.S_IMODE(cache.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_pruning_keeps_what_was_used_last(tmp_path: Path) -> None:
    downloads = Downloads(tmp_path / "downloads")
    downloads.prune(0)
    places = [downloads.cache("strict", "npm", name) for name in "abc"]
    for age_s, place in enumerate(places):
        (place / "file").touch()
        os.utime(place, (1000 - age_s, 1000 - age_s))
    assert downloads.cache("strict", "npm", "c") == places[2]
    downloads.prune(2)
    assert sorted(place.name[-1] for place in (tmp_path / "downloads").iterdir()) == ["a", "c"]
    downloads.prune(0)
    assert not any((tmp_path / "downloads").iterdir())
