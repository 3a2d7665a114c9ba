"""Nodes of a pool as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from buildnet.pool.resources import (
    CpuResources,
    Gpu,
    MemoryResources,
    NetworkInterface,
    NodeResources,
    OperatingSystem,
    Program,
    StorageVolume,
    Utilization,
)
from buildnet.pool.view import NodeState

NOW = datetime(2026, 11, 20, 21, 0, 0, tzinfo=UTC)
ANNA = "a1" * 32
BERT = "b2" * 32


def node(node_id: str = ANNA, name: str = "anna", cores: int = 8) -> NodeState:
    return NodeState(
        id=node_id,
        name=name,
        status="online",
        role="worker",
        address="http://10.0.0.1:80",
        measured_at=NOW - timedelta(seconds=12.34),
        latency_ms=1.5,
        version="0.1.0",
        cores_in_use=3,
        actions_running=2,
        resources=NodeResources(
            system=OperatingSystem(name="linux"),
            cpu=CpuResources(cores=cores, logical=16, model="AMD EPYC", architecture="x86_64"),
            memory=MemoryResources(total_bytes=1000, available_bytes=250, installed_bytes=2000),
            storage=(
                StorageVolume(
                    path="/",
                    mount_point="/",
                    total_bytes=400,
                    available_bytes=100,
                    storage_class="nvme",
                    file_system="ext4",
                ),
            ),
            tools=(
                Program(name="git", version="2.39.5", path="/usr/bin/git", capabilities=("lfs",)),
                Program(name="ffmpeg", path="/usr/bin/ffmpeg", problem="was ended by SIGSEGV"),
            ),
            runtimes=(
                Program(name="python", version="3.12.1", path="/usr/bin/python3.12"),
                Program(name="python", version="3.11.2", path="/usr/bin/python3"),
            ),
            network=(NetworkInterface(name="eth0", addresses=("10.0.0.1",), up=True),),
            gpus=(Gpu(name="Tesla T4"),),
            scanned_at=NOW - timedelta(minutes=1),
        ),
        utilization=Utilization(cpu_percent=12.5, memory_percent=75.0, measured_at=NOW),
    )
