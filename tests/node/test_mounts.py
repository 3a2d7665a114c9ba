"""Commands of workspace packages in trees that are shown in a stage."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from buildnet.node.execute.mounts import Mount, show

STARTER = """\
#!/bin/sh
basedir=$(dirname "$0")
exec /bin/sh "$basedir/../{program}" "$@"
"""


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    """A stage with its own copy of the package ``tool``, whose program lost its executable bit."""
    program = tmp_path / "stage/root/packages/tool/run.sh"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\necho copy\n")
    program.chmod(0o644)
    return tmp_path / "stage/root"


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """The ``node_modules`` of an install that links the package ``@shop/tool``."""
    modules = tmp_path / "tree/node_modules"
    (modules / ".bin").mkdir(parents=True)
    (modules / "@shop").mkdir()
    (modules / "@shop/tool").symlink_to("../../packages/tool")
    (modules / "other").mkdir()
    (modules / "other/run.sh").write_text("echo other")
    return modules


def said_by(stage: Path, command: str) -> str:
    return subprocess.check_output([stage / "node_modules/.bin" / command], text=True)


@pytest.mark.parametrize("target", ["../@shop/tool/run.sh", "../../packages/tool/run.sh"])
def test_a_linked_command_is_the_stages_and_can_be_called(
    stage: Path, modules: Path, target: str
) -> None:
    (modules / ".bin/tool").symlink_to(target)
    show(Mount("node_modules", modules), stage, "mount0")
    assert said_by(stage, "tool") == "copy\n"


def test_a_command_that_is_not_built_yet_leads_nowhere(stage: Path, modules: Path) -> None:
    (modules / ".bin/tool").symlink_to("../@shop/tool/dist/later.js")
    show(Mount("node_modules", modules), stage, "mount0")
    assert not (stage / "node_modules/.bin/tool").exists()


def test_a_starter_starts_the_stages_program(stage: Path, modules: Path) -> None:
    for name, program in (("tool", "@shop/tool/run.sh"), ("other", "other/run.sh")):
        (modules / ".bin" / name).write_text(STARTER.format(program=program))
        (modules / ".bin" / name).chmod(0o555)
    show(Mount("node_modules", modules), stage, "mount0")
    assert said_by(stage, "tool") == "copy\n"
    assert said_by(stage, "other") == "other\n"


def test_starters_of_others_are_one_link(stage: Path, modules: Path) -> None:
    (modules / ".bin/other").write_text(STARTER.format(program="other/run.sh"))
    show(Mount("node_modules", modules), stage, "mount0")
    assert (stage / "node_modules/.bin").is_symlink()


def test_caches_are_empty_directories_of_the_stage(stage: Path, modules: Path) -> None:
    (modules / ".vite-temp").mkdir()
    (modules / ".vite-temp/old").touch()
    (modules / ".cache").symlink_to(".vite-temp")
    show(Mount("node_modules", modules), stage, "mount0")
    for name in (".vite-temp", ".cache"):
        assert not (stage / "node_modules" / name).is_symlink()
        assert not any((stage / "node_modules" / name).iterdir())
