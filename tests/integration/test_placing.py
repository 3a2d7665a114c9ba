"""Where the commands of a build run on three nodes: strategies, bounds, labels."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.testing import write_files
from testbed.building import PATIENCE_S, Building, commands_of
from testbed.nodes import Cluster, Node

PACKAGES = 12
LABELLED = "labelled"


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three nodes of two slots each; the second is told to be fast, the third has a label."""
    cluster = Cluster(tmp_path_factory.mktemp("placing"), 3)
    for number, node in enumerate(cluster.members):
        node.home.directory.mkdir(parents=True)
        said = {"workers": {"max": 2}, "node_tags": [LABELLED] if number == 2 else []}
        node.home.config.write_text(json.dumps(said))
        measured = {
            "cpu_units": 900.0 if number == 1 else 300.0,
            "measured_at": "2026-01-01T00:00:00Z",
        }
        node.home.benchmark.write_text(json.dumps(measured))
    with cluster:
        yield cluster


def workspace(directory: Path, count: int, seconds: float, more: str = "") -> Path:
    packages = [
        f"  - name: p{number}\n    path: p{number}\n    outputs: [p{number}/out.txt]\n"
        f"    build_cmd: sleep {seconds}; cp in.txt out.txt\n{more}"
        for number in range(count)
    ]
    files = {f"p{number}/in.txt": f"{directory} {number}\n" for number in range(count)}
    files["buildnet.yaml"] = "workspace: many\npackages:\n" + "".join(packages)
    write_files(directory, files)
    return directory


def configure(node: Node, name: str, **execution: Any) -> None:
    settings = [f"--set=execution.{key}={value}" for key, value in execution.items()]
    answer = node("config", "create", name, *settings)
    assert answer.code == 0, answer


def where(report: dict[str, Any]) -> Counter[str]:
    return Counter(each["node"] for each in report["packages"])


def test_strategies_change_where_commands_run(trio: Cluster, tmp_path: Path) -> None:
    here, fast, other = trio.members
    # Two more than the driver has slots for: the strategy says who gets them.
    configure(here, "fastest", strategy="fastest")
    report = here.command.build(workspace(tmp_path / "a", 4, 0.7), "--config", "fastest")
    assert where(report)[fast.identity] >= 2, report
    assert other.identity not in where(report)
    configure(here, "other", preferred_node=other.name)
    report = here.command.build(workspace(tmp_path / "b", 4, 0.7), "--config", "other")
    assert where(report)[other.identity] >= 2, report
    assert fast.identity not in where(report)
    configure(here, "turns", strategy="round_robin")
    report = here.command.build(workspace(tmp_path / "c", PACKAGES, 0.5), "--config", "turns")
    assert sorted(where(report).values()) in ([3, 4, 5], [4, 4, 4]), report
    assert report["choice"]["strategy"] == "round_robin"


def test_builds_of_one_command_use_hosts_that_have_nothing_to_do(
    trio: Cluster, tmp_path: Path
) -> None:
    here = trio.members[0]
    builds = []
    for number in range(5):
        root = workspace(tmp_path / f"lone{number}", 1, 5.0)
        described = root / "buildnet.yaml"  # as one of which nobody knows how long it takes
        described.write_text(described.read_text().replace("many", f"lone{number}", 1))
        builds.append(Building(here, root))
    used = sum((where(build.report()) for build in builds), Counter[str]())
    assert used[here.identity] < 5, used
    assert used.total() == 5


def test_no_more_nodes_are_used_than_may(trio: Cluster, tmp_path: Path) -> None:
    here, *_ = trio.members
    configure(here, "two", max_nodes=2, strategy="fastest")
    report = here.command.build(workspace(tmp_path / "w", PACKAGES, 0.4), "--config", "two")
    assert len(where(report)) == 2
    assert here.identity in where(report)
    configure(here, "one", max_nodes=1)
    report = here.command.build(workspace(tmp_path / "x", 4, 0.2), "--config", "one")
    assert where(report).keys() == {here.identity}


def test_cores_on_named_nodes_bound_what_runs_there(trio: Cluster, tmp_path: Path) -> None:
    here, fast, _ = trio.members
    cores = f"resources.cpu.node_allocations=[{{node_id: {fast.name}, cores: 1}}]"
    assert here("config", "create", "named", "--set", cores).code == 0
    report = here.command.build(workspace(tmp_path / "w", 9, 0.4), "--config", "named")
    assert where(report).keys() == {here.identity, fast.identity}
    assert where(report)[fast.identity] <= 5, report


def test_a_large_input_of_many_commands_comes_from_whoever_has_it(
    trio: Cluster, tmp_path: Path
) -> None:
    root = workspace(tmp_path / "w", PACKAGES, 0.3)
    text = (root / "buildnet.yaml").read_text().replace("cp in.txt", "cat ../large in.txt | md5sum")
    text = text.replace("md5sum out.txt", "md5sum > out.txt")
    text = text.replace("    build_cmd", "    extra_sources: [large]\n    build_cmd")
    (root / "buildnet.yaml").write_text(text)
    (root / "large").write_bytes(os.urandom(4 << 20))
    report = trio.members[0].command.build(root)
    assert len(where(report)) == 3
    for number in range(PACKAGES):
        wanted = hashlib.md5((root / "large").read_bytes())
        wanted.update((root / f"p{number}/in.txt").read_bytes())
        assert (root / f"p{number}/out.txt").read_text().split()[0] == wanted.hexdigest()


