"""Building what changed: since a git revision, and while people type."""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from buildnet.cli.testing import CommandLine, write_files
from testbed.commands import ForkedCommandLine
from testbed.git import commit, git, repository
from testbed.watching import Watching

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


def told(shop: Path) -> dict[str, str]:
    """What the packages' outputs say."""
    paths = {name: shop / name / "out" for name in ("core", "app", "apart")}
    return {name: path.read_text() if path.exists() else "" for name, path in paths.items()}


def meant(shop: Path) -> dict[str, str]:
    """What they would say if they were made from the sources now."""
    texts = {
        name: "".join(path.read_text() for path in sorted((shop / name).glob("*.txt")))
        for name in ("core", "app", "apart")
    }
    return {**texts, "app": texts["core"] + texts["app"]}


def test_what_changes_is_built_once_and_nothing_else(running: CommandLine, shop: Path) -> None:
    with Watching(running, shop, "build", "--watch") as watching:
        watching.until_idle()
        assert told(shop) == meant(shop)
        seen = len(watching.events)
        (shop / "core/a.txt").write_text("edited\n")
        watching.until_idle(seen)
        assert told(shop) == meant(shop)
        (change,) = watching.of("changed")
        assert (change["paths"], change["impact"]) == (["core/a.txt"], "ASSET_ONLY")
        assert [each["name"] for each in change["affected"]] == ["core", "app"]
        first, second = [each["report"] for each in watching.of("build_finished")]
        assert first["build_id"] != second["build_id"]
        built = [each["name"] for each in second["packages"] if each["tier"] == "full"]
        assert built == ["core", "app"]
        # Neither what nobody reads, nor what an editor leaves, nor an output that is written.
        (shop / "core/.a.txt.swp").write_text("")
        (shop / "unread").write_text("")
        (shop / "core/out").write_text("broken\n")
        # One file of a directory that was not there.
        seen = len(watching.events)
        write_files(shop, {"apart/deep/er/b": "more\n"})
        watching.until_idle(seen)
        assert len(watching.of("building")) == 3
        assert watching.of("changed")[-1]["affected"][0]["name"] == "apart"
        # What a link among the sources leads to.
        seen = len(watching.events)
        (shop / "apart/data").symlink_to("../data")
        write_files(shop, {"data/x": "1"})
        watching.until_idle(seen)
        seen = len(watching.events)
        write_files(shop, {"data/x": "2"})
        watching.until_idle(seen)
        assert watching.of("changed")[-1]["affected"][0]["name"] == "apart"
        seen = len(watching.events)
        (shop / "buildnet.yaml").write_text("workspace: [")
        watching.until_idle(seen)
        assert watching.of("error")[0]["error"]["code"] == "WORKSPACE"
        seen = len(watching.events)
        (shop / "buildnet.yaml").write_text(DEFINITION.replace("cat *.txt", "cat a.txt"))
        (shop / "core/a.txt").write_text("again\n")
        watching.until_idle(seen)
        assert told(shop) == meant(shop)
        assert watching.end() == 0


def test_what_runs_is_ended_where_it_is_outdated_and_two_terminals_see_the_same(
    running: CommandLine, shop: Path, tmp_path: Path
) -> None:
    slow = DEFINITION.replace(
        '"cat *.txt > out", output_dir: core',
        '"cat *.txt > out; test `cat a.txt` = quick || exec sleep 60", output_dir: core',
    )
    (shop / "buildnet.yaml").write_text(slow)
    with (
        Watching(running, shop, "build", "--watch") as one,
        Watching(running, shop, "build", "--watch") as other,
    ):
        for each in (one, other):
            each.until_started("core")
        one.until(lambda: any(each["name"] == "apart" for each in one.of("task_finished")))
        (shop / "apart/a.txt").write_text("of no concern\n")
        one.until(lambda: one.of("changed"))
        assert not one.of("outdated")
        (shop / "core/a.txt").write_text("quick\n")
        for each in (one, other):
            each.until_idle()
            assert len(each.of("outdated")) == 1
            assert [e["report"]["status"] for e in each.of("build_finished")] == [
                "cancelled",
                "succeeded",
            ]
        assert one.of("build_finished")[-1] == other.of("build_finished")[-1]
        assert told(shop) == meant(shop)
        one.end()
        (shop / "core/a.txt").write_text("slow\n")
        other.until(lambda: len(other.of("build_started")) == 3)
        build = other.of("build_started")[-1]["build_id"]
        assert other.end() == 0
        report = running("history", build, "--json").data
        deadline = time.monotonic() + 30
        while report["status"] == "running" and time.monotonic() < deadline:
            report = running("history", build, "--json").data
        assert report["status"] == "cancelled"


