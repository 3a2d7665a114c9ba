from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from buildnet.node.config import (
    CpuLimitSettings,
    MemoryLimitSettings,
    NodeConfig,
    ResourceLimits,
    ToolOverride,
)
from buildnet.node.scan.catalogue import ProgramRow
from buildnet.node.scan.scanner import Scanner
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import NodeResources

NOW = datetime(2026, 11, 20, 21, 0, tzinfo=UTC)


def program(directory: Path, name: str, body: str) -> Path:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def scanner(tmp_path: Path) -> Scanner:
    program(tmp_path, "good", "echo good 1.2.3")
    program(tmp_path, "hangs", "exec sleep 1000")
    program(tmp_path, "floods", "yes")
    program(tmp_path, "crashes", "kill -ABRT $$")
    names = ("good", "hangs", "floods", "crashes", "absent")
    rows = [ProgramRow(name, (name,), timeout_s=0.5 if name == "hangs" else 60) for name in names]
    program(tmp_path, "engine", "echo engine 4.5")
    return Scanner(
        search_path=f"{tmp_path}:/usr/bin:/bin",
        tools=rows,
        runtimes=[ProgramRow("engine", ("engine",))],
    )


def scan(scanner: Scanner, config: NodeConfig | None = None) -> NodeResources:
    return asyncio.run(scanner.scan(config or NodeConfig(), NOW))


def test_broken_tools_neither_hang_nor_fail_the_scan(scanner: Scanner) -> None:
    found = scan(scanner)
    assert [(one.name, one.version, one.problem) for one in found.tools] == [
        ("good", "1.2.3", None),
        ("hangs", None, "did not answer within 0.5 s"),
        ("floods", None, "printed more than 256 KiB"),
        ("crashes", None, "was ended by SIGABRT"),
    ]
    assert [(one.name, one.version) for one in found.runtimes] == [("engine", "4.5")]
    assert found.scanned_at == NOW


def test_a_scan_is_json_and_back(scanner: Scanner) -> None:
    found = scan(scanner)
    assert NodeResources.model_validate_json(found.model_dump_json()) == found


def test_the_owners_limits_and_overrides_hold(scanner: Scanner, tmp_path: Path) -> None:
    limits = ResourceLimits(
        cpu=CpuLimitSettings(max_cores=1), memory=MemoryLimitSettings(max_gb=0.25)
    )
    other = program(tmp_path, "other", "echo other 9.0")
    overrides = {
        "hangs": ToolOverride(enabled=False),
        "floods": ToolOverride(enabled=False),
        "crashes": ToolOverride(enabled=False),
        "good": ToolOverride(path=other),
        "engine": ToolOverride(enabled=False),
    }
    # The names are this test's own, which a configuration file could not name.
    config = NodeConfig.model_construct(resource_limits=limits, tool_overrides=overrides)
    found = scan(scanner, config)
    assert found.cpu.cores == 1
    assert found.memory.total_bytes == GIB // 4
    assert found.memory.available_bytes <= GIB // 4
    assert [(one.name, one.path) for one in found.tools] == [("good", str(other))]
    assert found.runtimes == ()


def test_cancelling_a_scan_ends_its_probes(tmp_path: Path) -> None:
    started = tmp_path / "started"
    os.mkfifo(started)
    program(tmp_path, "hangs", f"echo $$ > {started}; sleep 1000")
    row = ProgramRow("hangs", ("hangs",), timeout_s=1000)
    scanner = Scanner(search_path=f"{tmp_path}:/usr/bin:/bin", tools=[row], runtimes=[])

    async def run() -> int:
        task = asyncio.create_task(scanner.scan(NodeConfig(), NOW))
        pid = int(await asyncio.to_thread(started.read_text))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return pid

    pid = asyncio.run(run())
    if psutil.pid_exists(pid):
        _, alive = psutil.wait_procs([psutil.Process(pid)], timeout=60)
        assert not alive


def test_this_host_with_the_whole_tables() -> None:
    found = asyncio.run(Scanner().scan(NodeConfig(), NOW))
    assert 1 <= found.cpu.cores <= found.cpu.logical
    assert 0 < found.memory.available_bytes <= found.memory.total_bytes
    assert "/" in [one.mount_point for one in found.storage]
    assert [one for one in found.runtimes if one.name == "python" and one.version]
    for one in (*found.tools, *found.runtimes):
        assert Path(one.path).is_file()
        assert (one.version is None) == (one.problem is not None)
