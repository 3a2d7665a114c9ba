"""What Prometheus reads: counts, the node's state, and that the examples name nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from buildnet.mesh.digest import Digest
from buildnet.mesh.events import Status as MemberStatus
from buildnet.mesh.service.view import CounterView, MemberView, MeshView, OfficeView
from buildnet.node.metrics.state import ROWS, Picture, StateCollector
from buildnet.node.metrics.tally import Tally
from buildnet.node.report import TaskReport
from buildnet.node.resolve import Tier
from buildnet.node.store.store import StoreStats
from buildnet.node.tracing.spans import BuildRan
from buildnet.pool.build import Status
from buildnet.pool.workspace import TaskId

EXAMPLES = Path(__file__).parents[2] / "examples/monitoring"
ME, OTHER = b"m" * 32, b"o" * 32


def member(key: bytes, name: str, status: MemberStatus, round_trip_s: float | None) -> MemberView:
    return MemberView(
        key=key,
        node_id=key.hex()[:16],
        name=name,
        role="worker",
        rights="builder",
        priority=0,
        voter=True,
        status=status,
        status_since=None,
        last_heard=None,
        addresses=(),
        round_trip_s=round_trip_s,
        round_trip_measured=round_trip_s is not None,
        link=None,
    )


VIEW = MeshView(
    cluster_id=b"c" * 16,
    cluster_name="home",
    member_version=1,
    epoch=0,
    me=ME,
    node_id="mine",
    boot=1,
    at=1000.0,
    office=OfficeView(ME, 7, True, 0.0, ""),
    voters=3,
    voters_reachable=2,
    members=(
        member(ME, "mine", MemberStatus.ALIVE, None),
        member(OTHER, 'ot"h\ner', MemberStatus.SUSPECT, 0.002),
    ),
    former=(),
    counters=(CounterView("link not made", 3, None, "", 0.0),),
    requests=(),
    lag_p99_s=0.01,
    bytes_sent=10,
    bytes_received=20,
)
STATS = StoreStats(5, 6, 7, 8, 9, 10, None, 11, 12, 0, 13, None, 0)
PICTURE = Picture(
    VIEW,
    STATS,
    (),
    None,
    None,
    None,
    None,
    0,
    0,
    1,
    2,
    4,
    2,
    1,
    0,
    0,
    0,
    0,
    0,
    0,
    0.07,
    "strict",
    5.0,
)


def values(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    text = generate_latest(registry).decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def state(picture: Picture) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry()
    registry.register(StateCollector(picture))
    return values(registry)


def report(status: Status, tier: Tier | None, **more: object) -> TaskReport:
    made = TaskReport(TaskId("core", "build"), "n", status, tier)
    return replace(made, **more)  # type: ignore[arg-type]


def test_builds_and_their_tasks_are_counted() -> None:
    tally = Tally()
    reports = [
        report(Status.SUCCEEDED, Tier.FULL, exit_code=0, duration_ms=300.0, isolation="strict"),
        report(Status.FAILED, Tier.FULL, exit_code=1, duration_ms=40.0, node_name="ci"),
        report(Status.SKIPPED, None),
        report(Status.SUCCEEDED, Tier.POOL_CACHE, exit_code=0, action=Digest.of(b"")),
    ]
    tasks = [("home/core build", each) for each in reports]
    ran = BuildRan("b", "anna", "home", "build", 0, 1_500_000_000, Status.FAILED, None, tasks, 12)
    tally.build_ended(ran)
    tally.guest_ended("refused")
    found = values(tally.registry)
    assert found["buildnet_builds_total", ("failed",)] == 1
    assert found["buildnet_builds_total", ("cancelled",)] == 0
    assert found["buildnet_build_duration_seconds_sum", ()] == 1.5
    assert found["buildnet_tasks_total", ("succeeded", "instant-skip")] == 12
    assert found["buildnet_tasks_total", ("succeeded", "pool-cache")] == 1
    assert found["buildnet_tasks_total", ("skipped", "none")] == 1
    assert found["buildnet_command_duration_seconds_sum", ("strict", "here")] == 0.3
    assert found["buildnet_command_duration_seconds_count", ("none", "elsewhere")] == 1
    assert found["buildnet_guest_commands_total", ("refused",)] == 1


def test_the_state_of_a_node_is_told_and_names_of_others_are_escaped() -> None:
    found = state(PICTURE)
    assert found["buildnet_members", ("suspect",)] == 1
    assert found["buildnet_members", ("alive",)] == 0
    assert found["buildnet_round_trip_seconds", ('ot"h\ner', OTHER.hex()[:16])] == 0.002
    assert found["buildnet_mesh_noted_total", ("link not made",)] == 3
    assert found["buildnet_coordinates", ()] == 1
    assert found["buildnet_term", ()] == 7
    assert found["buildnet_cache_hits_total", ()] == 9


def test_what_is_not_known_has_no_value() -> None:
    names = {name for name, _ in state(PICTURE)}
    assert "buildnet_host_cpu_ratio" not in names
    assert "buildnet_ledger_height" not in names
    nobody = state(replace(PICTURE, view=replace(VIEW, office=None)))
    assert nobody["buildnet_quorum", ()] == 0


def told() -> set[str]:
    names = {row.name + ("_total" if row.kind == "counter" else "") for row in ROWS}
    families = Tally().registry.collect()
    return names | {sample.name for family in families for sample in family.samples}


def expressions() -> Iterable[str]:
    rules = yaml.safe_load((EXAMPLES / "alerts.yaml").read_text())
    yield from (rule["expr"] for group in rules["groups"] for rule in group["rules"])
    board = json.loads((EXAMPLES / "grafana-dashboard.json").read_text())
    yield from (one["expr"] for panel in board["panels"] for one in panel.get("targets", ()))
    yield from (one["query"] for one in board["templating"]["list"])


@pytest.mark.parametrize("expression", list(expressions()))
def test_the_examples_name_metrics_that_there_are(expression: str) -> None:
    assert set(re.findall(r"buildnet_\w+", expression)) <= told()
