"""What a change of files means for the packages that are watched."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from buildnet.pool.affected import Readers
from buildnet.pool.impact import Impact, Scales
from buildnet.pool.workspace import load_workspace

DEFINITION = """
workspace: shop
packages:
  - {name: core, path: core, build_cmd: make, outputs: [core/dist]}
  - {name: app, path: app, build_cmd: make, dependencies: [core], sources: ["app/src/**"]}
  - {name: apart, path: apart, build_cmd: make}
"""


@pytest.fixture
def scales(tmp_path: Path) -> Scales:
    files = {"buildnet.yaml": DEFINITION, "core/x": "", "app/src/x": "", "apart/x": ""}
    readers = Readers(load_workspace(write_files(tmp_path, files)))
    return Scales(readers, ["core", "app"], is_ignored=lambda path: path.endswith(".log"))


@pytest.mark.parametrize(
    ("paths", "impact"),
    [
        (["core/a.c"], Impact.INCREMENTAL),
        (["core/a.c", "core/b.c"], Impact.PACKAGE_REBUILD),
        (["core/a.c", "core/a.png"], Impact.INCREMENTAL),
        (["core/a.PNG", "core/b.md"], Impact.ASSET_ONLY),
        (["core/Makefile"], Impact.PACKAGE_REBUILD),
        (["core/deep/"], Impact.PACKAGE_REBUILD),
        (["buildnet.yaml", "core/a.c"], Impact.FULL_REBUILD),
        ([""], Impact.FULL_REBUILD),
        (["core/.a.c.swp", "core/a.c~", "core/4913"], Impact.IGNORED),
        (["core/dist/a.o", "app/README", "apart/a.c"], Impact.IGNORED),
        (["core/debug.log"], Impact.IGNORED),
        (["app/src/debug.log"], Impact.INCREMENTAL),  # its sources name it
        ([], Impact.IGNORED),
    ],
)
def test_how_much_a_change_means(scales: Scales, paths: list[str], impact: Impact) -> None:
    assert scales.weigh(paths).impact is impact


def test_what_counts_and_whom_it_affects(scales: Scales) -> None:
    found = scales.weigh(["core/a.c", "core/dist/a.o", "apart/a.c"])
    assert found.paths == ("core/a.c",)
    assert found.affected.packages == {"core": "core/a.c changed", "app": "depends on core"}
    assert found.affected.touched == {"core"}
    assert set(scales.weigh([""]).affected.packages) == {"core", "app"}  # of those that are built
