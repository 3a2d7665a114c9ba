"""What a build shows while it runs and at its end; what is sent to ask for one."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from buildnet.cli.building import BuildOptions, build
from buildnet.cli.client import Client, NodeUnreachableError
from buildnet.cli.settings import Settings
from buildnet.cli.testing import FakeNode, http_answer
from buildnet.mesh.errors import UsageError

ID = "0123456789ab"


def entry(name: str, status: str = "succeeded", **more: Any) -> dict[str, Any]:
    """What is told of a package, as the node does."""
    return {
        "name": name,
        "task": "build",
        "status": status,
        "tier": "full",
        "isolation": "strict",
        "duration_ms": 1500.0,
        "exit_code": 0,
        "output": None,
        "plan": None,
        "reasons": [],
        "nearest": None,
        "hints": [],
        "error": None,
        **more,
    }


def events_of(
    *packages: dict[str, Any],
    status: str = "succeeded",
    dry_run: bool = False,
    output: str = "",
    error: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The events of a build of ``packages``, the first of which prints ``output``."""
    report = {
        "build_id": ID,
        "status": status,
        "duration_ms": 2000.0,
        "error": error,
        "packages": list(packages),
    }
    events: list[dict[str, Any]] = [
        {"type": "build_started", "build_id": ID, "tasks": len(packages), "dry_run": dry_run}
    ]
    for each in packages:
        if each["tier"] == "instant-skip":
            events.append({"type": "tasks_up_to_date", "tasks": [each["name"]]})
            continue
        if each["tier"] == "full":
            events.append({"type": "task_started", "name": each["name"], "task": each["task"]})
        if output:
            piece = {"type": "task_output", "name": each["name"], "task": "build"}
            events += [{**piece, "text": output[:5]}, {**piece, "text": output[5:]}]
            output = ""
        events.append({"type": "task_finished", **each})
    return [*events, {"type": "build_finished", "report": report}]


