"""How fast this host is: measured when that is due, kept, and shown."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from buildnet.node.benchmark.cpu import cpu_units
from buildnet.node.benchmark.keeping import BenchmarkError, Benchmarks
from buildnet.node.benchmark.storage import storage_speed
from buildnet.pool.advertisement import Profile
from buildnet.pool.benchmark import VERSION, Benchmark
from buildnet.pool.known_host import host_of
from buildnet.pool.resources import CpuResources

SAID = {"cpu_units": 250.0, "read_mib_s": 900.0, "write_mib_s": 300.0, "writes_per_s": 1000.0}
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Host:
    """What a host's benchmark would say, and how often it was asked."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.model = "fast"
        self.is_idle = True
        self.answer = json.dumps(SAID).encode()
        self.runs = 0

    def benchmarks(self) -> Benchmarks:
        host = self

        class Faked(Benchmarks):
            async def _measured(self) -> bytes:
                host.runs += 1
                for _ in range(5):
                    await asyncio.sleep(0)
                return host.answer

        return Faked(
            self.directory / "benchmark.json",
            self.directory,
            lambda: self.model,
            lambda: self.is_idle,
        )


def test_units_are_rounds_a_second_of_processor_time() -> None:
    ticks = count()
    assert cpu_units(slices=2, slice_s=1.0, clock=lambda: next(ticks) * 0.5) == 2.0


def test_a_volume_is_measured_and_nothing_is_left_there(tmp_path: Path) -> None:
    speed = storage_speed(tmp_path)
    assert speed is not None
    assert min(speed.read_mib_s, speed.write_mib_s, speed.writes_per_s) > 0
    assert list(tmp_path.iterdir()) == []
    assert storage_speed(tmp_path / "missing") is None


def test_what_was_measured_is_kept_until_the_processor_is_another_one(tmp_path: Path) -> None:
    host = Host(tmp_path)
    first = host.benchmarks()
    assert first.is_due
    found = asyncio.run(first.run())
    assert (found.cpu_units, found.cpu_model, found.version) == (250.0, "fast", VERSION)
    assert not first.is_due
    again = host.benchmarks()
    assert again.latest == found
    assert not again.is_due
    host.model = "faster"
    assert again.is_due
    (tmp_path / "benchmark.json").write_text("{damaged")
    assert host.benchmarks().latest is None


def test_it_is_measured_once_and_only_while_nothing_else_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildnet.node.benchmark.keeping.LOOK_EVERY_S", 0)
    host = Host(tmp_path)
    host.is_idle = False

    async def work() -> None:
        running = asyncio.create_task(host.benchmarks().run_when_due())
        for _ in range(10):
            await asyncio.sleep(0)
        assert host.runs == 0
        host.is_idle = True
        async with asyncio.timeout(10):
            while not (tmp_path / "benchmark.json").exists():
                await asyncio.sleep(0)
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        assert host.runs == 1
        assert (tmp_path / "benchmark.json").stat().st_mode & 0o777 == 0o600

    asyncio.run(work())


def test_what_is_being_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("buildnet.node.benchmark.keeping.LOOK_EVERY_S", 0)
    host = Host(tmp_path)

    async def work() -> None:
        benchmarks = host.benchmarks()
        asked = asyncio.create_task(benchmarks.run())
        running = asyncio.create_task(benchmarks.run_when_due())
        await asked
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()
        assert host.runs == 1

    asyncio.run(work())


def test_where_no_process_can_be_started_the_node_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*command: str, **more: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(asyncio, "create_subprocess_exec", full)
    benchmarks = Benchmarks(tmp_path / "b.json", tmp_path, lambda: None, lambda: True)
    with pytest.raises(BenchmarkError) as caught:
        asyncio.run(benchmarks.run())
    assert caught.value.cause == "no process can be started: can't start new thread"


def test_what_makes_no_sense_is_not_kept(tmp_path: Path) -> None:
    host = Host(tmp_path)
    asyncio.run((benchmarks := host.benchmarks()).run())
    before = benchmarks.latest
    for answer in (b"", b"{}", b'{"cpu_units": -1}'):
        host.answer = answer
        with pytest.raises(BenchmarkError):
            asyncio.run(benchmarks.run())
    assert benchmarks.latest == before


def test_the_process_measures(tmp_path: Path) -> None:
    real = Benchmarks(tmp_path / "b.json", tmp_path, lambda: None, lambda: True)
    found = asyncio.run(real.run())
    assert found.cpu_units > 0
    assert found.write_mib_s is not None


def test_a_slot_is_as_fast_as_its_share_of_the_cores() -> None:
    cpu = CpuResources(cores=2, logical=2, architecture="x86_64")
    measured = Benchmark(cpu_units=100.0, measured_at=NOW)
    assert measured.units_per_slot(2, cpu) == 100.0
    assert measured.units_per_slot(8, cpu) == 25.0
    assert measured.units_per_slot(8, None) == 100.0
    other = measured.model_copy(update={"version": VERSION + 1})
    assert other.units_per_slot(2, cpu) is None


def test_nodes_of_versions_that_measure_and_do_not_understand_each_other() -> None:
    measured = Benchmark.model_validate({**SAID, "measured_at": NOW})
    profile = Profile(name="a", role="worker", version="9", slots=4, benchmark=measured)
    told = json.loads(profile.model_dump_json())
    assert Profile.decode(json.dumps({**told, "more": 1}).encode()) == profile
    for name in ("slots", "benchmark"):
        del told[name]
    old = host_of(b"k", "id", "a", Profile.decode(json.dumps(told).encode()), None)
    assert (old.slots, old.free, old.speed) == (None, None, None)
    new = host_of(b"k", "id", "a", profile, None)
    assert (new.slots, new.free, new.speed) == (4, 4, 250.0)
