"""Events of real nodes: over a WebSocket, as server-sent events, of builds here and elsewhere."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, unix_connect

from buildnet.cli.testing import write_files
from testbed.building import Building
from testbed.nodes import Cluster, Node

PATIENCE_S = 60.0
Event = dict[str, Any]


@pytest.fixture(scope="module")
def duo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("duo"), 2) as cluster:
        yield cluster


@contextmanager
def listening(node: Node, *channels: str, **more: Any) -> Iterator[tuple[ClientConnection, Event]]:
    """Subscribe; yield the connection and the first message."""
    with unix_connect(str(node.home.socket_path()), "ws://localhost/ws") as connection:
        connection.send(json.dumps({"type": "subscribe", "channels": channels, **more}))
        yield connection, message(connection)


def message(connection: ClientConnection) -> Event:
    found: Event = json.loads(connection.recv(PATIENCE_S))
    return found


def until(connection: ClientConnection, is_it: Callable[[Event], bool]) -> list[Event]:
    """Return the events up to the one that is meant."""
    found: list[Event] = []
    while not (found and is_it(found[-1])):
        told = message(connection)
        for event in told.get("events", ()):
            found.append(event)
            if is_it(event):
                break
    return found


def begin(node: Node, root: Path, text: str) -> str:
    """Ask for a build of a package that prints ``text``; return its id."""
    command = f"sleep 1.2; echo {text} | tee out"  # others look for it twice a second
    package = f"{{name: p, path: p, build_cmd: '{command}', outputs: [p/out]}}"
    write_files(root, {"buildnet.yaml": f"workspace: w\npackages: [{package}]\n", "p/in": text})
    body = {"root": str(root), "environment": {}, "actor": "test"}
    build: str = node.post("/api/build", body)["build_id"]
    return build


def is_over(build: str) -> Callable[[Event], bool]:
    def is_it(event: Event) -> bool:
        data = event["data"]
        return data.get("id") == build and data.get("status") in ("succeeded", "failed")

    return is_it


@pytest.mark.parametrize("where", [0, 1])
def test_a_build_is_told_on_every_node_with_its_output(
    duo: Cluster, tmp_path: Path, where: int
) -> None:
    asked, watched = duo.members[0], duo.members[where]
    with listening(watched, "builds", "logs", "queue") as (connection, opening):
        assert opening["type"] == "snapshot"
        assert opening["missing"] == []
        assert opening["state"]["queue"]["queue"]["complete"]
        build = begin(asked, tmp_path, f"said-{where}")
        events = until(connection, is_over(build))
    assert events[-1]["data"]["status"] == "succeeded"
    progress = [event for event in events if event["type"] == "build_progress"]
    assert progress[0]["data"]["node"] == asked.name
    assert progress[0]["data"]["this_node"] is (where == 0)
    texts = [event["data"]["text"] for event in events if event["type"] == "build_output"]
    assert texts == [f"said-{where}\n"]
    assert any(event["type"] == "queue_changed" for event in events)


def test_what_is_only_rehearsed_is_told_as_no_build(duo: Cluster, tmp_path: Path) -> None:
    node = duo.members[0]
    with listening(node, "builds") as (connection, _):
        real = begin(node, tmp_path, "rehearsed")
        body = {"root": str(tmp_path), "environment": {}, "actor": "test"}
        node.post("/api/build/estimate", {**body, "force": True})
        Building(node, tmp_path, dry_run=True, force=True).report()
        events = until(connection, is_over(real))
    assert {event["data"]["id"] for event in events} == {real}


def test_events_are_packed_for_who_takes_that(duo: Cluster) -> None:
    with listening(duo.members[0], "nodes") as (connection, opening):
        assert [each.name for each in connection.protocol.extensions] == ["permessage-deflate"]
        assert len(opening["state"]["nodes"]) == len(duo.members)


def test_a_seal_and_the_reason_of_a_pause_are_told(duo: Cluster) -> None:
    node = duo.members[0]
    with listening(node, "pool", "queue") as (connection, opening):
        assert opening["missing"] == []
        state = opening["state"]["pool"]
        assert {"ledger", "health", "admission", "dead_letters", "store", "links"} <= set(state)
        node.post("/api/ledger/entries", {"text": "to be sealed"})
        height = state["ledger"]["height"]
        until(connection, lambda event: event["data"].get("height", 0) > height)
        node.post("/api/queue/pause", {"reason": "the disk is changed"})
        until(connection, lambda event: event["data"].get("reason") == "the disk is changed")
        node.post("/api/queue/resume", {})
        until(connection, lambda event: event["data"].get("paused") is False)
        node.post("/api/node/invite", {})
        told = until(connection, lambda event: event["data"]["id"] == "admission")
    assert told[-1]["data"] == {"id": "admission", "changes": 1}


def test_who_comes_back_with_a_cursor_misses_nothing(duo: Cluster) -> None:
    node = duo.members[0]

    def noted(text: str) -> Callable[[Event], bool]:
        return lambda event: event["type"] == "ledger_entry" and text in event["data"]["text"]

    with listening(node, "ledger") as (connection, opening):
        assert opening["state"] == {}
        node.post("/api/ledger/entries", {"text": "note one"})
        cursor = until(connection, noted("note one"))[-1]["cursor"]
    node.post("/api/ledger/entries", {"text": "note two"})
    with listening(node, "ledger", cursor=cursor) as (connection, opening):
        assert opening == {"type": "resumed", "cursor": cursor, "channels": ["ledger"]}
        assert not any(map(noted("note one"), until(connection, noted("note two"))))
    with listening(node, "ledger", cursor="0-1") as (_, opening):
        assert (opening["type"], opening["gap"]) == ("snapshot", True)


def test_nodes_and_what_they_have_are_a_state_that_one_may_change_ones_mind_about(
    duo: Cluster,
) -> None:
    node, other = duo.members
    with listening(node, "nodes") as (connection, opening):
        nodes = opening["state"]["nodes"]
        assert {each["name"] for each in nodes.values()} == {node.name, other.name}
        connection.send(json.dumps({"type": "ping"}))
        connection.send(json.dumps({"type": "subscribe", "channels": ["resources"]}))
        found = [message(connection)]
        while found[-1]["type"] != "snapshot":
            found.append(message(connection))
        assert "pong" in [each["type"] for each in found]
        resources = found[-1]["state"]["resources"]
    assert resources.keys() == {*nodes, "allocations"}
    assert resources[node.identity]["resources"]["cpu"]["cores"] > 0


@pytest.mark.parametrize(
    "said",
    [
        "no json",
        "[]",
        "{}",
        '{"type": "subscribe", "channels": []}',
        '{"type": "subscribe", "channels": ["secrets"]}',
        '{"type": "ping", "x": 1}',
    ],
)
def test_what_makes_no_sense_is_answered_and_nothing_else_happens(duo: Cluster, said: str) -> None:
    with listening(duo.members[0], "ledger") as (connection, _):
        connection.send(said)
        answer = message(connection)
        assert (answer["type"], answer["code"]) == ("error", "USAGE")
        assert ": :" not in answer["message"]
        assert answer["hint"]


@pytest.mark.parametrize("said", ["x" * 5000, b"bytes"])
def test_what_is_no_short_text_ends_the_connection(duo: Cluster, said: str | bytes) -> None:
    with listening(duo.members[0], "ledger") as (connection, _):
        connection.send(said)
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv(PATIENCE_S)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def test_a_page_of_another_site_does_not_get_in(duo: Cluster) -> None:
    path = str(duo.members[0].home.socket_path())
    with pytest.raises(InvalidStatus), unix_connect(path, "ws://localhost/ws", origin="http://a"):
        pass
    with unix_connect(path, "ws://localhost/ws", origin="http://localhost"):
        pass


@contextmanager
def streaming(node: Node, query: str, **headers: str) -> Iterator[Iterator[dict[str, str]]]:
    """Yield the server-sent events of a node."""
    connection = http.client.HTTPConnection("localhost", timeout=PATIENCE_S)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(PATIENCE_S)
    connection.sock.connect(str(node.home.socket_path()))
    try:
        connection.request("GET", f"/events?{query}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        assert answer.getheader("content-type", "").startswith("text/event-stream")
        yield _parsed(answer)
    finally:
        connection.close()


def _parsed(answer: http.client.HTTPResponse) -> Iterator[dict[str, str]]:
    fields: dict[str, str] = {}
    for line in answer:
        name, colon, value = line.decode().rstrip("\n").partition(": ")
        if colon and name:
            fields[name] = value
        elif not name and fields:
            yield fields
            fields = {}


def test_server_sent_events_go_on_after_the_last_id(duo: Cluster) -> None:
    node = duo.members[0]
    with streaming(node, "channels=ledger") as events:
        assert next(events)["event"] == "snapshot"
        node.post("/api/ledger/entries", {"text": "note three"})
        found = next(each for each in events if "note three" in each["data"])
    assert json.loads(found["data"])["cursor"] == found["id"]
    node.post("/api/ledger/entries", {"text": "note four"})
    with streaming(node, "channels=ledger", **{"Last-Event-ID": found["id"]}) as events:
        assert next(events)["event"] == "resumed"
        assert next(each for each in events if "note four" in each["data"])["event"] == (
            "ledger_entry"
        )


def test_a_node_that_stops_says_so(duo: Cluster) -> None:
    node = duo.members[1]
    with (
        streaming(node, "channels=ledger") as events,
        listening(node, "ledger") as (connection, _),
    ):
        assert next(events)["event"] == "snapshot"
        node.stop()
        assert list(events)[-1]["event"] == "over"
        with pytest.raises(ConnectionClosed):
            list(connection)
        assert connection.close_reason == "the node stops"
