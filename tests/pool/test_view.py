"""What is shown of a pool: its nodes, what they have, and how they are connected."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.pool.pool_nodes import ANNA, BERT, NOW, node

from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.pool.advertisement import Lent
from buildnet.pool.resources import VolumeUse
from buildnet.pool.status_text import status_text
from buildnet.pool.view import (
    RESOURCE_TYPES,
    Completeness,
    Connection,
    Coordinator,
    Json,
    NodeState,
    aggregate,
    connection_status,
    find_node,
    pooled_resources,
)


def status(*nodes: NodeState) -> Json:
    pieces = status_text(
        cluster_id="c3",
        cluster_name="home",
        coordinator=Coordinator(ANNA, "anna", term=4, quorum=True),
        nodes=nodes,
        connections=[
            Connection(ANNA, BERT, 0.8, 940.0),
            Connection(BERT, ANNA, None),
            Connection(ANNA, BERT, 90.0, estimated=True),
        ],
        seen=Completeness(1, 2, 12.3, "1 of 2 nodes reachable"),
        now=NOW,
    )
    view: Json = json.loads(b"".join(pieces))
    return view


def test_the_whole_of_pool_status() -> None:
    """The golden document: interfaces.md, "JSON that scripts rely on"."""
    lent = Lent(
        build="b1", node_id=BERT, actor="ann", slots=2, since_ms=round(NOW.timestamp() * 1000)
    )
    bert = replace(node(), id=BERT, name="bert", resources=None, status="offline", lent=(lent,))
    view = status(replace(node(), lent=(lent,)), bert)
    resources = view["nodes"][0].pop("resources")
    assert view["nodes"].pop()["id"] == BERT
    assert view == {
        "cluster": {"id": "c3", "name": "home"},
        "coordinator": {"node_id": ANNA, "name": "anna", "term": 4, "quorum": True},
        "nodes": [
            {
                "id": ANNA,
                "name": "anna",
                "status": "online",
                "role": "worker",
                "coordinator": True,
                "rights": "admin",
                "version": "0.1.0",
                "this_node": False,
                "address": "http://10.0.0.1:80",
                "tags": [],
                "slots": None,
                "benchmark": None,
                "measured_at": "2026-11-20T20:59:47.660Z",
                "age_s": 12.3,
                "latency_ms": 1.5,
                "latency_estimated": False,
                "actions_running": 2,
                "cores_in_use": 3,
                "draining": False,
                "lends_nothing": None,
                "builds": 0,
                "priority_weight": 1.0,
                "utilization": {
                    "cpu_percent": 12.5,
                    "memory_percent": 75.0,
                    "load_average": None,
                    "disks": [],
                    "measured_at": "2026-11-20T21:00:00Z",
                },
            }
        ],
        "aggregate": {
            "total_cpu_cores": 8,
            "available_cpu_cores": 5,
            "total_memory_bytes": 1000,
            "available_memory_bytes": 250,
            "storage_volumes": [{"node_id": ANNA, "node_name": "anna", **resources["storage"][0]}],
            "tools": {
                "git": [
                    {
                        "node_id": ANNA,
                        "node_name": "anna",
                        "version": "2.39.5",
                        "path": "/usr/bin/git",
                        "capabilities": ["lfs"],
                    }
                ]
            },
            "runtimes": {
                "python": [
                    {
                        "node_id": ANNA,
                        "node_name": "anna",
                        "version": version,
                        "path": path,
                        "capabilities": [],
                    }
                    for version, path in (
                        ("3.12.1", "/usr/bin/python3.12"),
                        ("3.11.2", "/usr/bin/python3"),
                    )
                ]
            },
            "last_updated": "2026-11-20T20:59:47.660Z",
        },
        "connections": [
            {
                "from_node": ANNA,
                "to_node": BERT,
                "latency_ms": 0.8,
                "bandwidth_mbps": 940.0,
                "status": "excellent",
                "estimated": False,
                "age_s": None,
            },
            {
                "from_node": BERT,
                "to_node": ANNA,
                "latency_ms": None,
                "bandwidth_mbps": None,
                "status": None,
                "estimated": False,
                "age_s": None,
            },
            {
                "from_node": ANNA,
                "to_node": BERT,
                "latency_ms": 90.0,
                "bandwidth_mbps": None,
                "status": "poor",
                "estimated": True,
                "age_s": None,
            },
        ],
        "leases": [
            {
                "owner": ANNA,
                "owner_name": "anna",
                "holder": BERT,
                "holder_name": "bert",
                "build": "b1",
                "actor": "ann",
                "slots": 2,
                "memory_bytes": 0,
                "since": "2026-11-20T21:00:00.000Z",
            }
        ],
        "view": {
            "complete": False,
            "reachable": 1,
            "members": 2,
            "oldest_age_s": 12.3,
            "problem": "1 of 2 nodes reachable",
        },
    }
    assert {"cores", "model", "architecture"} <= set(resources["cpu"])
    assert {"total_bytes", "available_bytes"} <= set(resources["memory"])
    assert set(resources["tools"][0]) >= {"name", "version", "path", "capabilities"}
    assert {"storage", "runtimes", "network"} <= set(resources)


def test_a_pool_without_coordinator_nodes_or_links() -> None:
    pieces = status_text(
        cluster_id="c",
        cluster_name="n",
        coordinator=None,
        nodes=[],
        connections=[],
        seen=Completeness(0, 0, None),
        now=NOW,
    )
    view = json.loads(b"".join(pieces))
    assert view["view"]["complete"]
    assert view["coordinator"] is None
    assert view["aggregate"]["last_updated"] is None
    assert view["aggregate"]["total_cpu_cores"] == 0


def test_disks_are_told_as_measured_last_and_ram_disks_are_memory() -> None:
    one = node()
    assert one.resources is not None
    assert one.utilization is not None
    root = one.resources.storage[0]
    memory = root.model_copy(update={"path": "/dev/shm", "storage_class": "ramdisk"})
    given = root.model_copy(update={"path": "/builds", "total_bytes": 20, "available_bytes": 20})
    uses = [VolumeUse(path=path, used_percent=9.0, available_bytes=90) for path in ("/", "/builds")]
    one = replace(
        one,
        resources=one.resources.model_copy(update={"storage": (root, memory, given)}),
        utilization=one.utilization.model_copy(update={"disks": tuple(uses)}),
    )
    told = dict(aggregate([one]))["storage_volumes"]
    assert [(each["path"], each["available_bytes"]) for each in told] == [
        ("/", 90),
        ("/builds", 20),
    ]


def test_resources_add_up() -> None:
    total = dict(aggregate([node(), node(BERT, "bert", cores=2)]))
    assert (total["total_cpu_cores"], total["available_cpu_cores"]) == (10, 5)
    assert (total["total_memory_bytes"], total["available_memory_bytes"]) == (2000, 500)
    assert [one["node_name"] for one in total["storage_volumes"]] == ["anna", "bert"]
    assert [one["node_name"] for one in total["tools"]["git"]] == ["anna", "bert"]


@pytest.mark.parametrize(
    ("change", "cores", "available"),
    [
        ({"status": "busy"}, 8, 5),
        ({"status": "suspect"}, 8, 0),
        ({"status": "offline"}, 0, 0),
        ({"status": "left"}, 0, 0),
        ({"role": "observer"}, 0, 0),
        ({"resources": None}, 0, 0),
        ({"cores_in_use": 12}, 8, 0),
    ],
)
def test_who_contributes(change: dict[str, object], cores: int, available: int) -> None:
    changed = replace(node(), **change)  # type: ignore[arg-type]
    total = dict(aggregate([changed]))
    assert (total["total_cpu_cores"], total["available_cpu_cores"]) == (cores, available)
    assert status(changed)["nodes"][0]["id"] == ANNA


def test_a_clock_ahead_of_ours_makes_no_negative_age() -> None:
    ahead = replace(node(), measured_at=NOW + timedelta(seconds=5))
    assert status(ahead)["nodes"][0]["age_s"] == 0.0


def test_an_age_by_our_own_clock_comes_before_what_the_owner_s_clock_says() -> None:
    told = replace(node(), age_s=3.04, measured_at=NOW - timedelta(hours=1))
    assert status(told)["nodes"][0]["age_s"] == 3.0


def test_a_member_of_which_nothing_is_known_has_no_age() -> None:
    silent = replace(node(), measured_at=None, resources=None, utilization=None)
    view = status(silent)["nodes"][0]
    assert (view["measured_at"], view["age_s"], view["resources"]) == (None, None, None)


def test_the_flat_list() -> None:
    entries = pooled_resources([node()])
    assert [(one["type"], one["name"], one["availability"]) for one in entries] == [
        ("cpu", "AMD EPYC", 0.625),
        ("memory", "memory", 0.25),
        ("storage", "/", 0.25),
        ("tool", "git", 1.0),
        ("tool", "ffmpeg", 0.0),
        ("runtime", "python", 1.0),
        ("runtime", "python", 1.0),
        ("network", "eth0", 1.0),
        ("gpu", "Tesla T4", None),
    ]
    assert set(entries[0]) == {
        *("type", "name", "node_id", "node_name", "latency_ms", "availability"),
        *("performance_score", "resource"),
    }
    assert entries[0]["resource"]["cores"] == 8
    assert entries[0]["performance_score"] is None
    offline = pooled_resources([replace(node(), status="offline")])
    assert {one["availability"] for one in offline} == {0.0}
    assert json.loads(json.dumps(entries)) == entries


def test_filters() -> None:
    nodes = [node(), node(BERT, "bert")]
    for kind in RESOURCE_TYPES:
        assert {one["type"] for one in pooled_resources(nodes, resource_type=kind)} == {kind}
    only = pooled_resources(nodes, resource_type="cpu", node="bert")
    assert [one["node_id"] for one in only] == [BERT]
    with pytest.raises(UsageError, match="unknown resource type 'tools'") as caught:
        pooled_resources(nodes, resource_type="tools")
    assert caught.value.hint == "did you mean 'tool'?"


def test_finding_a_node() -> None:
    nodes = [node(), node(BERT, "bert"), node("b2cc", "carl")]
    assert find_node(nodes, "anna").id == ANNA
    assert find_node(nodes, "a1a1").id == ANNA
    assert find_node(nodes, BERT).name == "bert"
    with pytest.raises(NotFoundError, match="several nodes"):
        find_node(nodes, "b2")
    with pytest.raises(NotFoundError, match="no node 'ana'") as caught:
        find_node(nodes, "ana")
    assert caught.value.hint == "did you mean 'anna'?"
    with pytest.raises(NotFoundError):
        find_node(nodes, "")


@pytest.mark.parametrize(
    ("latency_ms", "bandwidth_mbps", "grade"),
    [
        (0.3, 941, "excellent"),
        (0.3, None, "excellent"),
        (0.3, 94, "good"),
        (5, 1000, "good"),
        (20, 300, "fair"),
        (5, 5, "poor"),
        (200, None, "poor"),
    ],
)
def test_grades_of_connections(latency_ms: float, bandwidth_mbps: float | None, grade: str) -> None:
    assert connection_status(latency_ms, bandwidth_mbps) == grade
