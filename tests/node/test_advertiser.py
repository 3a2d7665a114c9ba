"""What a node tells the pool of itself, and when."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.ledger.store.errors import LedgerError
from buildnet.mesh.service.view import MeshView
from buildnet.node.advertiser import Advertiser
from buildnet.node.config import NodeConfig
from buildnet.node.hosts import InFlight
from buildnet.pool.advertisement import CLOSED, Links, Load, Profile
from buildnet.pool.requirements import Grant
from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    Utilization,
)
from buildnet.pool.testing import member_view, mesh_view

ANNA, BERT = b"a" * 32, b"b" * 32


class ListeningMesh:
    """Keeps what is advertised."""

    def __init__(self) -> None:
        self.picture: MeshView = mesh_view(
            member_view(ANNA, "anna"), member_view(BERT, "bert"), me=ANNA
        )
        self.told: list[tuple[str, bytes]] = []
        self.accepts = True
        self.views = 0

    def view(self) -> MeshView:
        self.views += 1
        return self.picture

    @property
    def identity(self) -> tuple[bytes, bytes, int]:
        return self.picture.cluster_id, self.picture.me, self.picture.boot

    @property
    def lag_p99_s(self) -> float | None:
        return self.picture.lag_p99_s

    def advertise(self, topic: str, body: bytes) -> None:
        self.told.append((topic, body))

    def topics(self) -> list[str]:
        """Return the topics told since the last time."""
        topics = [topic for topic, _ in self.told]
        self.told.clear()
        return topics


@pytest.fixture
def mesh() -> ListeningMesh:
    return ListeningMesh()


@pytest.fixture
def service(mesh: ListeningMesh) -> Any:
    return SimpleNamespace(
        mesh=mesh,
        name="anna",
        role="worker",
        exchange=SimpleNamespace(bandwidths=dict),
        ledger=SimpleNamespace(open_now=None, problem=None),
        address="http://anna",
        config=NodeConfig(node_tags=("fast",)),
        resources=None,
        utilization=None,
        benchmarks=SimpleNamespace(latest=None),
        builder=SimpleNamespace(
            workers=SimpleNamespace(running=0, slots_in_use=0, slots=2, grant=Grant(2))
        ),
        in_flight=lambda: InFlight(draining=False, leases=0, running=0, builds=0),
        lends_nothing=None,
        lent=(),
    )


def resources() -> NodeResources:
    return NodeResources(
        system=OperatingSystem(name="linux"),
        cpu=CpuResources(cores=2, logical=2, architecture="x86_64"),
        memory=MemoryResources(total_bytes=2, available_bytes=1, installed_bytes=2),
        scanned_at=datetime.now(UTC),
    )


def test_everything_is_told_at_first_and_nothing_again(mesh: ListeningMesh, service: Any) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    told = dict(mesh.told)
    assert Profile.decode(told["profile"]).tags == ("fast",)
    assert Load.decode(told["load"]).loop_lag_ms == 2.0
    assert Links.decode(told["links"]).round_trip_ms == {BERT[:8].hex(): 1.5}
    mesh.told.clear()
    for second in range(1, 30):
        advertiser.tell(float(second))
    assert mesh.topics() == []
    assert mesh.views < 10  # making one takes as long as all the rest


def test_what_nobody_heard_between_two_clusters_is_told_later(
    mesh: ListeningMesh, service: Any
) -> None:
    advertiser = Advertiser(service)
    mesh.accepts = False
    advertiser.tell(0.0)
    assert mesh.topics() == []
    mesh.accepts = True
    advertiser.tell(1.0)
    assert mesh.topics() == ["profile", "load", "links"]


def test_who_begins_anew_in_its_cluster_tells_everything_again(
    mesh: ListeningMesh, service: Any
) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    mesh.told.clear()
    mesh.picture = replace(mesh.picture, boot=mesh.picture.boot + 1)
    advertiser.tell(1.0)
    assert mesh.topics() == ["profile", "load", "links"]


def test_a_change_is_told(mesh: ListeningMesh, service: Any) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    mesh.told.clear()
    service.resources = resources()
    advertiser.tell(1.0)
    assert mesh.topics() == ["profile"]
    service.utilization = Utilization(cpu_percent=50, measured_at=datetime.now(UTC))
    advertiser.tell(2.0)
    assert mesh.topics() == ["load"]
    service.builder.workers.running = 1
    service.builder.workers.slots_in_use = 2
    advertiser.tell(3.0)
    assert mesh.topics() == ["load"]
    service.ledger.problem = LedgerError("it can't be opened")
    advertiser.tell(4.0)
    assert Load.decode(dict(mesh.told)["load"]).silence == CLOSED


def test_a_load_that_does_not_change_is_told_now_and_then(
    mesh: ListeningMesh, service: Any
) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    mesh.told.clear()
    advertiser.tell(30.0)
    assert mesh.topics() == ["load"]


def test_round_trips_are_told_now_and_then_and_new_peers_soon(
    mesh: ListeningMesh, service: Any
) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    mesh.told.clear()
    near, far = mesh.picture.members
    mesh.picture = replace(mesh.picture, members=(near, replace(far, round_trip_s=0.9)))
    advertiser.tell(29.0)
    assert "links" not in mesh.topics()
    advertiser.tell(60.0)
    assert "links" in mesh.topics()
    mesh.picture = replace(mesh.picture, members=(near,))
    advertiser.tell(64.0)
    assert "links" not in mesh.topics()
    advertiser.tell(65.0)
    assert mesh.topics() == ["links"]


@pytest.mark.parametrize("other", [{"cluster_id": b"d" * 32}, {"me": b"e" * 32}])
def test_another_cluster_and_under_another_key_all_is_told_anew(
    mesh: ListeningMesh, service: Any, other: dict[str, bytes]
) -> None:
    advertiser = Advertiser(service)
    advertiser.tell(0.0)
    mesh.told.clear()
    mesh.picture = replace(mesh.picture, **other)  # type: ignore[arg-type]
    advertiser.tell(1.0)
    assert mesh.topics() == ["profile", "load", "links"]
