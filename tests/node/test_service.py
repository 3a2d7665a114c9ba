"""A node goes on, and says so, when its host can't be scanned or measured."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.ledger.service.service import LedgerService
from buildnet.mesh.members.member_list import Member, Rights, Role
from buildnet.mesh.service.view import MeshView
from buildnet.node import service as module
from buildnet.node.api.app import create_application
from buildnet.node.auth.caller import OWNER
from buildnet.node.config import NodeConfig
from buildnet.node.home import Home
from buildnet.node.in_force import InForce
from buildnet.node.recording import Recording
from buildnet.node.scan.scanner import Scanner
from buildnet.node.scan.utilization import UtilizationMeter
from buildnet.node.service import NodeService, ScanError
from buildnet.node.way_in import WayIn
from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    StorageVolume,
    Utilization,
)
from buildnet.pool.testing import member_view, mesh_view

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
FOUND = NodeResources(
    system=OperatingSystem(name="linux"),
    cpu=CpuResources(cores=2, logical=2, model=None, architecture="x86_64"),
    memory=MemoryResources(total_bytes=2, available_bytes=1, installed_bytes=2),
    scanned_at=NOW,
)


class ListedScanner:
    """Gives what it was made with, one a scan, errors raised; the last one again and again."""

    def __init__(self, *outcomes: NodeResources | Exception) -> None:
        self.outcomes = list(outcomes)

    async def scan(self, *_: object, fresh: bool = False) -> NodeResources:
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class CountingMeter:
    """Fails as often as told, then measures; ``measured`` is set when it has."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.measured = asyncio.Event()

    async def utilization(self, now: datetime, volumes: Sequence[StorageVolume]) -> Utilization:
        if self.failures:
            self.failures -= 1
            raise OSError("no /proc here")
        self.measured.set()
        return Utilization(cpu_percent=1.0, measured_at=now)


class HeldHome(Home):
    """A data directory whose lock this process holds, or no longer."""

    held = True

    def is_ours(self) -> bool:
        return self.held


class LonelyMesh:
    """A cluster of one."""

    member = Member(b"k" * 32, "n", Role.WORKER, Rights.ADMIN, 1)
    cluster = SimpleNamespace(
        local=SimpleNamespace(members=SimpleNamespace(version=0), office=None, links={})
    )

    def view(self) -> MeshView:
        key = b"k" * 32
        return mesh_view(member_view(key, "n"), me=key)

    def records(self, topic: str) -> dict[bytes, Any]:
        return {}

    def round_trip_s(self, one: bytes, other: bytes) -> float | None:
        return None


def service_of(
    home: Home, scanner: ListedScanner, meter: CountingMeter | None = None
) -> NodeService:
    ledger = LedgerService(Path("/nowhere"))
    idle = SimpleNamespace(
        running=lambda: [],
        books=SimpleNamespace(),
        workers=SimpleNamespace(running=0, slots_in_use=0, slots=2),
        isolation=None,
        limits_kept_by="node",
    )
    return NodeService(
        home=HeldHome(Path("/nowhere")),
        keys=cast(Any, SimpleNamespace(current=SimpleNamespace(node_id="id"))),
        name="n",
        address="http://127.0.0.1:1",
        way_in=WayIn("127.0.0.1", 1),
        in_force=InForce(Path("/nowhere/terms.json"), Path("/nowhere/node.yaml"), NodeConfig()),
        store=cast(Any, None),
        history=cast(Any, None),
        builder=cast(Any, idle),
        mesh=cast(Any, LonelyMesh()),
        exchange=cast(Any, SimpleNamespace(bandwidths=dict)),
        ledger=ledger,
        recording=Recording(ledger),
        access=cast(Any, None),
        scanner=cast(Scanner, scanner),
        meter=cast(UtilizationMeter, meter or CountingMeter()),
    )


