"""What commands print, as it is shown afterwards and as it comes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from buildnet.cli import logs
from buildnet.cli.client import Client
from buildnet.cli.logs import MOST_OF_A_LINE, whole_lines
from buildnet.cli.main import main

PACKAGES = [
    {"name": "a", "task": "build", "log": "d/1"},
    {"name": "b", "task": "build", "log": None},
    {"name": "a", "task": "test", "log": "d/2"},
]


class Node:
    """Has one build."""

    def get(self, path: str, **query: Any) -> Any:
        if path == "/api/node":
            return {"node_id": "abcd"}
        if path == "/api/builds":
            assert query["node"] == "abcd", "another node's may be later"
            return {"builds": [{"build_id": "b1b2"}]}
        if path == "/api/build/b1b2/log":
            return f"{query['package']} {query['task']}\nsecond \x1b[2J\n"
        assert path in ("/api/build/b1b2", "/api/build/b1")
        return {"build_id": "b1b2", "packages": PACKAGES}

    @contextmanager
    def follow(self, path: str) -> Iterator[Iterator[dict[str, Any]]]:
        assert path == "/api/build/b1/events"
        yield iter(
            [
                {"type": "build_started"},
                *({"type": "task_output", **piece("a", text)} for text in ("on", "e\ntw", "o")),
                {"type": "task_output", **piece("b", "other\n")},
                {"type": "build_finished", "report": {}},
            ]
        )


def piece(name: str, text: str) -> dict[str, Any]:
    return {"build_id": "b1", "name": name, "task": "build", "text": text}


@pytest.fixture(autouse=True)
def _node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "of", lambda settings: Node())


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (
            [],
            ["a │ a build", "a │ second \ufffd[2J", "a#test │ a test", "a#test │ second \ufffd[2J"],
        ),
        (["b1", "a#test"], ["a#test │ a test", "a#test │ second \ufffd[2J"]),
        (["b1", "--follow"], ["a │ one", "b │ other", "a │ two"]),
        (["b1", "a", "-f"], ["a │ one", "a │ two"]),
    ],
)
def test_lines_say_whose_they_are(
    arguments: list[str], shown: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["logs", *arguments]) == 0
    assert capsys.readouterr().out.splitlines() == shown


def test_as_json_it_is_one_document_or_an_event_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "b1", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [each["task"] for each in data["logs"]] == ["build", "test"]
    assert main(["logs", "b1", "--follow", "--json"]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["text"] for each in events] == ["on", "e\ntw", "o", "other\n"]
    assert main(["logs", "b1", "--follow", "--format", "yaml"]) == 2


def test_a_package_that_printed_nothing_is_not_found(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["logs", "b1", "b"]) == 6
    assert "has no output of b" in capsys.readouterr().err


def test_all_builds_are_followed_without_a_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = [
        snapshot("printed before\n"),
        {"type": "build_output", "cursor": "2", "data": piece("a", "x\n")},
        {"type": "output_left_out", "cursor": "3", "data": {"build_id": "b1", "bytes": 3}},
        snapshot("printed before\nx\n"),
    ]
    monkeypatch.setattr(logs, "follow_events", lambda *asked: iter(events))
    assert main(["logs", "-f"]) == 0
    assert capsys.readouterr().out == "a │ printed before\na │ x\n"


def snapshot(text: str) -> dict[str, Any]:
    item = {"id": "b1 a#build", **piece("a", text), "line": 1}
    return {"type": "snapshot", "cursor": "1", "state": {"logs": {"b1 a#build": item}}}


def test_a_line_without_end_is_shown_in_parts() -> None:
    long = "x" * (MOST_OF_A_LINE + 1)
    shown = list(whole_lines([piece("a", long), piece("a", "y\n")]))
    assert shown == [f"a │ {long}", "a │ y"]
