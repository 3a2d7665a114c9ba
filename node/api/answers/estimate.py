"""How long a build would take; null: it was not measured."""

from __future__ import annotations

from typing import Literal

from buildnet.node.api.answers.answer import Answer
from buildnet.node.api.answers.builds import Choice
from buildnet.node.api.answers.reports import ToldError


class TaskFactors(Answer):
    """What makes a command take longer or shorter where it would run."""

    cpu_factor: float | None
    memory_factor: float | None
    storage_factor: float | None
    parallel_speedup: float | None


class TaskEstimate(Answer):
    """One task: whether it runs, where, and from when to when, counted from the build's begin."""

    name: str
    task: str
    plan: Literal["nothing", "run", "restore", "depends"]
    chance: float
    estimated_ms: int | None
    interval_ms: tuple[int, int] | None
    measured: int
    node: str | None
    begins_ms: int | None
    ends_ms: int | None
    factors: TaskFactors | None


class TaskProblem(ToldError):
    """Why a task could not be looked at."""

    name: str
    task: str


class BuildEstimate(Answer):
    """How long a build would take; ``unchanged``: so many tasks need nothing."""

    workspace: str
    task: str
    choice: Choice | None
    estimated_ms: int | None
    interval_ms: tuple[int, int] | None
    confidence: float
    confidence_level: Literal["low", "medium", "high"]
    parallelization_factor: float | None
    network_overhead_ms: int | None
    work_ms: int | None
    critical_path_ms: int | None
    unchanged: int
    packages: list[TaskEstimate]
    problems: list[TaskProblem]
