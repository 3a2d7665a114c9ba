"""``build --verify``: what runs twice is compared, and both results can be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import write_files
from testbed.building import many_commands
from testbed.nodes import Cluster

_RANDOM = "head -c 8 /dev/urandom | od -An -tx1 > out.txt"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("pair"), 2) as cluster:
        yield cluster


def test_what_makes_the_same_again_is_verified_on_another_node(
    pair: Cluster, tmp_path: Path
) -> None:
    one, other = pair.members
    root = many_commands(tmp_path / "w", "same", "cp in.txt out.txt", 3)
    shown = one.command("build", "--verify", "2", cwd=root)
    assert shown.code == 0, shown.err
    assert "verified: 3 of 3 made the same again" in shown.out
    report = one.command.build(root, "--verify", "2", "--force")
    for each in report["packages"]:
        verification = each["verification"]
        assert verification["agrees"]
        assert {run["node"] for run in verification["runs"]} == {one.identity, other.identity}
        assert len({run["outputs"] for run in verification["runs"]}) == 1
    # What has a result does not run, so there is nothing to compare.
    assert {
        each["verification"] for each in one.command.build(root, "--verify", "2")["packages"]
    } == {None}


def test_what_makes_something_else_again_is_told_and_both_are_kept(
    pair: Cluster, tmp_path: Path
) -> None:
    one, other = pair.members
    root = many_commands(tmp_path / "w", "differs", _RANDOM, 2)
    report = one.command.build(root, "--verify", "3", code=1)
    assert report["status"] == "failed"
    assert report["error"]["code"] == "NOT_DETERMINISTIC"
    made = set()
    for each in report["packages"]:
        assert each["status"] == "succeeded"
        verification = each["verification"]
        assert not verification["agrees"]
        assert verification["differing"] == [f"{each['name']}/out.txt"]
        assert len(verification["runs"]) == 3  # a host again where there are no more
        assert {run["node"] for run in verification["runs"]} == {one.identity, other.identity}
        for number, run in enumerate(verification["runs"]):
            directory = tmp_path / f"{each['name']}-{number}"
            assert one("cache", "extract", run["result"], str(directory)).code == 0
            made.add((directory / "out.txt").read_text())
    assert len(made) == 6
    assert (root / "p0/out.txt").read_text() in made
    shown = one.command("build", "--verify", "2", "--force", cwd=root)
    assert shown.code == 1
    assert "p0 is not deterministic\n  p0/out.txt\n" in shown.err
    assert "buildnet cache extract" in shown.err


def test_a_command_that_fails_the_second_time_is_not_deterministic(
    pair: Cluster, tmp_path: Path
) -> None:
    one, _ = pair.members
    # It tells runs apart by the node's directory, which no command should.
    command = "case $PWD in *) cp in.txt out.txt;; esac; test $(($(date +%s%N) / 1000 % 2)) = 3"
    root = many_commands(tmp_path / "w", "fails", command, 1)
    report = one.command.build(root, "--verify", "2", code=1)
    assert report["packages"][0]["error"]["code"] == "COMMAND_FAILED"
    assert report["packages"][0]["verification"] is None


def test_a_node_alone_verifies_on_itself(pair: Cluster, tmp_path: Path) -> None:
    one, _ = pair.members
    root = many_commands(tmp_path / "w", "alone", _RANDOM, 1)
    report = one.command.build(root, "--verify", "2", "--local-only", code=1)
    (package,) = report["packages"]
    assert [run["node"] for run in package["verification"]["runs"]] == [one.identity] * 2


def test_a_configuration_asks_for_it(pair: Cluster, tmp_path: Path) -> None:
    one, _ = pair.members
    root = many_commands(tmp_path / "w", "configured", "cp in.txt out.txt", 1)
    write_files(tmp_path, {"twice.yaml": "name: Twice\nexecution: {redundancy: 2}\n"})
    assert one("config", "import", str(tmp_path / "twice.yaml")).code == 0
    (package,) = one.command.build(root, "--config", "twice")["packages"]
    assert len(package["verification"]["runs"]) == 2
