"""What a real node logs, for its owner: asked for, followed, at a terminal; for nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from buildnet.cli.client import Client
from buildnet.cli.client.events import follow
from testbed.api_node import ApiNode, api_node
from testbed.asking_api import ask
from testbed.nodes import Cluster, Node

PATH = "/api/node/logs"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Cluster(tmp_path_factory.mktemp("logs"), 1) as cluster:
        yield cluster.members[0]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiNode]:
    with api_node(tmp_path_factory.mktemp("asked") / "home") as node:
        yield node


def test_the_latest_lines_are_told_part_by_part(node: Node) -> None:
    whole = node.get(PATH)
    assert any("answers on" in line["message"] for line in whole["lines"])
    assert whole["next"] is None
    numbers = [line["number"] for line in whole["lines"]]
    assert numbers == sorted(numbers, reverse=True)
    first = node.get(f"{PATH}?limit=1")
    second = node.get(f"{PATH}?limit=1&cursor={first['next']}")
    (newest,) = first["lines"]  # more may have come since
    later = [line for line in node.get(PATH)["lines"] if line["number"] <= newest["number"]]
    assert [newest, *second["lines"]] == later[:2]
    assert node.get(f"{PATH}?search=ANSWERS%20on&level=info")["lines"]
    assert not node.get(f"{PATH}?search=answers&level=error")["lines"]


@pytest.mark.parametrize("role", ["observer", "builder", "admin"])
def test_nobody_but_the_owner_reads_the_log(asked: ApiNode, role: str) -> None:
    assert ask(asked, "GET", PATH, key=role).status == 403
    assert ask(asked, "GET", "/events?channels=node_logs", key=role).status == 403
    assert ask(asked, "GET", PATH, key="owner").status == 200


@pytest.mark.parametrize("query", ["level=loud", "limit=0", "cursor=x", "since=1"])
def test_what_can_t_be_asked_for_is_told(asked: ApiNode, query: str) -> None:
    assert ask(asked, "GET", f"{PATH}?{query}", key="owner").status == 400


def test_who_wants_all_events_is_told_what_concerns_the_pool(node: Node) -> None:
    first: dict[str, Any] = dict(
        next(follow(Client(socket_path=node.home.socket_path()), (), "", None, 60))
    )
    assert "builds" in first["channels"]
    assert not {"node_logs", "sessions"} & set(first["channels"])


def test_that_somebody_came_is_told_to_admins_alone(node: Node, asked: ApiNode) -> None:
    path = "/events?channels=sessions"
    for role in ("observer", "builder"):
        assert ask(asked, "GET", path, key=role).status == 403
    key = node.post("/api/keys", {"name": "visitor", "rights": "observer"})["key"]
    events = follow(Client(socket_path=node.home.socket_path()), ("sessions",), "", None, 60)
    first: dict[str, Any] = dict(next(events))
    before = first["state"]["sessions"]["sessions"]["changes"]
    request = Request(f"{node.address}/api/node", headers={"authorization": f"Bearer {key}"})
    with urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    told: dict[str, Any] = dict(next(events))
    assert told["type"] == "sessions_changed"
    assert told["data"]["changes"] > before
    assert "visitor" not in json.dumps(told)
    assert any(one["actor"] == "agent:visitor" for one in node.get("/api/sessions")["sessions"])


def test_no_secret_is_logged(node: Node) -> None:
    key = node.post("/api/keys", {"name": "agent", "rights": "builder"})["key"]
    code = node.post("/api/logins", {})["url"].partition("#")[2]
    token = node.post("/api/node/invite", {"uses": 1})["token"]
    said = json.dumps(node.get(f"{PATH}?limit=1000")["lines"])
    for secret in (key, code, token):
        assert len(secret) > 16
        assert secret not in said


def test_the_log_is_shown_and_followed_over_a_restart(node: Node, tmp_path: Path) -> None:
    shown = node("node", "logs", "--count", "1")
    assert shown.out.count("\n") == 1
    listed = node("node", "logs", "--json", "--search", "answers on").data["lines"]
    assert "answers on" in listed[-1]["message"]
    with subprocess.Popen(
        [*(sys.executable, "-m", "buildnet.cli.main", "node", "logs", "-f", "-n", "1", "--json")],
        env=node.command.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            found = [json.loads(process.stdout.readline())]
            node.stop()
            node.start()
            while "answers on" not in found[-1]["message"] or len(found) == 1:
                found.append(json.loads(process.stdout.readline()))
        finally:
            process.kill()
    numbers = [line["number"] for line in found]
    assert numbers == sorted(set(numbers))
    assert any(line["message"] == "stopping" for line in found)
