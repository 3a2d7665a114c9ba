"""The dashboard's model: what is told goes in, what the screen shows comes out."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.dashboard.told_values import (
    GIB,
    HEALTH,
    LEDGER,
    NODE,
    SESSION,
    UNIX,
    WHOLE_QUEUE,
    build,
    entry,
    event,
    moment,
    node,
    queued,
    resources,
    snapshot,
    told,
)

from buildnet.cli.client.asking import AnswerError, NodeUnreachableError
from buildnet.cli.dashboard.model import SILENT_S, Model
from buildnet.cli.dashboard.screen import Amount, BuildCounts, Cluster, Resources, Screen
from buildnet.cli.dashboard.told import Answered, Failed, Happened

GONE = NodeUnreachableError("no node runs here")


def test_of_a_node_that_told_nothing_nothing_is_known() -> None:
    screen = Model(UNIX).screen(0.0)
    assert screen.cluster == Cluster()
    assert screen.cluster.status == "unknown"
    assert screen.resources == Resources()
    assert screen.builds == BuildCounts()
    assert (screen.running, screen.queue, screen.nodes, screen.events) == (None,) * 4
    assert {each.age_s for each in screen.sources.values()} == {None}


def test_the_cluster_is_told_as_the_asked_node_sees_it() -> None:
    cluster = told().screen(5.0).cluster
    assert (cluster.name, cluster.status, cluster.members) == ("studio", "healthy", 3)
    assert (cluster.coordinator, cluster.term, cluster.quorum) == ("node1", 4, True)
    assert cluster.uptime_s == 3605.0


def test_resources_are_those_of_workers_that_can_be_reached() -> None:
    nodes = [
        node(1, status="busy"),
        node(2, draining=True),
        node(3, status="offline"),
        node(4, role="observer"),
    ]
    model = told(count=4, nodes=nodes)
    found = model.screen(1.0).resources
    assert (found.total_workers, found.active_workers, found.idle_workers) == (3, 1, 0)
    assert (found.draining_workers, found.offline_workers) == (1, 1)
    assert found.cores == Amount(2, 8, 2)
    assert found.memory_bytes == Amount(4 * GIB, 16 * GIB, 2)
    assert found.cpu_busy == 0.5
    assert (found.cache_bytes, found.cache_limit_bytes) == (2 * GIB, 10 * GIB)
    assert found.cache_hit_rate == 0.75


def test_what_a_node_did_not_tell_is_not_counted_and_not_made_up() -> None:
    silent = resources(2, resources=None, utilization=None, cores_in_use=0)
    model = told(count=2, resources=[resources(1), silent])
    screen = model.screen(0.0)
    assert screen.resources.cores == Amount(1, 4, 1)
    assert screen.resources.untold == ("node2",)
    assert told().screen(0.0).resources.untold == ()
    assert screen.nodes is not None
    row = screen.nodes[1]
    assert (row.cores, row.cores_in_use, row.cpu_busy, row.memory_bytes) == (None,) * 4
    assert row.age_s is None


def test_a_figure_has_the_age_of_its_measurement() -> None:
    model = told(now=100.0)
    assert model.screen(100.0).resources.oldest_s == pytest.approx(7.0)
    assert model.screen(130.0).resources.oldest_s == pytest.approx(37.0)
    for number in (1, 2, 3):
        item = resources(number, cpu_percent=80.0)
        model.take(Happened(event("resources", UNIX + 31, **item)), 131.0)
    screen = model.screen(133.0)
    assert screen.resources.oldest_s == pytest.approx(2.0)
    assert screen.resources.cpu_busy == pytest.approx(0.8)


def test_a_running_build_has_its_progress_and_its_estimate() -> None:
    model = told()
    (row,) = model.screen(5.0).running or ()
    assert (row.done, row.tasks, row.running) == (3, 12, ("api#build",))
    assert (row.elapsed_s, row.estimated_s, row.left_s) == (15.0, 30.0, 15.0)
    model.take(Happened(event("builds", UNIX + 6, id="b1", done=9)), 6.0)
    (row,) = model.screen(6.0).running or ()
    assert row.done == 9
    assert model.screen(60.0).running[0].left_s == 0.0  # type: ignore[index]
    model.take(Happened(event("builds", UNIX + 7, id="b1", status="succeeded")), 7.0)
    model.take(Happened(event("queue", UNIX + 7, id="b1", gone=True)), 7.0)
    assert model.screen(7.0).running == ()


def test_the_time_of_a_node_whose_clock_is_ahead_counts() -> None:
    model = told()
    model.take(Happened(event("builds", UNIX + 1000, id="b1", started_at=UNIX + 990)), 1.0)
    (row,) = model.screen(3.0).running or ()
    assert row.elapsed_s == pytest.approx(12.0)


def test_a_build_that_only_the_queue_knows_is_shown_without_what_is_not_known() -> None:
    model = told(builds=[], queue=[WHOLE_QUEUE, queued("b5", 1, "running")])
    screen = model.screen(0.0)
    (row,) = screen.running or ()
    assert (row.id, row.tasks, row.estimated_s, row.elapsed_s) == ("b5", None, None, 20.0)
    assert screen.builds.in_progress == 1


def test_the_queue_holds_who_waits_in_their_order() -> None:
    items = [WHOLE_QUEUE, queued("b3", 3, "paused"), queued("b2", 2), queued("b1", 1, "running")]
    model = told(queue=items)
    screen = model.screen(5.0)
    assert [row.id for row in screen.queue or ()] == ["b2", "b3"]
    assert screen.queue is not None
    assert (screen.queue[0].waited_s, screen.queue[0].starts_in_s) == (25.0, 3.0)
    assert (screen.builds.queued, screen.builds.paused) == (1, 1)


def test_what_is_gone_is_not_shown_any_more() -> None:
    model = told()
    model.take(Happened(event("queue", UNIX, id="b2", gone=True)), 0.0)
    model.take(Happened(event("nodes", UNIX, id=f"{2:016x}", gone=True)), 0.0)
    screen = model.screen(0.0)
    assert screen.queue == ()
    assert [row.name for row in screen.nodes or ()] == ["node1", "node3"]


def test_nodes_are_ordered_by_their_names_and_the_numbers_in_them() -> None:
    names = ["b", "a-10-x", "a-9-y", "a-10-b", "10", "9"]
    nodes = [node(each, name=name) for each, name in enumerate(names, start=1)]
    rows = told(nodes=nodes).screen(0.0).nodes or ()
    assert [row.name for row in rows] == ["9", "10", "a-9-y", "a-10-b", "a-10-x", "b"]


def test_a_build_that_waits_does_not_run() -> None:
    model = told(builds=[build("b2", running=[])], queue=[WHOLE_QUEUE, queued("b2", 1)])
    screen = model.screen(0.0)
    assert screen.running == ()
    assert screen.builds.queued == 1
    model.take(Happened(event("builds", id="b2", running=["api#build"])), 0.0)
    screen = model.screen(0.0)
    assert [row.id for row in screen.running or ()] == ["b2"]
    assert screen.queue == ()
    model.take(Happened(event("builds", id="b2", running=[], status="failed")), 0.0)
    screen = model.screen(0.0)
    assert (screen.running, screen.queue) == ((), ())


def test_builds_of_the_last_hour_are_counted_by_the_ledger() -> None:
    model = told()
    found = model.screen(0.0).builds
    assert (found.completed_last_hour, found.failed_last_hour) == (1, 1)
    assert found.avg_build_time_s == 6.0
    assert found.error_rate == 0.5
    assert found.builds_per_minute == pytest.approx(2 / 60)
    model.take(
        Happened(event("ledger", **entry(5, "build.completed", UNIX + 1, "b1", duration_ms=3000))),
        1.0,
    )
    before = model.screen(1.0).events
    model.take(Answered("ledger", LEDGER), 2.0)  # what was told before counts once
    screen = model.screen(2.0)
    assert screen.events == before
    assert screen.builds.completed_last_hour == 2
    assert screen.ended is not None
    assert [row.id for row in screen.ended] == ["b1", "b8", "b9"]
    assert screen.ended[0].workspace == "shop"  # as the builds told
    later = model.screen(3600.0 - 50)
    assert (later.builds.completed_last_hour, later.builds.failed_last_hour) == (1, 0)


def test_without_the_ledger_nothing_of_the_last_hour_is_known() -> None:
    model = Model(UNIX)
    model.take(Happened(snapshot()), 0.0)
    model.take(Failed("ledger", AnswerError({"detail": "not allowed"})), 0.0)
    screen = model.screen(1.0)
    assert screen.builds.completed_last_hour is None
    assert screen.ended is None
    assert "ledger: not allowed" in screen.alerts


def test_sessions_say_who_does_what() -> None:
    far = {"build_id": "b1", "workspace": "shop", "running": 2, "left_ms": None, "waits_for": None}
    agent = {**SESSION, "id": "2", "actor": "agent:ci", "way": "api", "builds": [far]}
    idle = {**SESSION, "id": "3", "actor": "local", "is_owner": True, "connections": []}
    model = told()
    silent = [{"node": "node3", "why": "no link"}]
    model.take(Answered("sessions", {"sessions": [idle, SESSION, agent], "silent": silent}), 0.0)
    screen = model.screen(1.0)
    assert [(row.who, row.kind, row.does) for row in screen.sessions or ()] == [
        ("ci", "agent", "builds shop (b1): 2 commands running"),
        ("local", "user", "nothing now"),
        ("anna", "account", "watches"),
    ]
    assert screen.silent == ("node3: no link",)
    assert (screen.sessions or ())[2].last_s == pytest.approx(4.0)


def test_events_tell_what_happened_in_words() -> None:
    model = told()
    rows = model.screen(0.0).events or ()
    assert [row.text for row in rows] == [
        "Build failed: build b8 (4.00 s): api: exit code 2",
        "Build completed: shop (8.00 s)",
        "Build started: shop by ann",
        "the text of 1",
    ]
    assert [row.level for row in rows] == ["bad", "good", "plain", "plain"]


def test_what_comes_with_each_build_is_no_event_for_people() -> None:
    model = told()
    before = model.screen(0.0).events
    model.take(Happened(event("ledger", **entry(9, "resources.allocated", UNIX + 1))), 1.0)
    assert model.screen(1.0).events == before


def test_a_node_that_is_missed_and_one_that_is_back_are_events() -> None:
    model = told()

    def status(word: str, at: float) -> None:
        model.take(Happened(event("nodes", UNIX + at, id=f"{2:016x}", status=word)), at)

    for at, word in enumerate(["busy", "suspect", "offline", "online", "busy"], start=1):
        status(word, float(at))
    texts = [row.text for row in (model.screen(9.0).events or ())[:3]]
    assert texts == ["Node node2 is back", "Node node2 is offline", "Node node2 does not answer"]


def test_events_call_nodes_and_builds_by_their_names() -> None:
    model = told()
    of_a, of_b, stranger = f"{1:016x}", f"{2:016x}", "591a6103ee771cc4"
    texts = {
        f"A node came in: node2 ({of_b}) joined as worker, by the invitation 81554bc18db477e7": (
            "node2 joined as worker"
        ),
        f"ann handed build:b1 of {of_b} to {stranger}": (
            f"ann handed the build of shop of node2 to {stranger}"
        ),
        "build:b8 was retried after 83200 ms": "build b8 was retried after 1 min 23 s",
        "The node stopped: for a rest": "Node node1 stopped: for a rest",
        f"The voters changed: {of_a} votes now": "The voters changed: node1 votes now",
    }
    for number, text in enumerate(texts, start=5):
        told_of = {**entry(number, "member.voters", UNIX + number), "text": text}
        model.take(Happened(event("ledger", **told_of)), 1.0)
    rows = model.screen(1.0).events or ()
    assert [row.text for row in reversed(rows[: len(texts)])] == list(texts.values())


def test_what_became_of_a_build_is_told_behind_however_long_a_name() -> None:
    model = told()
    started = entry(5, "build.started", UNIX + 5, "b7", workspace=f"long-{'x' * 95}-shop")
    failed = entry(6, "build.failed", UNIX + 6, "b7", duration_ms=2000, error="exit code 3")
    for each in (started, failed):
        model.take(Happened(event("ledger", **each)), 1.0)
    first = (model.screen(1.0).events or ())[0].text
    assert first.startswith("Build failed: long-x")
    assert first[14:].index("-shop (2.00 s): exit code 3") == 35


def test_that_a_node_joined_is_told_once() -> None:
    model = told()
    before = len(model.screen(0.0).events or ())
    for number, kind in enumerate(("node.joined", "member.admitted"), start=5):
        model.take(Happened(event("ledger", **entry(number, kind, UNIX + number))), 1.0)
    assert len(model.screen(1.0).events or ()) == before + 1


def test_another_coordinator_is_an_event() -> None:
    model = told()
    for coordinator in (True, True):
        told_of = event("nodes", UNIX + 1, id=f"{2:016x}", coordinator=coordinator)
        model.take(Happened(told_of), 1.0)
    first, second, *_ = model.screen(1.0).events or ()
    assert (first.text, first.kind) == ("Node node2 coordinates now", "node.coordinator")
    assert second.kind != "node.coordinator"


def test_alerts_say_what_is_wrong_once() -> None:
    model = told(queue=[{**WHOLE_QUEUE, "paused": True, "paused_by": "ann"}])
    problem = "node3 does not answer"
    model.take(Answered("health", {"healthy": False, "problems": [problem]}), 0.0)
    model.take(Answered("node", {**NODE, "problem": problem}), 0.0)
    screen = model.screen(0.0)
    assert screen.cluster.status == "not healthy"
    assert screen.alerts == (problem, "the queue is paused by ann")


def test_a_lost_connection_is_said_with_its_age_and_what_was_known_stays() -> None:
    model = told()
    model.take(Failed("events", GONE), 10.0)
    model.take(Failed("node", GONE), 11.0)
    model.take(Failed("health", GONE), 11.0)
    model.take(Failed("events", GONE), 12.0)
    screen = model.screen(14.0)
    assert screen.lost == "no node runs here; lost 4 s ago, trying again"
    assert (screen.cluster.status, screen.cluster.name) == ("unknown", "studio")
    assert screen.cluster.uptime_s == 3600.0
    assert screen.running is not None
    assert screen.alerts == ()
    model.take(Happened(snapshot(count=2)), 20.0)
    model.take(Answered("node", NODE), 20.0)
    screen = model.screen(20.0)
    assert screen.lost is None
    assert len(screen.nodes or ()) == 2


def test_a_node_that_is_silent_is_lost_too() -> None:
    model = told()
    assert model.screen(SILENT_S).lost is None
    lost = model.screen(SILENT_S + 1).lost
    assert lost == "the node does not answer; lost 11 s ago, trying again"


def test_a_snapshot_without_a_channel_leaves_it_unknown() -> None:
    opening: Any = {**snapshot(), "missing": ["builds"]}
    model = Model(UNIX)
    model.take(Happened(opening), 0.0)
    assert model.screen(0.0).running is None


def test_what_is_shown_does_not_change_with_what_is_told_later() -> None:
    model = told()
    before = model.screen(0.0)
    copy = Screen(**{name: getattr(before, name) for name in Screen.__slots__})
    model.take(Happened(event("builds", UNIX, id="b1", done=11)), 0.0)
    model.take(Answered("health", {**HEALTH, "healthy": False}), 0.0)
    assert before == copy
    assert model.screen(0.0) != before


def test_times_are_told_in_utc() -> None:
    assert moment(UNIX).endswith("+00:00")
