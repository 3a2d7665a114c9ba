"""Recorded builds, made up for tests and benchmarks."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from buildnet.pool.recorded import RecordedBuild
from buildnet.pool.timeline import (
    EXECUTION,
    LOOKUP,
    QUEUE,
    RESTORE,
    STAGING,
    UPLOAD,
    Part,
    Timeline,
)

START_NS = 1_700_000_000_000_000_000


def task_of(
    name: str,
    at_ms: float,
    parts: Mapping[str, float],
    *,
    needs: Sequence[str] = (),
    **more: Any,
) -> dict[str, Any]:
    """Return a task's record: parts one after the other from ``at_ms`` after the start on, each
    with its milliseconds. None of them: nothing was measured."""
    placed: list[Part] = []
    end_us = 0
    for part, took_ms in parts.items():
        placed.append(Part(part, end_us, round(took_ms * 1000)))
        end_us = placed[-1].end_us
    ran = EXECUTION in parts
    timeline = Timeline(START_NS + round(at_ms * 1e6), tuple(placed))
    return {
        "name": name,
        "task": "build",
        "status": "succeeded",
        "tier": "full" if ran else "local-cache" if RESTORE in parts else "instant-skip",
        "isolation": "strict",
        "node": "f" * 16,
        "node_name": None,
        "action": "a" * 64,
        "reasons": ["not built here before"] if ran else [],
        "changes": [],
        "nearest": None,
        "timeline": timeline.as_dict() if parts else None,
        "executed_ms": parts.get(EXECUTION, 100.0),
        "depends_on": list(needs),
        "all_files": False,
        **more,
    }


def build_of(*tasks: dict[str, Any], **more: Any) -> RecordedBuild:
    """Return a build of tasks' records."""
    return RecordedBuild.from_dict(
        {
            "build_id": "b" * 24,
            "workspace": "shop",
            "status": "succeeded",
            "started_at": START_NS / 1e9,
            "duration_ms": 1000.0,
            "packages": list(tasks),
            "phases": {"prepare_ms": 1.0, "plan_ms": 0.5, "rehearse_ms": None, "perform_ms": 990.0},
            **more,
        }
    )


def large_build(count: int, seed: int = 1) -> RecordedBuild:
    """Return a build of so many tasks on eight nodes of four slots; each needs up to three before
    it, and a third of them came from a cache."""
    made = random.Random(seed)
    ends: dict[str, float] = {}
    slots = [0.0] * 32
    tasks: list[dict[str, Any]] = []
    for number in range(count):
        earlier = range(max(0, number - 200), number)
        needs = [
            f"package-{each}" for each in made.sample(earlier, min(number, made.randint(0, 3)))
        ]
        ready = max((ends[name] for name in needs), default=0.0)
        name = f"package-{number}"
        if made.random() < 1 / 3:
            parts = {LOOKUP: made.uniform(0.2, 2.0), RESTORE: made.uniform(0.2, 5.0)}
            node = 0
            begin = ready
        else:
            slot = min(range(32), key=lambda each: slots[each])
            begin = max(ready, slots[slot] - 5.0)
            parts = {
                LOOKUP: made.uniform(0.2, 2.0),
                QUEUE: max(3.0, slots[slot] - begin),
                STAGING: made.uniform(0.5, 3.0),
                EXECUTION: made.uniform(5.0, 400.0),
                UPLOAD: made.uniform(0.5, 3.0),
            }
            node = slot // 4
            slots[slot] = begin + sum(parts.values())
        ends[name] = begin + sum(parts.values()) + 0.1
        named = None if node == 0 else f"host-{node}"
        tasks.append(task_of(name, begin, parts, needs=needs, node=f"{node:016x}", node_name=named))
    return build_of(*tasks)