def test_a_command_that_hangs_elsewhere_is_run_here_too(trio: Cluster, tmp_path: Path) -> None:
    here, _, other = trio.members
    configure(here, "hanging", preferred_node=other.name)
    root = workspace(tmp_path / "w", 4, 0.5)
    assert other.identity in where(here.command.build(root, "--config", "hanging"))
    for number in range(4):
        (root / f"p{number}/in.txt").write_text(f"again {number}\n")
    building = Building(here, root, config_id="hanging")
    deadline = time.monotonic() + PATIENCE_S
    while len(stopped := commands_of(other, "sleep")) < 2:
        assert time.monotonic() < deadline
    for each in stopped:
        each.suspend()
    report = building.report()
    assert report["status"] == "succeeded"
    assert where(report) == {here.identity: 4}
    told = [event["text"] for event in building.events if event["type"] == "notice"]
    assert len([text for text in told if text.endswith("it runs here, too")]) == 2, told
    while any(each.is_running() for each in stopped):  # what nobody waits for is ended
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_asks_for_a_label_runs_where_it_is(trio: Cluster, tmp_path: Path) -> None:
    here, _, labelled = trio.members
    asks = f"    labels: [{LABELLED}]\n"
    report = here.command.build(workspace(tmp_path / "w", 3, 0.1, asks))
    assert where(report) == {labelled.identity: 3}
    assert (tmp_path / "w/p0/out.txt").read_text() == f"{tmp_path / 'w'} 0\n"
    report = here.command.build(tmp_path / "w", "--force", "--verify", "2")
    runs = [run["node"] for each in report["packages"] for run in each["verification"]["runs"]]
    assert runs == [labelled.identity] * 6  # no other one may run it, the asked one neither
    # The same on the node that has it: at home.
    report = labelled.command.build(workspace(tmp_path / "x", 2, 0.1, asks))
    assert where(report) == {labelled.identity: 2}
    root = workspace(tmp_path / "y", 1, 0.1, asks)
    report = here.command.build(root, "--local-only", code=1)
    (package,) = report["packages"]
    assert package["error"]["code"] == "NO_HOST"
    assert LABELLED in package["error"]["message"]


def sharded(directory: Path, more: str) -> Path:
    """A task of tests, of which ``bad.test`` fails, that are reported as JUnit XML."""
    text = f"""\
workspace: tested
packages:
  - name: core
    path: core
    tasks:
      test:
        cmd: sh run.sh out-{{shard}}.xml {{tests}}
        tests: [core/*.test]
        junit: core/out-{{shard}}.xml
        {more}
"""
    run = """\
out=$1; shift; echo '<testsuite>' > $out
for each in "$@"; do
  case $each in bad*) why='<failure message="no"/>'; code=1;; *) why=;; esac
  echo "<testcase classname='$each' name='x' time='0.1'>$why</testcase>" >> $out
done
sleep 0.3; echo '</testsuite>' >> $out; exit $code
"""
    tests = {f"core/{name}.test": f"{directory}\n" for name in ("a", "b", "bad", "c")}
    return write_files(directory, {"buildnet.yaml": text, "core/run.sh": run, **tests})


def test_what_fails_elsewhere_tells_which_tests_did(trio: Cluster, tmp_path: Path) -> None:
    here, _, other = trio.members
    root = sharded(tmp_path / "w", f"labels: [{LABELLED}]\n        shards: 2")
    (entry,) = here.command.build(root, "--task", "test", code=1)["packages"]
    assert {shard["node"] for shard in entry["shards"]} == {other.identity}
    assert entry["error"]["message"] == "1 of 4 tests failed: bad.test › x"
    assert (entry["tests"]["total"], entry["tests"]["passed"]) == (4, 3)
    # What passed is cached one by one, wherever it ran.
    (entry,) = here.command.build(root, "--task", "test", code=1)["packages"]
    assert sorted(shard["tier"] for shard in entry["shards"]) == ["full", "instant-skip"]


def test_what_fails_runs_again_on_other_hosts(trio: Cluster, tmp_path: Path) -> None:
    root = sharded(tmp_path / "w", "shards: 1\n        retries: 2")
    (entry,) = trio.members[0].command.build(root, "--task", "test", code=1)["packages"]
    (shard,) = entry["shards"]
    assert [retry["failed"] for retry in shard["retries"]] == [["bad.test › x"]] * 2
    assert len({shard["node"], *(retry["node"] for retry in shard["retries"])}) > 1
    assert entry["tests"]["flaky"] == []
    letters = trio.members[0].get("/api/dead-letters")["letters"]
    assert not [each for each in letters if each["task"].startswith("test")]
