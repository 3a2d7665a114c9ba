"""What is learned from runs and builds, and what is foretold with it."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.estimation.forecast import Forecast, Forecaster
from buildnet.pool.estimation.learning import MOST_TASKS, Lesson, learn_build, learn_runs
from buildnet.pool.estimation.memory import MOST_KEPT, WorkspaceMemory
from buildnet.pool.estimation.piece import Ended, Fate, Piece
from buildnet.pool.estimation.sample import MOST_SAMPLES, Sample, TaskMemory
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.estimation.spread import fit

ONE = [SimulatedHost(1)]


def ran(memory: WorkspaceMemory, name: str, *took_ms: float, size: int = 0) -> None:
    for each in took_ms:
        learn_runs(memory, {name: Sample(each, 0.0, 0.0, size)})


def usually(memory: WorkspaceMemory, name: str, size: int = 0) -> float:
    """Return what a task is expected to take."""
    return memory.expected([(name, "build", size)])[0].whole.median_ms


def ahead(memory: WorkspaceMemory, *pieces: Piece, slots: int = 1) -> Forecast:
    return Forecaster(memory, pieces, [SimulatedHost(slots)]).ahead(7)


def run(name: str, *needs: int, fate: Fate = Fate.RUN) -> Piece:
    return Piece(f"{name}#build", "build", needs, fate)


@given(st.lists(st.floats(0.01, 1e7), min_size=1, max_size=MOST_SAMPLES))
def test_what_is_expected_lies_between_what_was_measured(took_ms: list[float]) -> None:
    found = fit(took_ms)
    assert min(took_ms) * 0.99 <= max(found.median_ms, 0.05)
    assert found.median_ms <= max(*took_ms, 0.05) * 1.01
    assert found.sigma > 0


def test_one_stalled_run_is_not_believed_and_two_new_ones_are() -> None:
    steady = [100.0, 102.0, 98.0, 101.0, 99.0, 100.0]
    assert fit([*steady, 5000.0]).median_ms == pytest.approx(100, rel=0.05)
    assert fit([*steady, 300.0, 310.0]).median_ms > 250  # the command was changed


def test_the_size_counts_only_once_it_has_proved_itself() -> None:
    memory = WorkspaceMemory()
    sizes = [1000, 4000, 2000, 8000, 3000, 6000]
    for size in sizes:
        ran(memory, "a#build", 0.1 * size, size=size)
        ran(memory, "b#build", 300.0 + size % 7, size=size)
    assert usually(memory, "a#build", 5000) == pytest.approx(500, rel=0.1)
    assert usually(memory, "b#build", 50000) == pytest.approx(300, rel=0.1)
    few = WorkspaceMemory()
    for size in sizes[:4]:
        ran(few, "a#build", 0.1 * size, size=size)
    told = usually(few, "a#build", 5000)
    assert told == usually(few, "a#build", 1000)


def test_what_never_ran_is_told_from_what_is_like_it_and_with_little_confidence() -> None:
    memory = WorkspaceMemory()
    assert not ahead(memory, run("new")).is_measured
    ran(memory, "a#build", 100.0, 100.0)
    ran(memory, "b#build", 200.0, 200.0)
    ran(memory, "c#build", 400.0, 400.0)
    ran(memory, "a#test", 9000.0)
    strange = ahead(memory, run("new"))
    assert strange.is_measured
    assert usually(memory, "new#build") == pytest.approx(200)
    known = ahead(memory, run("a"))
    assert strange.confidence == 0.0
    assert known.confidence > 0.6
    assert strange.high_ms / strange.low_ms > 2 * known.high_ms / known.low_ms


def test_a_chain_takes_its_sum_and_slots_share_the_rest() -> None:
    memory = WorkspaceMemory()
    for name in "abcd":
        ran(memory, f"{name}#build", *[1000.0] * 8)
    chain = ahead(memory, run("a"), run("b", 0, fate=Fate.UNKNOWN), run("c", 1))
    assert chain.middle_ms == pytest.approx(3000, rel=0.1)
    wide = ahead(memory, *map(run, "abcd"), slots=2)
    assert wide.middle_ms == pytest.approx(2000, rel=0.1)
    assert wide.parallelization == pytest.approx(2.0, rel=0.05)
    assert wide.work_ms == pytest.approx(4000, rel=0.05)


def test_what_runs_already_is_expected_to_end_and_not_to_begin_anew() -> None:
    memory = WorkspaceMemory()
    ran(memory, "a#build", *[1000.0, 1100.0, 950.0] * 3)
    left = [
        ahead(memory, Piece("a#build", "build", running_ms=since)).commands_end_ms
        for since in (0.0, 500.0, 900.0)
    ]
    assert left[0] == pytest.approx(1000, rel=0.1)
    assert left[1] == pytest.approx(500, rel=0.2)
    assert 0 < left[2] < 300
    overdue = ahead(memory, Piece("a#build", "build", running_ms=60_000.0))
    assert 0 < overdue.commands_end_ms < 60_000


def build_of(
    memory: WorkspaceMemory, pieces: list[Piece], ended: list[Ended], besides_ms: float
) -> Forecast:
    """Foresee a build, let it go as is said, and learn of it."""
    forecaster = Forecaster(memory, pieces, ONE)
    forecast = forecaster.ahead(1)
    took_ms = forecaster.as_it_was(ended) + besides_ms
    learn_build(memory, Lesson(forecaster, forecast, ended, took_ms))
    return forecast


def test_what_depends_on_a_change_and_stands_all_the_same_is_expected_to_stand() -> None:
    memory = WorkspaceMemory()
    ran(memory, "core#build", *[100.0] * 5)
    ran(memory, "app#build", *[1000.0] * 5)
    pieces = [run("core"), run("app", 0, fate=Fate.UNKNOWN)]
    before = ahead(memory, *pieces)
    assert before.middle_ms > 1000
    assert before.pieces[1].chance > 0.9
    for _ in range(12):  # its outputs never changed
        build_of(memory, pieces, [Ended(True, 100.0), Ended(False, 0.0)], 5.0)
    after = ahead(memory, *pieces)
    assert after.pieces[1].chance < 0.4
    assert after.middle_ms < 300


def test_what_builds_take_besides_grows_with_their_tasks() -> None:
    memory = WorkspaceMemory()
    ran(memory, "a#build", *[100.0] * 5)
    for count in (2, 10, 30, 5, 20, 2):
        pieces = [run("a") for _ in range(count)]
        build_of(memory, pieces, [Ended(True, 100.0)] * count, 20.0 + 3.0 * count)
    assert memory.overhead_of(50).median_ms == pytest.approx(170, rel=0.1)
    assert memory.overhead_of(1).median_ms == pytest.approx(23, rel=0.2)


def test_the_range_is_made_to_hold_four_fifths_of_the_builds() -> None:
    chance = random.Random(5)
    memory, held, errors = WorkspaceMemory(), [], []
    true = {f"p{number}": chance.lognormvariate(6, 1) for number in range(12)}
    for number in range(120):
        some = sorted(chance.sample(sorted(true), chance.randrange(1, 8)))
        pieces = [run(name) for name in some]
        load = chance.gauss(0.0, 0.15)  # of the machine, on all commands of a build
        took = {name: true[name] * math.exp(load + chance.gauss(0, 0.1)) for name in some}
        ended = [Ended(True, took[name]) for name in some]
        forecast = build_of(memory, pieces, ended, 10.0)
        took_ms = sum(took.values()) + 10.0
        learn_runs(memory, {f"{name}#build": Sample(took[name], 0.0) for name in some})
        if number >= 20:
            errors.append(abs(forecast.middle_ms - took_ms) / took_ms)
            held.append(forecast.low_ms <= took_ms <= forecast.high_ms)
    assert sorted(errors)[len(errors) // 2] < 0.15
    assert 0.68 <= sum(held) / len(held) <= 0.92


def test_a_forecast_is_the_same_for_the_same_seed() -> None:
    memory = WorkspaceMemory()
    ran(memory, "a#build", 100.0, 150.0)
    first = Forecaster(memory, [run("a")], ONE)
    assert first.ahead(3) == Forecaster(memory, [run("a")], ONE).ahead(3)
    assert first.ahead(3).middle_ms != first.ahead(4).middle_ms


def test_what_is_kept_is_bounded_and_comes_back_as_it_was() -> None:
    memory = WorkspaceMemory()
    pieces = [run("a"), run("b", 0, fate=Fate.UNKNOWN)]
    for number in range(2 * MOST_SAMPLES):
        ran(memory, "a#build", 100.0 + number, size=1000 + number)
        build_of(memory, pieces, [Ended(True, 90.0), Ended(False, 4.0)], 5.0)
    assert len(memory.tasks["a#build"].samples) == MOST_SAMPLES
    assert len(memory.overhead) == len(memory.ranks) == len(memory.finding_ms) == MOST_KEPT
    read = WorkspaceMemory.read(json.loads(json.dumps(memory.as_dict())))
    for name, each in memory.tasks.items():
        read.tasks[name] = TaskMemory.read(json.loads(json.dumps(each.as_dict())))
    assert ahead(read, *pieces).middle_ms == pytest.approx(ahead(memory, *pieces).middle_ms, 0.01)
    learn_runs(memory, {f"{number}#build": Sample(1.0, 0.0) for number in range(MOST_TASKS + 5)})
    assert len(memory.tasks) == MOST_TASKS
    assert "a#build" not in memory.tasks


@pytest.mark.parametrize(
    "kept", [None, [], {"samples": 3}, {"samples": [[1, 2]]}, {"samples": [[-1, 0, 0, 0]]}]
)
def test_what_can_be_no_memory_is_not_taken_for_one(kept: object) -> None:
    with pytest.raises(ValueError, match="no "):
        TaskMemory.read(kept)
    assert usually(WorkspaceMemory.told({"a#build": 50.0}), "a#build") == pytest.approx(50)
