"""Building what changed: since a git revision, and while people type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, write_files
from testbed.commands import ForkedCommandLine
from testbed.git import commit, git, repository

DEFINITION = """\
workspace: shop
packages:
  - {name: core, path: core, build_cmd: "cat *.txt > out", output_dir: core/out}
  - name: app
    path: app
    build_cmd: "cat ../core/out *.txt > out"
    output_dir: app/out
    dependencies: [core]
    tasks: {check: {cmd: "true", sources: ["app/*.txt"]}}
  - {name: apart, path: apart, build_cmd: "cat *.txt > out", output_dir: apart/out}
"""
FILES = {
    "buildnet.yaml": DEFINITION,
    ".gitignore": "out\n",
    "core/a.txt": "core\n",
    "app/a.txt": "app\n",
    "apart/a.txt": "apart\n",
}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """One node for all of these tests."""
    command = ForkedCommandLine(tmp_path_factory.mktemp("changes") / "home")
    command.start()
    yield command
    command("node", "stop")


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A workspace in a repository."""
    return repository(tmp_path / "shop", FILES)


def test_only_what_a_change_affects_is_built(running: CommandLine, shop: Path) -> None:
    nothing = running.build(shop, "--since", "main")
    assert (nothing["packages"], nothing["since"]["affected"]) == ([], [])
    git(shop, "switch", "-qc", "work")
    write_files(shop, {"core/b.txt": "more\n"})
    commit(shop)
    report = running.build(shop, "--since", "main")
    assert [each["name"] for each in report["packages"]] == ["core", "app"]
    assert report["since"]["affected"] == [
        {"name": "core", "why": "core/b.txt changed"},
        {"name": "app", "why": "depends on core"},
    ]
    core = running.build(shop, "--since", "main", "core", "apart")
    assert [each["name"] for each in core["packages"]] == ["core"]
    (shop / "apart/a.txt").rename(shop / "apart/b.txt")
    plan = running("build", "--since", "HEAD", "--dry-run", cwd=shop)
    assert "2 files changed" in plan.out
    assert "apart/a.txt changed" in plan.out
    assert "core" not in plan.out
    checks = running.build(shop, "--since", "main", "--task", "check")
    assert {(each["name"], each["task"]) for each in checks["packages"]} >= {("app", "check")}
    unknown = running("build", "--since", "nope", cwd=shop)
    assert (unknown.code, "UNKNOWN_REVISION" in unknown.err) == (6, True)