async def get(service: NodeService, path: str) -> tuple[int, dict[str, Any]]:
    """Ask the application as a server would."""
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    scope: dict[str, Any] = {"type": "http", "method": "GET", "path": path, "query_string": b""}
    scope |= {"headers": [], "state": {"caller": OWNER}}
    await create_application(service)(scope, receive, send)
    body = b"".join(message.get("body", b"") for message in sent)
    return sent[0]["status"], json.loads(body)


async def watching(service: NodeService, until: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Let ``service`` watch its host until ``until`` returns."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(service.watch_host())
        wanted = group.create_task(until())
        await asyncio.wait([task, wanted], return_when=asyncio.FIRST_COMPLETED)
        ended = task.done()
        task.cancel()
        wanted.cancel()
    assert not ended


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A data directory that a node holds."""
    home = Home(tmp_path)
    home.prepare()
    home.lock()
    yield home
    home.unlock()


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEASURE_INTERVAL_S", 0.0)
    monkeypatch.setattr(module, "SCAN_RETRY_S", 0.0)


def test_a_failed_first_scan_is_told_and_keeps_nobody_waiting(home: Home) -> None:
    async def run() -> None:
        service = service_of(home, ListedScanner(ExceptionGroup("", [ValueError("strange\nhost")])))
        assert (await get(service, "/ready"))[1] == {"status": "scanning"}
        assert (
            "this host is being scanned"
            in (await get(service, "/api/pool/health"))[1]["problems"][0]
        )
        await watching(service, service.scanned.wait)
        assert await get(service, "/ready") == (503, {"status": "scan failed"})
        for path in ("/api/pool", "/api/pool/nodes", "/api/pool/resources"):
            status, seen = await get(service, path)
            assert status == 200
            assert "could not be scanned (ValueError: strange host)" in seen["view"]["problem"]
        (node,) = (await get(service, "/api/pool"))[1]["nodes"]
        assert (node["status"], node["resources"]) == ("online", None)
        with pytest.raises(ScanError) as caught:
            await service.scan()
        assert "node.log" in str(caught.value.hint)

    asyncio.run(run())


def test_a_failed_first_scan_is_tried_again_soon(home: Home) -> None:
    async def run() -> None:
        meter = CountingMeter()
        service = service_of(home, ListedScanner(ValueError("once"), FOUND), meter)

        async def found() -> None:
            while service.resources is None:
                await meter.measured.wait()
                meter.measured.clear()

        await watching(service, found)
        assert (await get(service, "/ready"))[1] == {"status": "ready"}
        assert (await get(service, "/api/pool"))[1]["nodes"][0]["status"] == "online"

    asyncio.run(run())


def test_a_later_scan_that_fails_leaves_the_last_one_in_use(home: Home) -> None:
    async def run() -> None:
        service = service_of(home, ListedScanner(FOUND, ValueError("later")))
        await service.scan()
        with pytest.raises(ScanError):
            await service.scan()
        assert service.resources is FOUND
        assert (await get(service, "/ready"))[1] == {"status": "ready"}

    asyncio.run(run())


def test_measuring_that_fails_ends_nothing_and_is_logged_once(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    async def run() -> None:
        meter = CountingMeter(failures=5)
        service = service_of(home, ListedScanner(FOUND), meter)
        await watching(service, meter.measured.wait)

    with caplog.at_level(logging.ERROR):
        asyncio.run(run())
    assert [record.message for record in caplog.records] == [
        "measuring how busy this host is failed"
    ]


def test_the_pool_is_shown_without_a_measurement(home: Home) -> None:
    async def run() -> None:
        service = service_of(home, ListedScanner(FOUND), CountingMeter(failures=9))
        await service.scan()
        (node,) = (await service.pool.picture()).nodes.values()
        assert (node.utilization, node.measured_at) == (None, NOW)

    asyncio.run(run())


def test_a_node_whose_data_directory_is_gone_stops(home: Home) -> None:
    async def run() -> bool:
        service = service_of(home, ListedScanner(OSError("unseen")))
        cast(HeldHome, service.home).held = False
        await asyncio.wait_for(service.watch_host(), 30)
        return service.stopping.is_set()

    assert asyncio.run(run())
