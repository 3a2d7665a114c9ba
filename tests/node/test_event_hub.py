"""The core of events: pacing, cursors, snapshots, slow readers, output that is left out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

from buildnet.node.events import hub as hub_module
from buildnet.node.events.channel import ALL, Channel, Wanted
from buildnet.node.events.event import Event
from buildnet.node.events.hub import Hub
from buildnet.node.events.joined import Joiner, sse
from buildnet.node.events.reader import MOST_OUTPUT, MOST_WAITING, Reader
from buildnet.node.events.view import PERIOD_S, Kinds

KINDS = Kinds("new", "changed", "gone")
LOGS, NODES, BUILDS, LEDGER = Channel.LOGS, Channel.NODES, Channel.BUILDS, Channel.LEDGER


def hub_of(*channels: Channel) -> Hub:
    hub = Hub("e")
    for channel in channels or ALL:
        hub.begin(channel)
    return hub


def subscribed(
    hub: Hub, *channels: Channel, cursor: str | None = None, build: str = ""
) -> tuple[Reader, dict[str, Any]]:
    wanted = Wanted(frozenset(channels or ALL), build)
    reader, opening = hub.subscribe(wanted, cursor, lambda: None, 0.0)
    return reader, json.loads(opening.text)


def told(reader: Reader) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while batch := reader.take(MOST_WAITING):
        found += parsed(batch)
    return found


def parsed(events: Sequence[Event]) -> list[dict[str, Any]]:
    return [json.loads(event.text) for event in events]


def test_an_item_is_told_at_once_and_then_four_times_a_second() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    times: list[float] = []
    for step in range(101):  # a change each hundredth of a second, for a second
        now = 1000 + step / 100
        hub.put(NODES, "a", {"busy": step}, KINDS, now)
        hub.tick(now)
        times += [event["at"] for event in told(reader)]
    assert times[0] == 1000
    assert len(times) == 5
    assert all(later - earlier >= PERIOD_S - 0.001 for earlier, later in pairwise(times))
    hub.tick(1002)
    assert hub.deadline is None


def test_what_changed_last_is_told_though_nothing_follows() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    for busy in range(3):
        hub.put(NODES, "a", {"busy": busy, "name": "a"}, KINDS, 1000 + busy / 100)
    assert hub.deadline == pytest.approx(1000.25)
    hub.tick(1000.24)
    assert [event["data"] for event in told(reader)] == [{"id": "a", "busy": 0, "name": "a"}]
    hub.tick(1000.25)
    assert [event["data"] for event in told(reader)] == [{"id": "a", "busy": 2}]


def test_what_came_back_to_what_was_told_is_no_news() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    for at, busy in enumerate((0, 1, 0)):
        hub.put(NODES, "a", {"busy": busy}, KINDS, 1000 + at / 100)
    hub.tick(1001)
    assert len(told(reader)) == 1


def test_what_changes_all_the_time_is_told_along_with_news_only() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    for at, item in enumerate(
        (
            {"name": "a", "latency_ms": 1},
            {"name": "a", "latency_ms": 2},
            {"name": "b", "latency_ms": 3},
        )
    ):
        hub.put(NODES, "a", item, KINDS, 1000.0 + at)
    assert [event["data"] for event in told(reader)][1:] == [
        {"id": "a", "name": "b", "latency_ms": 3}
    ]


def test_seconds_that_are_left_are_told_when_they_are_not_as_expected() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, Channel.QUEUE)

    def put(at: float, starts: float | None, ends: float | None, place: int = 1) -> None:
        item = {"place": place, "starts_in_s": starts, "ends_in_s": ends}
        hub.put(Channel.QUEUE, "b", item, KINDS, 1000.0 + at)

    put(0, 60.0, 90.0)
    put(10, 50.5, 80.0)  # as it was to be
    put(20, 44.0, 70.0)  # 4 s of 40 later
    put(21, 70.0, 80.0)  # much later
    put(22, 69.0, None)
    put(23, 68.0, None)
    put(24, 67.0, None, place=2)
    assert [{**event["data"], "id": 0} for event in told(reader)] == [
        {"id": 0, "place": 1, "starts_in_s": 60.0, "ends_in_s": 90.0},
        {"id": 0, "starts_in_s": 70.0, "ends_in_s": 80.0},
        {"id": 0, "starts_in_s": 69.0, "ends_in_s": None},
        {"id": 0, "place": 2, "starts_in_s": 67.0, "ends_in_s": None},
    ]


def test_a_clock_that_is_set_back_stops_nothing() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    hub.put(NODES, "a", {"busy": 0}, KINDS, 5000.0)
    hub.put(NODES, "a", {"busy": 1}, KINDS, 1000.0)
    assert len(told(reader)) == 2


def test_items_that_go_are_told_as_gone_and_what_was_due_of_them_is_not() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, NODES)
    hub.put(NODES, "a", {"busy": 0}, KINDS, 1000.0)
    hub.put(NODES, "a", {"busy": 1}, KINDS, 1000.1)
    hub.keep_only(NODES, set(), 1000.1)
    hub.tick(1001)
    assert [(event["type"], event["data"]) for event in told(reader)] == [
        ("new", {"id": "a", "busy": 0}),
        ("gone", {"id": "a", "gone": True}),
    ]


def test_a_snapshot_and_its_deltas_are_the_state() -> None:
    hub = hub_of()
    hub.put(NODES, "a", {"busy": 0}, KINDS, 1000.0)
    hub.put(NODES, "a", {"busy": 1}, KINDS, 1000.1)  # still waits to be told
    reader, opening = subscribed(hub, NODES, LEDGER)
    assert opening["type"] == "snapshot"
    assert opening["state"] == {"nodes": {"a": {"id": "a", "busy": 1}}}
    assert (opening["missing"], opening["gap"]) == ([], False)
    hub.tick(1001)
    hub.put(NODES, "b", {"busy": 0}, KINDS, 1001.0)
    state = opening["state"]["nodes"]
    for event in told(reader):
        state.setdefault(event["data"]["id"], {}).update(event["data"])
    assert state == subscribed(hub, NODES)[1]["state"]["nodes"]


def test_a_channel_that_is_not_known_yet_is_named() -> None:
    assert subscribed(hub_of(NODES), NODES, BUILDS)[1]["missing"] == ["builds"]


def test_who_comes_back_with_a_cursor_misses_nothing_and_hears_nothing_twice() -> None:
    hub = hub_of()
    first, opening = subscribed(hub, LEDGER)
    for number in range(3):
        hub.tell(LEDGER, "ledger_entry", {"n": number}, 0.0)
    heard = told(first)
    for at, cursor in enumerate([opening["cursor"], *(event["cursor"] for event in heard)]):
        again, resumed = subscribed(hub, LEDGER, cursor=cursor)
        assert resumed == {"type": "resumed", "cursor": cursor, "channels": ["ledger"]}
        assert told(again) == heard[at:]


@pytest.mark.parametrize("cursor", ["f-1", "e-99", "e-", "e-x", "1", "", "e-²", "e-1-1", "e--1"])
def test_a_cursor_that_says_nothing_here_gets_the_state_and_the_gap_is_told(cursor: str) -> None:
    hub = hub_of()
    hub.tell(LEDGER, "ledger_entry", {}, 0.0)
    reader, opening = subscribed(hub, LEDGER, cursor=cursor)
    assert (opening["type"], opening["gap"], told(reader)) == ("snapshot", True, [])


def test_a_cursor_that_is_too_old_gets_the_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "KEPT_EVENTS", 10)
    hub = hub_of()
    for _ in range(12):
        hub.tell(LEDGER, "ledger_entry", {}, 0.0)
    assert subscribed(hub, LEDGER, cursor="e-1")[1]["type"] == "snapshot"
    assert subscribed(hub, LEDGER, cursor="e-2")[1]["type"] == "resumed"


def test_what_is_kept_is_bounded_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "KEPT_CHARACTERS", 2000)
    hub = hub_of()
    for _ in range(3):
        hub.tell(LEDGER, "ledger_entry", {"text": "x" * 900}, 0.0)
    assert subscribed(hub, LEDGER, cursor="e-0")[1]["type"] == "snapshot"
    assert subscribed(hub, LEDGER, cursor="e-1")[1]["type"] == "resumed"


def test_nobody_goes_on_over_a_time_in_which_a_channel_was_not_told() -> None:
    hub = hub_of(LEDGER)
    hub.tell(LEDGER, "ledger_entry", {}, 0.0)
    hub.rest(LEDGER)
    hub.tell(LEDGER, "ledger_entry", {}, 0.0)  # nobody listens
    hub.begin(LEDGER)
    assert subscribed(hub, LEDGER, cursor="e-1")[1]["type"] == "snapshot"
    hub.tell(LEDGER, "ledger_entry", {}, 0.0)
    assert subscribed(hub, LEDGER, cursor="e-1")[1]["type"] == "snapshot"
    assert subscribed(hub, LEDGER, cursor="e-2")[1]["type"] == "resumed"


def test_only_what_is_wanted_is_told() -> None:
    hub = hub_of()
    one, _ = subscribed(hub, BUILDS, LOGS, build="b1")
    for build in ("b1", "b2"):
        hub.put(BUILDS, build, {"done": 0}, KINDS, 0.0)
        hub.output(build, "p", "build", "text", 0.0)
    hub.put(NODES, "n", {}, KINDS, 0.0)
    assert [event["data"].get("id", event["data"].get("build_id")) for event in told(one)] == [
        "b1",
        "b1",
    ]
    assert subscribed(hub, BUILDS, build="b2")[1]["state"]["builds"] == {
        "b2": {"id": "b2", "done": 0}
    }


def test_output_that_a_slow_reader_does_not_take_is_left_out_where_it_was_and_told() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, LOGS, LEDGER)
    text = "é" * (10 << 10)
    for _ in range(200):
        hub.output("b", "p", "build", text, 0.0)
    hub.tell(LEDGER, "ledger_entry", {}, 0.0)
    found = told(reader)
    pieces = [event for event in found if event["type"] == "build_output"]
    assert 10 < len(pieces) < 200
    left = [event["data"] for event in found if event["type"] == "output_left_out"]
    assert left == [{"build_id": "b", "bytes": (200 - len(pieces)) * len(text.encode())}]
    assert found[-1]["type"] == "output_left_out"
    assert found[-2]["type"] == "ledger_entry"  # never left out
    assert reader.over is None
    hub.output("b", "p", "build", "after", 0.0)
    assert [event["data"].get("text") for event in told(reader)] == ["after"]


def test_a_gap_is_marked_before_what_follows_of_the_same_build() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, LOGS)
    text = "x" * hub_module.PIECE_CHARACTERS
    for _ in range(MOST_OUTPUT // len(text) + 1):
        hub.output("b", "p", "build", text, 0.0)
    reader.take(MOST_OUTPUT // 2)
    hub.output("b", "p", "build", "after", 0.0)
    found = told(reader)
    assert [event["type"] for event in found[-2:]] == ["output_left_out", "build_output"]
    missing = found[-2]["cursor"], found[-1]["cursor"]
    assert missing[0] < missing[1]  # who goes on from the gap gets what follows


def test_who_does_not_read_is_told_no_more_and_why() -> None:
    hub = hub_of()
    slow, _ = subscribed(hub, LEDGER)
    quick, _ = subscribed(hub, LEDGER)
    data = {"text": "x" * 1000}
    for _ in range(MOST_WAITING // 1000 + 1):
        hub.tell(LEDGER, "ledger_entry", data, 0.0)
        assert len(quick.take(MOST_WAITING)) == 1
    assert slow.over is not None
    assert slow.over.startswith("too slow")
    assert slow.take(MOST_WAITING) == []
    assert quick.over is None


def test_a_reader_takes_about_so_much_at_once() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, LEDGER)
    for _ in range(4):
        hub.tell(LEDGER, "ledger_entry", {"text": "x" * 1000}, 0.0)
    assert [len(reader.take(2500)) for _ in range(3)] == [2, 2, 0]
    hub.tell(LEDGER, "ledger_entry", {"text": "x" * 1000}, 0.0)
    assert len(reader.take(1)) == 1  # one at least


def test_text_that_is_none_is_told_all_the_same() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, LOGS)
    hub.output("b", "p", "build", "a\udc80é", 0.0)
    (event,) = reader.take(MOST_WAITING)
    event.text.encode()
    assert json.loads(event.text)["data"]["text"] == "a\udc80é"


def test_events_are_joined_once_for_all() -> None:
    hub = hub_of()
    one, other = subscribed(hub, LEDGER)[0], subscribed(hub, LEDGER)[0]
    for number in range(2):
        hub.tell(LEDGER, "ledger_entry", {"n": number}, 0.0)
    joiner = Joiner()
    message = joiner.message(one.take(MOST_WAITING))
    assert joiner.message(other.take(MOST_WAITING)) is message
    assert [event["data"]["n"] for event in json.loads(message)["events"]] == [0, 1]


def test_server_sent_events_carry_the_cursor_and_stay_on_one_line() -> None:
    hub = hub_of()
    reader, _ = subscribed(hub, LEDGER)
    hub.tell(LEDGER, "ledger_entry", {"text": "a\nid: evil\r\n"}, 0.0)
    lines = sse(reader.take(MOST_WAITING)).split("\n")
    assert lines[:2] == ["id: e-1", "event: ledger_entry"]
    assert lines[2].startswith("data: {")
    assert lines[3:] == ["", ""]


def test_who_comes_late_gets_what_running_tasks_printed_so_far_with_the_snapshot() -> None:
    hub = hub_of(BUILDS)  # nobody wants the output: it is kept all the same
    hub.output("b", "p", "build", "one\ntw", 0.0, line=1)
    hub.output("b", "p", "test", "over\n", 0.0, line=1)
    hub.output("c", "p", "build", "other\n", 0.0, line=1)
    hub.output_over("b", "p", "test")
    hub.begin(LOGS)
    reader, opening = subscribed(hub, LOGS, build="b")
    data = {"build_id": "b", "name": "p", "task": "build", "text": "one\ntw", "line": 1}
    assert opening["state"]["logs"] == {"b p#build": {"id": "b p#build", **data}}
    hub.output("b", "p", "build", "o\n", 0.0, line=2)
    assert [(each["data"]["text"], each["data"]["line"]) for each in told(reader)] == [("o\n", 2)]
    assert set(subscribed(hub, LOGS)[1]["state"]["logs"]) == {"b p#build", "c p#build"}
    hub.keep_output({"c"})
    assert set(subscribed(hub, LOGS)[1]["state"]["logs"]) == {"c p#build"}


def test_what_another_node_says_was_printed_so_far_is_told_as_far_as_it_is_new() -> None:
    hub = hub_of(LOGS)
    reader, _ = subscribed(hub, LOGS)
    hub.output("b", "p", "build", "one\ntw", 0.0, line=1)
    hub.output("b", "p", "build", "one\ntwo\nthree", 0.0, line=1, so_far=True)
    assert "".join(each["data"]["text"] for each in told(reader)) == "one\ntwo\nthree"
