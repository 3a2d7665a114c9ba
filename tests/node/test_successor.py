"""A build that another node began is ended here as it would have been there."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.node.definition_files import DefinitionFiles
from buildnet.node.durable import guard
from buildnet.node.durable.stored_plan import StoredPlan
from buildnet.node.durable.successor import Inheritance, Successor
from buildnet.node.execute.isolation import Isolation
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.sources import outputs_excluded
from buildnet.node.workspaces import Definition
from buildnet.pool.build import Status
from buildnet.pool.choice import AS_THE_NODE_HAS_IT
from buildnet.pool.warrant import Warrant
from buildnet.pool.workspace import Workspace

WARRANT = Warrant(b"d" * 32, bytes(16))
PLAN = StoredPlan(
    build_id="b1",
    driver="d" * 16,
    workspace="w",
    root="/w",
    actor="ann",
    started_at=0.0,
    task="build",
    packages=(),
    keep_going=False,
    choice=replace(AS_THE_NODE_HAS_IT, timeout_s=0.01),
    isolation="strict",
    outputs=(),
    environment={},
    platform={},
    tools={},
    words={},
    tasks=(),
    sources=(),
    given=(),
    durations_ms=(),
    install=None,
)


async def until_cancelled(_: Successor, build: RunningBuild, inherited: Inheritance) -> Status:
    """Perform a build as if its command never ended."""
    async with asyncio.timeout(10):
        await build.cancelled.wait()
    return Status.CANCELLED


async def nothing(*_: object) -> None:
    """Record nothing."""


def successor_that(
    show: Callable[[Coroutine[None, None, None]], None],
    scratch: Path,
    end: Callable[..., Coroutine[None, None, None]] = nothing,
) -> Successor:
    """Return a successor that gives what performs a build to ``show``, and its end to ``end``."""
    nobody: Any = SimpleNamespace()
    builder: Any = SimpleNamespace(
        workshop=SimpleNamespace(keys=SimpleNamespace(current=SimpleNamespace(node_id="me"))),
        books=SimpleNamespace(begin=nothing, end_of_other=end),
        show=lambda build, coroutine: show(coroutine),
    )
    return Successor(builder, nobody, nobody, lambda record: None, scratch)


@pytest.mark.parametrize(("timeout_s", "ran_s"), [(0.01, None), (3600.0, 3600.0)])
def test_a_build_that_takes_too_long_is_ended_where_it_goes_on_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout_s: float, ran_s: float | None
) -> None:
    monkeypatch.setattr(Successor, "_performed", until_cancelled)
    nobody: Any = SimpleNamespace()
    reports: list[dict[str, Any]] = []
    performing: list[Coroutine[None, None, None]] = []
    successor = successor_that(performing.append, tmp_path)

    async def on_end(report: bytes) -> None:
        reports.append(json.loads(report))

    async def run() -> None:
        choice = replace(PLAN.choice, timeout_s=timeout_s)
        plan = replace(PLAN, choice=choice)
        build = successor.take_over(Inheritance(plan, nobody, 1, WARRANT, "driver", nobody, on_end))
        if ran_s is not None:
            build.limited_since = time.monotonic() - ran_s
        await performing.pop()

    asyncio.run(run())
    assert [each["status"] for each in reports] == ["cancelled"]
    assert f"ended after {timeout_s:g} s" in reports[0]["error"]


def test_how_long_a_build_took_counts_from_when_it_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def succeed(_: Successor, build: RunningBuild, inherited: Inheritance) -> Status:
        return Status.SUCCEEDED

    monkeypatch.setattr(Successor, "_performed", succeed)
    nobody: Any = SimpleNamespace()
    reports: list[dict[str, Any]] = []
    performing: list[Coroutine[None, None, None]] = []
    recorded: list[float] = []

    async def end_of_other(_: object, status: Status, took_ms: float, *__: object) -> None:
        recorded.append(took_ms)

    async def on_end(report: bytes) -> None:
        reports.append(json.loads(report))

    successor = successor_that(performing.append, tmp_path, end_of_other)

    async def run(started_at: float) -> RunningBuild:
        plan = replace(PLAN, choice=AS_THE_NODE_HAS_IT, started_at=started_at)
        build = successor.take_over(Inheritance(plan, nobody, 1, WARRANT, "driver", nobody, on_end))
        await performing.pop()
        return build

    build = asyncio.run(run(time.time() - 60))
    assert build.outcome is not None
    for took_ms in (recorded[0], reports[0]["duration_ms"], build.outcome["duration_ms"]):
        assert took_ms == pytest.approx(60_000, abs=30_000)
    asyncio.run(run(time.time() + 3600))  # the driver's clock was fast
    assert 0 <= recorded[1] <= 30_000


def test_what_was_asked_for_is_asked_for_where_it_goes_on(tmp_path: Path) -> None:
    nobody: Any = SimpleNamespace()
    workspace = Workspace("w", tmp_path, None, {})
    request = BuildRequest(tmp_path, retries=3, times=2)
    definition = Definition(workspace, outputs_excluded(()), (), DefinitionFiles(workspace), True)
    asked = RunningBuild("b1", definition, request, 0.0, "d" * 16, WARRANT)
    job: Any = SimpleNamespace(
        workspace=workspace, isolation=Isolation("strict"), durations_ms={}, tasks={}
    )
    capture: Any = SimpleNamespace(sources={}, given=[])
    sent = guard._stored(asked, job, (), capture, nobody).encode()

    async def run() -> RunningBuild:
        inherited = Inheritance(
            StoredPlan.decode(sent), nobody, 1, WARRANT, "driver", nobody, nothing
        )
        return successor_that(Coroutine.close, tmp_path).take_over(inherited)

    taken = asyncio.run(run()).request
    assert (taken.packages, taken.retries, taken.times) == ((), 3, 2)
