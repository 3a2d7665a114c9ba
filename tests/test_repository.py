"""What must not drift: the layout, the import directions, and what a wheel installs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
ROOMS = ("mesh", "ledger", "pool", "node", "cli")


def modules(room: str) -> list[Path]:
    return sorted(
        path for path in (REPOSITORY / room).rglob("*.py") if "node_modules" not in path.parts
    )


def test_the_rooms_stand_at_the_root_and_are_linked_into_the_prefix() -> None:
    prefix = REPOSITORY / "src/buildnet"
    entries = {path.name for path in prefix.iterdir()} - {"__pycache__"}
    assert entries == {"__init__.py", "py.typed", *ROOMS}
    for room in ROOMS:
        assert (prefix / room).readlink() == Path(f"../../{room}")
        assert (REPOSITORY / room / "__init__.py").is_file()


def test_nothing_else_stands_at_the_root() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    top = {name.partition("/")[0] for name in listed.stdout.splitlines()}
    visible = {name for name in top if not name.startswith(".")}
    known = {*ROOMS, "src", "tests", "examples", "docs", "pyproject.toml", "README.md"}
    assert visible <= known


def test_imports_run_downwards() -> None:
    answer = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stdout


@pytest.mark.parametrize("room", ROOMS)
def test_imports_are_absolute_and_under_the_prefix(room: str) -> None:
    for path in modules(room):
        for statement in ast.walk(ast.parse(path.read_text())):
            if isinstance(statement, ast.ImportFrom):
                assert statement.level == 0, path
                assert (statement.module or "").partition(".")[0] not in ROOMS, path
            elif isinstance(statement, ast.Import):
                for name in statement.names:
                    assert name.name.partition(".")[0] not in ROOMS, path


@pytest.mark.parametrize("room", ROOMS)
def test_modules_stay_short(room: str) -> None:
    long = {
        str(path.relative_to(REPOSITORY)): lines
        for path in modules(room)
        if not path.name.endswith("_pb2.py") and (lines := len(path.read_text().splitlines())) > 500
    }
    assert long == {}


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(path: Path) -> Iterator[Function]:
    """Yield the tests of a file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node


def test_tests_run_what_they_define() -> None:
    """A test whose work is only defined can't fail."""
    idle = []
    for path in (REPOSITORY / "tests").rglob("test_*.py"):
        for test in functions_of(path):
            named = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
            idle += [
                f"{path.relative_to(REPOSITORY)}: {test.name}: {part.name}"
                for part in test.body
                if isinstance(part, Function) and part.name not in named and not part.decorator_list
            ]
    assert idle == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    answer = subprocess.run(
        ["uv", "build", "--wheel", "--out-dir", str(directory), str(REPOSITORY)],
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        if "hatchling" in answer.stderr and "fetch" in answer.stderr:
            pytest.skip("the build backend can't be fetched here")
        pytest.fail(answer.stderr)
    return next(directory.glob("*.whl"))


def test_a_wheel_installs_nothing_but_buildnet(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"buildnet"}
    for room in ROOMS:
        assert f"buildnet/{room}/__init__.py" in names
    assert "buildnet/py.typed" in names
    assert "buildnet/examples/fractal/buildnet.yaml" in names
    built = REPOSITORY / "node/web/static"
    page = {str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()}
    within = "buildnet/node/web/static/"
    assert {name.removeprefix(within) for name in names if name.startswith(within)} == page
    assert not [name for name in names if name.startswith("buildnet/node/web/ui/")]
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name]


def test_an_installed_wheel_runs_the_demo(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    subprocess.run(["uv", "venv", "-q", "--python", sys.executable, environment], check=True)
    python = environment / "bin/python"
    install = subprocess.run(
        ["uv", "pip", "install", "-q", "--python", python, wheel],
        capture_output=True,
        text=True,
        check=False,
    )
    if install.returncode != 0:
        pytest.skip(f"dependencies can't be installed here: {install.stderr[-300:]}")
    with subprocess.Popen(
        [environment / "bin/buildnet", "demo"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        try:
            told, errors = demo.communicate()
        finally:
            demo.terminate()  # after a timeout: killed, it would leave its nodes behind
    assert demo.returncode == 0, told + errors
    assert "up to date" in told
    assert "from the pool's cache" in told
