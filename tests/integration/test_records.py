"""Builds on a real node, and what is told of them afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from buildnet.cli.testing import CommandLine, write_files

SHOP = """\
workspace: shop
packages:
  - {name: base, path: base, build_cmd: "sleep 0.05; cat a.txt > out", outputs: [base/out]}
  - name: app
    path: app
    build_cmd: cat ../base/out > out
    outputs: [app/out]
    dependencies: [base]
"""


def test_what_a_build_took_is_told_from_its_record(node: CommandLine, tmp_path: Path) -> None:
    files = {"buildnet.yaml": SHOP, "base/a.txt": "one\n", "app/b.txt": "b\n"}
    shop = write_files(tmp_path / "shop", files)
    rehearsed = node.build(shop, "--dry-run")
    assert rehearsed["phases"]["rehearse_ms"] > 0
    here = {each["node"] for each in rehearsed["packages"]}
    assert {each["place"]["node"] for each in rehearsed["packages"]} == here
    first = node.build(shop)
    phases = first["phases"]
    assert phases["rehearse_ms"] is None
    assert phases["perform_ms"] >= 50
    for entry in first["packages"]:
        names = [part["name"] for part in entry["timeline"]["parts"]]
        assert names[0] == "lookup"
        assert names[-4:] == ["queue", "staging", "execution", "upload"]
    base, app = first["packages"]
    assert base["executed_ms"] >= 50
    assert app["depends_on"] == ["base"]
    (shop / "app/b.txt").write_text("c\n")
    second = node.build(shop)["build_id"]

    review = node("history", second, "--review", "--json").data
    assert review["savings"]["by_tier"] == {"instant-skip": 1}
    assert review["savings"]["executed_ms"] == base["executed_ms"]
    assert [one["task"] for one in review["missed"]] == ["app"]
    assert [step["task"] for step in review["critical_path"]["steps"]][-1] == "app"
    assert {one["kind"] for one in review["findings"]} >= {"sources"}

    node("history", first["build_id"], "--trace", str(tmp_path / "trace.json"))
    trace = json.loads((tmp_path / "trace.json").read_text())
    tasks = [event["name"] for event in trace["traceEvents"] if event.get("cat") == "task"]
    assert tasks == ["base", "app"]

    compared = node("history", first["build_id"], "--compare", second, "--json").data
    (changed,) = [task for task in compared["tasks"] if task["task"] == "app"]
    assert changed["changes"] == ["file app/b.txt changed"]

    found = node("history", "app", "--trends", "--json").data
    assert (found["builds"], found["tasks"][0]["ran"]) == (2, 2)
    shown = node("history", second).out
    assert "timeline" in shown
    assert "saved 1 result that was there" in shown
    assert node("history", second, "--trace", str(tmp_path)).err.startswith("error[FILE]")