def shown(
    directory: Path,
    events: list[dict[str, Any]],
    *,
    settings: Settings | None = None,
    **options: Any,
) -> tuple[int, Any]:
    """Build with a node that tells ``events``; return the exit code and what was sent."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "node.sock"))
    lines = "".join(json.dumps(event) + "\n" for event in events)
    with FakeNode(listener, http_answer(lines, type="application/x-ndjson")) as node:
        code = build(
            BuildOptions(directory=directory, **options),
            settings or Settings(color="never", progress="plain"),
            Client(socket_path=directory / "node.sock"),
        )
    return code, node.body


def test_a_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = "it wrote a.log, which no output covers, so that is not kept: add it to outputs"
    events = events_of(
        entry("core", tier="instant-skip"),
        entry("app", hints=[note]),
        entry("page", tier="local-cache", duration_ms=12.0),
        entry("site", hints=[note]),
        output="hello\nworld\r\nrest",
    )
    code, _ = shown(tmp_path, events)
    printed = capsys.readouterr()
    assert code == 0
    assert printed.err == (
        "app │ hello\n"
        "app │ world\n"
        "app │ rest\n"
        "✓ app                      built, 1.50 s\n"
        "✓ page                     from the cache, 12 ms\n"
        "✓ site                     built, 1.50 s\n"
        f"hint: app, site: {note}\n"
    )
    assert printed.out == (
        f"succeeded: 4 packages (1 up to date, 2 built, 1 from the cache) in 2.00 s · build {ID}\n"
    )


FAILED = entry(
    "app",
    "failed",
    exit_code=1,
    output="\n".join(f"line {number}" for number in range(1, 43)) + "\n",
    hints=["add b.txt to sources"],
    error={
        "code": "COMMAND_FAILED",
        "message": "the command failed with exit code 1",
        "cause": None,
        "hint": "add b.txt to sources",
    },
)


def test_a_failure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = events_of(FAILED, entry("site", "skipped", tier=None), status="failed")
    code, _ = shown(tmp_path, events)
    printed = capsys.readouterr()
    assert code == 1
    assert printed.err == (
        "✗ app                      failed: the command failed with exit code 1\n"
        "- site                     skipped: what it depends on failed\n"
        "\n"
        "✗ app\n"
        + "".join(f"  line {number}\n" for number in range(3, 43))
        + "error[COMMAND_FAILED]: app: the command failed with exit code 1\n"
        "hint: add b.txt to sources\n"
    )
    assert printed.out == f"failed: 2 packages (1 failed, 1 skipped) in 2.00 s · build {ID}\n"


def test_a_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = {"code": "SOURCES", "message": "nothing matches *.c", "cause": None, "hint": None}
    events = events_of(
        entry("core", tier="instant-skip", plan="nothing"),
        entry("app", "skipped", tier=None, plan="run", reasons=["app/a.txt was changed"]),
        entry("page", tier="local-cache", plan="restore"),
        entry("site", "failed", tier=None, error=wrong),
        dry_run=True,
    )
    code, sent = shown(tmp_path, events, dry_run=True)
    printed = capsys.readouterr()
    assert (code, sent["dry_run"]) == (0, True)
    assert printed.err == ""
    assert printed.out == (
        "core                     up to date\n"
        "app                      would run\n"
        "    app/a.txt was changed\n"
        "page                     would come from the cache\n"
        "site                     would fail: nothing matches *.c\n"
    )


def test_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {**FAILED, "output": None, "hints": [], "reasons": ["app/a.txt was changed"]}
    events = events_of(
        entry("core", tier="instant-skip"),
        entry("page", tier="hash-skip"),
        entry("font", tier="local-cache", duration_ms=3.0),
        failed,
        entry("site", "skipped", tier=None),
        status="failed",
    )
    code, _ = shown(tmp_path, events, explain=True)
    printed = capsys.readouterr()
    assert code == 1
    assert printed.out == (
        "core                     up to date\n"
        "    nothing it depends on has changed\n"
        "page                     up to date (same content)\n"
        "    nothing it depends on has changed\n"
        "font                     from the cache, 3 ms\n"
        "app                      failed: the command failed with exit code 1\n"
        "    app/a.txt was changed\n"
        "site                     skipped: what it depends on failed\n"
        "failed: 5 packages (2 up to date, 1 from the cache, 1 failed, 1 skipped) in 2.00 s "
        f"· build {ID}\n"
    )
    assert "✓" not in printed.err  # the lines of the progress would say it twice


def test_json_is_the_report_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = events_of(entry("app", hints=["a hint"]), output="hello\n")
    assert shown(tmp_path, events, settings=Settings(format="json"))[0] == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == events[-1]["report"]
    assert printed.err == ""


def test_on_a_terminal_a_line_tells_what_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    settings = Settings(color="never", progress="tty")
    assert shown(tmp_path, events_of(entry("app")), settings=settings)[0] == 0
    assert capsys.readouterr().err == (
        "0/1 · running app\r\x1b[K✓ app                      built, 1.50 s\n"
    )


def test_what_broke_the_build_off_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    why = {"code": "HOOK_FAILED", "message": "pre_build failed", "cause": "c", "hint": "h"}
    code, _ = shown(tmp_path, events_of(status="failed", error=why))
    assert code == 1
    assert capsys.readouterr().err == "error[HOOK_FAILED]: pre_build failed\ncause: c\nhint: h\n"


def test_a_timeout_has_an_exit_code_of_its_own(tmp_path: Path) -> None:
    error = {"code": "TIMED_OUT", "message": "too long", "cause": None, "hint": None}
    failed = entry("app", "failed", error=error)
    assert shown(tmp_path, events_of(failed, status="failed"))[0] == 124


def test_a_node_that_ends_before_the_build_is_told(tmp_path: Path) -> None:
    with pytest.raises(NodeUnreachableError, match="before the build was over"):
        shown(tmp_path, events_of(entry("app"))[:-1])


def test_the_environment_reaches_the_local_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    _, sent = shown(tmp_path, events_of(entry("app")))
    assert sent["environment"]["SECRET_TOKEN"] == "s3cret"


def test_over_tcp_nothing_of_the_environment_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    listener = socket.create_server(("127.0.0.1", 0))
    client = Client(url=f"http://127.0.0.1:{listener.getsockname()[1]}")
    lines = "".join(json.dumps(event) + "\n" for event in events_of(entry("app")))
    with FakeNode(listener, http_answer(lines, type="application/x-ndjson")) as node:
        assert build(BuildOptions(directory=tmp_path), Settings(quiet=True), client) == 0
    assert node.body["environment"] == {}
    assert b"s3cret" not in node.request


def test_a_wait_that_is_no_duration_is_told_with_what_is_one() -> None:
    client = Client(socket_path=Path("/nowhere"))
    with pytest.raises(UsageError, match="--wait: ") as wrong:
        build(BuildOptions(wait="foo"), Settings(), client)
    assert wrong.value.hint == "write a duration such as 30m"
