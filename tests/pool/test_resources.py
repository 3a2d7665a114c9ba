from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from buildnet.pool.resources import (
    CpuResources,
    MemoryResources,
    NodeResources,
    OperatingSystem,
    Program,
    StorageVolume,
    Utilization,
)

# Scripts read these names: more may come, none of these goes.
GOLDEN_FIELDS = {
    "": {
        *("system", "cpu", "memory", "storage", "tools", "runtimes", "network", "gpus"),
        *("scanned_at", "scan_duration_ms"),
    },
    "cpu": {
        *("cores", "logical", "physical", "model", "architecture", "frequency_mhz"),
        *("features", "limits"),
    },
    "memory": {
        *("total_bytes", "available_bytes", "installed_bytes", "memory_type", "speed_mts"),
        "limits",
    },
    "storage": {
        *("path", "mount_point", "total_bytes", "available_bytes", "storage_class"),
        *("file_system", "device", "purpose", "max_bytes", "problem"),
    },
    "tools": {"name", "version", "path", "capabilities", "problem"},
    "runtimes": {"name", "version", "path", "capabilities", "problem"},
}


def resources() -> NodeResources:
    return NodeResources(
        system=OperatingSystem(name="linux"),
        cpu=CpuResources(cores=2, logical=4, architecture="x86_64"),
        memory=MemoryResources(total_bytes=8, available_bytes=4, installed_bytes=16),
        storage=(StorageVolume(path="/", mount_point="/", file_system="ext4"),),
        tools=(Program(name="git", version="2.39.5", path="/usr/bin/git"),),
        runtimes=(Program(name="python", version="3.11.2", path="/usr/bin/python3"),),
        scanned_at=datetime(2026, 11, 20, 21, 0, tzinfo=UTC),
    )


@pytest.mark.parametrize("section", GOLDEN_FIELDS)
def test_field_names(section: str) -> None:
    data = resources().model_dump(mode="json")
    found = data[section] if section else data
    assert set(found[0] if isinstance(found, list) else found) == GOLDEN_FIELDS[section]


def test_unknown_is_null() -> None:
    data = resources().model_dump(mode="json")
    assert data["cpu"]["physical"] is None
    assert data["memory"]["memory_type"] is None
    assert data["storage"][0]["total_bytes"] is None
    assert data["storage"][0]["storage_class"] == "unknown"
    assert data["scanned_at"] == "2026-11-20T21:00:00Z"


def test_models_cannot_be_changed_and_refuse_strange_fields() -> None:
    with pytest.raises(ValidationError):
        resources().cpu.cores = 64
    with pytest.raises(ValidationError):
        Program.model_validate({"name": "git", "path": "/usr/bin/git", "colour": "red"})


def test_utilization_of_a_host_not_yet_measured_is_null() -> None:
    found = Utilization(measured_at=datetime(2026, 11, 20, tzinfo=UTC)).model_dump(mode="json")
    assert found == {
        "cpu_percent": None,
        "memory_percent": None,
        "load_average": None,
        "disks": [],
        "measured_at": "2026-11-20T00:00:00Z",
    }
