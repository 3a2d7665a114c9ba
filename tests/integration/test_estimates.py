"""How long builds take, as a real node learns and tells it."""

from __future__ import annotations

import json
from pathlib import Path

from buildnet.cli.testing import CommandLine, write_files

WORKSPACE = """\
workspace: slow
packages:
  - name: first
    path: first
    build_cmd: sleep 0.4; cp in.txt out.txt
    sources: [first/in.txt]
    outputs: [first/out.txt]
  - name: beside
    path: beside
    build_cmd: sleep 0.2; cp in.txt out.txt
    sources: [beside/in.txt]
    outputs: [beside/out.txt]
  - name: after
    path: after
    build_cmd: cat in.txt ../first/out.txt > out.txt
    dependencies: [first]
    sources: [after/in.txt]
    outputs: [after/out.txt]
"""


def edit(root: Path, text: str) -> None:
    for name in ("first", "beside", "after"):
        (root / name / "in.txt").write_text(f"{name} {text}\n")


def test_a_build_is_foretold_learned_from_and_measured(node: CommandLine, tmp_path: Path) -> None:
    root = write_files(tmp_path / "slow", {"buildnet.yaml": WORKSPACE})
    for name in ("first", "beside", "after"):
        (root / name).mkdir()
    edit(root, "1")
    unknown = node("build", "--estimate", "--json", cwd=root).data
    assert unknown["estimated_ms"] is None
    assert {each["plan"] for each in unknown["packages"]} == {"run"}
    assert not (root / "first" / "out.txt").exists()

    assert node.build(root)["estimate"] is None  # nothing ever ran here
    edit(root, "2")
    told = node("build", "--estimate", "--json", cwd=root).data
    low, high = told["interval_ms"]
    assert 100 < low < told["estimated_ms"] < high
    assert {each["name"]: each["measured"] for each in told["packages"]} == {
        "first": 1,
        "beside": 1,
        "after": 1,
    }
    answer = node("build", "--json", "--progress", "json", cwd=root)
    events = [json.loads(line) for line in answer.err.splitlines() if line.startswith("{")]
    first = next(event for event in events if event["type"] == "estimate")
    report = answer.data
    assert report["estimated_ms"] == first["estimated_ms"] == report["estimate"]["estimated_ms"]
    assert abs(report["estimated_ms"] - told["estimated_ms"]) < 0.5 * told["estimated_ms"]

    assert "nothing to do" in node("build", "--estimate", cwd=root).out
    (root / "after" / "in.txt").write_text("3\n")
    rehearsed = node("build", "--dry-run", "--json", cwd=root).data
    assert rehearsed["estimated_ms"] < told["estimated_ms"] / 2

    listed = node("history", "--json").data
    assert listed["estimates"]["builds"] == 1
    assert listed["builds"][0]["estimated_ms"] == report["estimated_ms"]
    error = abs(report["estimated_ms"] - report["duration_ms"]) / report["duration_ms"]
    assert abs(listed["builds"][0]["estimate_error"] - error) < 0.01
    assert "ended in their range" in node("history").out


def test_what_was_learned_outlives_the_node(buildnet: CommandLine, tmp_path: Path) -> None:
    root = write_files(tmp_path / "slow", {"buildnet.yaml": WORKSPACE})
    for name in ("first", "beside", "after"):
        (root / name).mkdir()
    edit(root, "1")
    buildnet.build(root)
    buildnet("node", "stop")
    edit(root, "2")
    told = buildnet("build", "--estimate", "--json", cwd=root).data
    assert told["estimated_ms"] > 300
    (root / "buildnet.yaml").write_text("packages: 3\n")
    assert buildnet("build", "--estimate", cwd=root).code == 2
