"""Builds with nothing or little to do: quick, recorded in full, and never a stale answer."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from buildnet.cli.testing import CommandLine, tiers, write_files

CHAIN = """\
workspace: chain
packages:
  - name: low
    path: low
    build_cmd: mkdir -p dist && cat *.txt > dist/out && echo $FLAVOR >> dist/out
    sources: ["low/*.txt"]
    env_inherit: [FLAVOR]
    output_dir: low/dist
  - name: high
    path: high
    build_cmd: mkdir -p dist && cat ../low/dist/out in > dist/out
    dependencies: [low]
    output_dir: high/dist
  - name: apart
    path: apart
    build_cmd: mkdir -p dist && cp in dist/out
    output_dir: apart/dist
"""
FILES = {
    "buildnet.yaml": CHAIN,
    "low/a.txt": "a\n",
    "high/in": "high\n",
    "apart/in": "apart\n",
    "apart/.gitignore": "*.log\n",
}
SAME = dict.fromkeys(["low", "high", "apart"], "instant-skip")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """One node for all of these tests."""
    command = CommandLine(tmp_path_factory.mktemp("watching") / "home")
    command.start()
    yield command
    command("node", "stop")


@pytest.fixture
def chain(running: CommandLine, tmp_path: Path) -> Path:
    """A workspace that is built and known to stand."""
    root = write_files(tmp_path / "chain", FILES)
    running.build(root)
    assert tiers(running.build(root)) == SAME
    return root


def output(root: Path, name: str) -> str:
    return (root / name / "dist" / "out").read_text()


def test_nothing_to_do_is_said_in_one_line_and_recorded_in_full(
    running: CommandLine, chain: Path
) -> None:
    answer = running("build", cwd=chain)
    line = r"succeeded: 3 packages \(3 up to date\) in \d+ ms · build ([0-9a-f]{12})\n"
    found = re.fullmatch(line, answer.out)
    assert found, answer.out
    assert answer.code == 0
    assert answer.err == ""
    recorded: dict[str, Any] = running("history", found[1], "--json").data
    assert tiers(recorded) == SAME
    assert all(one["action"] for one in recorded["packages"])
    with sqlite3.connect(running.home / "history.db") as history:
        rows = history.execute(
            "SELECT count(*) FROM build_packages WHERE build_id = ?", (found[1],)
        ).fetchone()
    assert rows == (0,)


def test_an_edit_records_what_it_touched_and_the_rest_by_reference(
    running: CommandLine, chain: Path
) -> None:
    (chain / "low/a.txt").write_text("b\n")
    answer = running("build", cwd=chain)
    assert "3 packages (1 up to date, 2 built)" in answer.out
    assert output(chain, "high") == "b\n\nhigh\n"
    build_id = answer.out.split()[-1]
    for _ in range(2):
        recorded = running("history", build_id, "--json").data
        assert tiers(recorded) == {"low": "full", "high": "full", "apart": "instant-skip"}
        assert tiers(running.build(chain)) == SAME


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("rm -r high/dist", {"high": "local-cache"}),
        ("echo x > apart/dist/out", {"apart": "local-cache"}),
        ("touch apart/more", {"apart": "full"}),
        ("touch apart/a.log", {}),
        ("touch apart/a.log; echo > apart/.gitignore", {"apart": "full"}),
        ("touch -d @1 low/a.txt", {"low": "hash-skip"}),
        (
            "touch -r low/a.txt ../stamp; printf 'z\\n' > low/a.txt; touch -r ../stamp low/a.txt",
            {"low": "full", "high": "full"},
        ),
        (
            "mkdir x; echo q > x/a.txt; mv low old; mv x low",
            {"low": "full", "high": "full"},
        ),
        ("sed -i 's/cp in/cp -f in/' buildnet.yaml", {"apart": "full"}),
        ("ln low/a.txt low/b.txt", {"low": "full", "high": "full"}),
    ],
)
def test_a_change_is_noticed(
    running: CommandLine, chain: Path, change: str, expected: dict[str, str]
) -> None:
    assert os.system(f"cd {chain} && {change}") == 0
    assert tiers(running.build(chain)) == SAME | expected
    assert tiers(running.build(chain)) == SAME


def test_an_inherited_variable_is_noticed(running: CommandLine, chain: Path) -> None:
    for value in ("sweet", "sour"):
        answer = running("build", "--json", cwd=chain, env={"FLAVOR": value})
        assert tiers(answer.data) == SAME | {"low": "full", "high": "full"}
        assert value in output(chain, "high")
    assert tiers(running.build(chain)) == SAME | {"low": "local-cache", "high": "local-cache"}


def test_what_was_built_alone_is_noticed_by_what_depends_on_it(
    running: CommandLine, chain: Path
) -> None:
    (chain / "low/a.txt").write_text("alone\n")
    assert tiers(running.build(chain, "low")) == {"low": "full"}
    assert tiers(running.build(chain, "low")) == {"low": "instant-skip"}
    assert tiers(running.build(chain))["high"] == "full"
    assert "alone" in output(chain, "high")


def test_what_stands_needs_no_cache(running: CommandLine, chain: Path) -> None:
    """Neither right after it was cleared, nor when a package is looked at again later."""
    assert running("cache", "clear", "--yes").code == 0
    assert tiers(running.build(chain)) == SAME
    (chain / "low/a.txt").touch()
    assert tiers(running.build(chain)) == SAME | {"low": "hash-skip"}
    (chain / "high/in").write_text("other\n")
    assert tiers(running.build(chain)) == SAME | {"high": "full"}


def test_a_failed_package_fails_again(running: CommandLine, chain: Path) -> None:
    (chain / "high/in").unlink()
    for _ in range(2):
        assert tiers(running.build(chain, code=1))["high"] == "full"
    (chain / "high/in").write_text("back\n")
    assert tiers(running.build(chain)) == SAME | {"high": "full"}


def test_changes_while_no_node_runs_are_noticed(buildnet: CommandLine, tmp_path: Path) -> None:
    root = write_files(tmp_path / "chain", FILES)
    pid = buildnet.start()["pid"]
    buildnet.build(root)
    buildnet.build(root)
    os.kill(pid, signal.SIGKILL)
    psutil.wait_procs([psutil.Process(pid)] if psutil.pid_exists(pid) else [], timeout=30)
    (root / "low/a.txt").write_text("meanwhile\n")
    assert tiers(buildnet.build(root)) == SAME | {"low": "full", "high": "full"}


def test_what_was_put_back_twice_is_not_taken_for_what_it_was_in_between(
    running: CommandLine, chain: Path
) -> None:
    (chain / "low/a.txt").write_text("other\n")
    for _ in range(2):
        running.build(chain, "low")
    (chain / "low/a.txt").write_text("a\n")
    running.build(chain)
    assert output(chain, "high").startswith("a\n")
    (chain / "low/a.txt").write_text("other\n")
    running.build(chain)
    assert output(chain, "high").startswith("other\n")
