from __future__ import annotations

import asyncio
from collections import namedtuple
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from buildnet.node.scan.utilization import UtilizationMeter
from buildnet.pool.resources import StorageVolume

NOW = datetime(2026, 11, 20, tzinfo=UTC)
Times = namedtuple("Times", "user system idle iowait guest guest_nice")


def volume(path: str, kind: str = "ssd") -> StorageVolume:
    return StorageVolume.model_validate(
        {"path": path, "mount_point": path, "storage_class": kind, "file_system": "ext4"}
    )


def test_the_first_measurement_knows_no_cpu_use() -> None:
    meter = UtilizationMeter()
    found = asyncio.run(meter.utilization(NOW))
    assert found.cpu_percent is None
    assert found.memory_percent is not None
    assert 0 < found.memory_percent <= 100
    assert found.load_average is not None
    assert found.measured_at == NOW


def test_cpu_use_is_that_since_the_last_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter(
        [Times(10, 5, 80, 5, 4, 1), Times(13, 6, 95, 6, 6, 2), Times(13, 6, 95, 6, 6, 2)]
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(moments))
    meter = UtilizationMeter()
    assert meter.measure(NOW).cpu_percent is None
    # Guests' time is part of user's: 20 passed in all less 3 counted twice, 16 of them idle.
    assert meter.measure(NOW).cpu_percent == pytest.approx(20.0)
    assert meter.measure(NOW).cpu_percent is None


def test_disks_that_answer_at_once(tmp_path: Path) -> None:
    volumes = [volume(str(tmp_path)), volume("/server", "network"), volume("/does/not/exist")]
    (disk,) = UtilizationMeter().measure(NOW, volumes).disks
    assert disk.path == str(tmp_path)
    assert 0 <= disk.used_percent <= 100