def test_a_storm_of_edits_and_other_branches_loses_nothing(
    running: CommandLine, shop: Path
) -> None:
    slow = DEFINITION.replace('"cat ../core', '"sleep 0.3; cat ../core')
    (shop / "buildnet.yaml").write_text(slow)
    commit(shop)
    git(shop, "switch", "-qc", "other")
    for number in range(40):
        for name in ("core", "app"):
            write_files(shop, {f"{name}/{number:02}.txt": f"{name} {number}\n"})
    (shop / "apart/a.txt").unlink()
    write_files(shop, {"apart/b.txt": "b\n"})
    commit(shop)
    git(shop, "switch", "-q", "main")
    chance = random.Random(7)
    with Watching(running, shop, "build", "--watch") as watching:
        watching.until_idle()
        for number in range(30):
            match number % 5:
                case 0 | 3:
                    branch = chance.choice(["main", "other"])
                    git(shop, "checkout", "-qf", branch)
                case 1:
                    (shop / "core/a.txt").write_text(f"{number}\n")
                case 2:
                    (shop / f"core/{number}-new.txt").write_text("new\n")
                case 4:
                    (shop / f"core/{number - 2}-new.txt").rename(shop / f"app/{number}.txt")
            time.sleep(chance.choice([0, 0, 0.02, 0.1, 0.4]))
        before = len(watching.of("building"))
        watching.until(lambda: told(shop) == meant(shop) and watching.events[-1]["type"] == "idle")
        assert len(watching.of("building")) <= before + 1
        seen, before = len(watching.events), len(watching.of("building"))
        (shop / "core/a.txt").write_text("the last one\n")
        watching.until_idle(seen)
        assert len(watching.of("building")) == before + 1
        assert told(shop) == meant(shop)
        assert running.build(shop, "--dry-run")["packages"][0]["plan"] == "nothing"


def test_edits_that_never_pause_are_built_all_the_same(tmp_path: Path, shop: Path) -> None:
    command = ForkedCommandLine(tmp_path / "own" / "home")
    settings = {"watch": {"debounce_ms": 1000, "longest_wait_ms": 1500}}
    write_files(tmp_path, {"own/home/node.yaml": json.dumps(settings)})
    command.start()
    enough = threading.Event()

    def edit() -> None:
        number = 0
        while not enough.wait(0.1):
            number += 1
            write_files(shop, {"core/b.txt": f"{number}\n", "core/c.txt": f"{number}\n"})

    try:
        with Watching(command, shop, "build", "--watch") as watching:
            watching.until_idle()
            seen = len(watching.of("build_finished"))
            editing = threading.Thread(target=edit)
            editing.start()
            try:
                watching.until(lambda: len(watching.of("build_finished")) >= seen + 2)
            finally:
                enough.set()
                editing.join()
            watching.until(lambda: told(shop) == meant(shop))
            assert any(
                each["report"]["status"] == "succeeded"
                for each in watching.of("build_finished")[seen : seen + 2]
            )
    finally:
        command("node", "stop")


def test_watching_prepares_and_ends_with_its_workspace(
    running: CommandLine, shop: Path, tmp_path: Path
) -> None:
    with Watching(running, shop, "watch") as watching:
        watching.until_idle()
        running.build(shop)
        seen = len(watching.events)
        (shop / "core/a.txt").write_text("never built\n")
        watching.until_idle(seen)
        report = watching.of("build_finished")[-1]["report"]
        plans = {each["name"]: each["plan"] for each in report["packages"]}
        assert (report["dry_run"], plans["core"], plans["apart"]) == (True, "run", "nothing")
        assert told(shop) != meant(shop)
        shop.rename(tmp_path / "elsewhere")
        assert watching.wait() == 6
        assert watching.of("ended")[0]["error"]["code"] == "WORKSPACE_GONE"


def test_a_node_builds_by_itself_what_its_owner_names(tmp_path: Path, shop: Path) -> None:
    command = ForkedCommandLine(tmp_path / "own" / "home")
    settings = {"watch": {"directories": [str(shop)], "debounce_ms": 50}}
    settings["auto_build"] = {"enabled": True, "delay_ms": 100}
    write_files(tmp_path, {"own/home/node.yaml": json.dumps(settings)})
    command.start()
    try:
        for text in ("first\n", "second\n"):
            (shop / "core/a.txt").write_text(text)
            deadline = time.monotonic() + 30
            while told(shop) != meant(shop):
                assert time.monotonic() < deadline
                time.sleep(0.02)
        builds = command("history", "--json").data["builds"]
        assert {each["triggered_by"] for each in builds} == {"auto-build"}
    finally:
        command("node", "stop")


def test_what_makes_no_sense_with_watching_is_refused(running: CommandLine, shop: Path) -> None:
    wrong = running("build", "--watch", "--since", "main", "--detach", cwd=shop)
    assert (wrong.code, "--since, --detach" in wrong.err) == (2, True)
    assert running("build", "--delay", "1s", cwd=shop).code == 2
    assert running("build", "--watch", "--estimate", cwd=shop).code == 2
    assert running("build", "--watch", "nope", cwd=shop).code == 6
