"""A worker of the cluster lies about what it ran: nothing of that is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from testbed.building import Building, many_commands, outputs_of, where
from testbed.nodes import Cluster, Node
from testbed.remains import nothing_left
from testbed.rogue_worker import LIE, RogueWorker

_COUNT = 6
_MAKE = "sleep 0.3; cp in.txt out.txt"


def cluster_with(directory: Path, way: str) -> Cluster:
    """Return an honest node of one slot and one that lies in some way."""

    def make(home: Path, name: str, **options: Any) -> Node:
        if name == "node1":
            return Node(home, name, **options)
        return RogueWorker(home, name, way, **options)

    cluster = Cluster(directory, 2, make=make)
    for node in cluster.members:
        node.home.directory.mkdir(parents=True)
        node.home.config.write_text("workers: {max: 1, output_limit: 256 KB}\n")
    return cluster


@pytest.mark.parametrize(
    ("way", "why"),
    [
        ("another_action", "the result of another action"),
        ("relabelled", "its executor did not sign it"),
        ("bad_signature", "its executor did not sign it"),
        ("stranger", "no member of the cluster vouches for it"),
        ("undeclared", "extra.txt, which the action does not make"),
        ("missing", "which the action does not make"),
        ("wrong_digests", "it lacks what its result consists of"),
        ("endless_output", "it sends more output than was asked for"),
        ("without_result", "it tells of a success without a result"),
        ("silent", "has not told how it goes"),
    ],
)
def test_a_worker_that_lies_is_set_aside(way: str, why: str, tmp_path: Path) -> None:
    with cluster_with(tmp_path / "nodes", way) as cluster:
        honest, rogue = cluster.members
        root = many_commands(tmp_path / "w", way, _MAKE, _COUNT)
        with nothing_left([honest]):
            report = Building(honest, root).report()
        assert report["status"] == "succeeded", report
        # An idle slot may have taken a command home before it is clear that nothing is to come.
        told = [each for each in report["notices"] if "is not used any more" in each]
        tried = {each["node"] for package in report["packages"] for each in package["attempts"]}
        if way == "silent" and not told:
            assert "has not begun on node2" in report["notices"][0]
        else:
            (notice,) = told
            assert notice.startswith("node2 is not used any more in this build: ")
            assert why in notice
            assert tried == {rogue.identity}
        # What it told first may have been true: that alone may count.
        assert where(report)[rogue.identity] <= (way in ("another_action", "relabelled"))
        expected = {f"p{number}": f"{way} {number}\n".encode() for number in range(_COUNT)}
        assert outputs_of(root) == expected
        assert not list(root.glob("p*/extra.txt"))
        rogue.kill()
        # What is in the cache is as true.
        again = many_commands(tmp_path / "x", way, _MAKE, _COUNT)
        tiers = {each["tier"] for each in honest.command.build(again)["packages"]}
        assert tiers == {"local-cache"}
        assert outputs_of(again) == expected


def test_what_is_said_after_the_end_counts_for_nothing(tmp_path: Path) -> None:
    with cluster_with(tmp_path / "nodes", "after_the_end") as cluster:
        honest, rogue = cluster.members
        root = many_commands(tmp_path / "w", "late", _MAKE, _COUNT)
        building = Building(honest, root)
        report = building.report()
        assert report["status"] == "succeeded"
        assert where(report)[rogue.identity] > 0
        assert report["notices"] == []
        assert outputs_of(root) == {
            f"p{number}": f"late {number}\n".encode() for number in range(_COUNT)
        }
        printed = "".join(each["text"] for each in building.events if each["type"] == "task_output")
        assert LIE.decode() not in printed
