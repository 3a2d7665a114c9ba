"""Builds as traces: what different nodes tell fits together, and a collector reads it."""

from __future__ import annotations

from dataclasses import replace

from buildnet.mesh.digest import Digest
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Tier
from buildnet.node.telemetry import Telemetry
from buildnet.node.tracing.spans import BuildRan, GuestRan, span_of_guest, spans_of_build
from buildnet.pool.build import Status
from buildnet.pool.workspace import TaskId
from testbed.collector import collector

REPORT = TaskReport(
    TaskId("core", "build"),
    "n1",
    Status.SUCCEEDED,
    Tier.FULL,
    "strict",
    250.0,
    Digest.of(b"a"),
    0,
    node_name="ci",
    ended_ns=3_000_000_000,
)
BUILD = BuildRan(
    "b1", "anna", "home", "build", 2_000_000_000, 4_000_000_000, Status.SUCCEEDED, None,
    [("home/core build", REPORT)], 7,
)  # fmt: skip
GUEST = GuestRan("b1", "home/core build", 2_800_000_000, 2_950_000_000, "succeeded")


def test_what_another_node_tells_lies_below_the_task_that_it_ran() -> None:
    whole, task = spans_of_build(BUILD)
    guest = span_of_guest(GUEST)
    assert whole.trace == task.trace == guest.trace
    assert (whole.parent, task.parent, guest.parent) == (None, whole.id, task.id)
    assert (task.began_ns, task.ended_ns) == (2_750_000_000, 3_000_000_000)
    assert task.attributes["buildnet.node"] == "ci"
    assert whole.attributes["buildnet.tasks"] == 8
    assert span_of_guest(replace(GUEST, began_ns=1)).id != guest.id  # ran twice
    assert span_of_guest(replace(GUEST, build="b2")).trace != guest.trace


def test_what_stood_as_before_lies_at_the_begin_and_costs_no_other_span() -> None:
    unchanged = replace(REPORT, tier=Tier.INSTANT_SKIP, duration_ms=1.5, ended_ns=0)
    _, task = spans_of_build(replace(BUILD, tasks=[("home/core build", unchanged)]))
    assert (task.began_ns, task.ended_ns) == (2_000_000_000, 2_001_500_000)


def test_what_failed_says_why() -> None:
    error = {"code": "X", "message": "no disk", "cause": None, "hint": None}
    failed = [
        replace(REPORT, status=Status.FAILED, exit_code=3),
        replace(REPORT, status=Status.FAILED, exit_code=None, error=error),
    ]
    tasks = [("home/core build", each) for each in failed]
    spans = spans_of_build(replace(BUILD, status=Status.FAILED, tasks=tasks))
    assert [span.problem for span in spans] == ["a task failed", "exit code 3", "no disk"]
    assert span_of_guest(replace(GUEST, outcome="refused")).problem == "refused"


def test_a_collector_reads_what_is_told() -> None:
    telemetry = Telemetry()
    with collector() as (endpoint, taken):
        with telemetry.tracing(endpoint, "studio", "n1"):
            telemetry.build_ended(BUILD)
            telemetry.guest_ended(GUEST)
        telemetry.build_ended(BUILD)  # after the end: counted, not sent
    (resource,) = [each for request in taken for each in request.resource_spans]
    said = {each.key: each.value.string_value for each in resource.resource.attributes}
    assert said["service.name"] == "buildnet"
    assert said["host.name"] == "studio"
    spans = [span for scope in resource.scope_spans for span in scope.spans]
    assert [span.name for span in spans] == ["build home", "home/core build", "run home/core build"]
    assert spans[2].parent_span_id == spans[1].span_id
    assert (spans[1].start_time_unix_nano, spans[1].end_time_unix_nano) == (
        2_750_000_000,
        3_000_000_000,
    )


def test_a_collector_that_is_not_there_holds_up_nothing() -> None:
    telemetry = Telemetry()
    with telemetry.tracing("http://127.0.0.1:9/v1/traces", "studio", "n1"):
        telemetry.build_ended(BUILD)
    assert telemetry.tally.registry.get_sample_value(
        "buildnet_builds_total", {"status": "succeeded"}
    )
