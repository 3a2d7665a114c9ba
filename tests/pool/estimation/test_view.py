"""A forecast as JSON: the names that scripts rely on, and nothing that was not measured."""

from __future__ import annotations

import pytest

from buildnet.pool.estimation.accuracy import error_of, summed_up
from buildnet.pool.estimation.forecast import Forecaster
from buildnet.pool.estimation.learning import learn_runs
from buildnet.pool.estimation.memory import WorkspaceMemory
from buildnet.pool.estimation.piece import Fate, Piece
from buildnet.pool.estimation.sample import Sample
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.estimation.view import in_full, in_short, level_of

HOSTS = [SimulatedHost(1, 1.0, "anna"), SimulatedHost(1, 2.0, "bert")]
PIECES = [
    Piece("core#build", "build", (), Fate.RUN, may_move=True),
    Piece("app#build", "build", (0,), Fate.UNKNOWN),
    Piece("docs#build", "build", (), Fate.RESTORE),
    Piece("all#build", "build", (1, 2), Fate.UNKNOWN, has_command=False),
]


def memory() -> WorkspaceMemory:
    found = WorkspaceMemory()
    for _ in range(6):
        learn_runs(found, {"core#build": Sample(800.0, 200.0, 1600.0)})
        learn_runs(found, {"app#build": Sample(500.0, 0.0)})
    found.transfer_ms += [100.0, 100.0]
    return found


def test_a_range_tells_no_hours_beside_seconds() -> None:
    """Runs of very different length make it ten times the middle wide, either way, at most."""
    found = WorkspaceMemory()
    for took_ms in (40.0, 60_000.0, 900.0, 250_000.0, 300.0, 20_000.0):
        learn_runs(found, {"core#build": Sample(took_ms, 0.0)})
    found.common += [3.0, -3.0, 4.0]
    found.ranks += [10.0] * 10
    told = in_full(Forecaster(found, PIECES[:1], HOSTS).ahead(1), 0)
    low, high = told["interval_ms"]
    middle = told["estimated_ms"]
    assert (low, high) == (pytest.approx(middle / 10, abs=1), pytest.approx(middle * 10, abs=10))
    (core,) = told["packages"]
    assert core["estimated_ms"] / 10.1 < core["interval_ms"][0]
    assert core["interval_ms"][1] < core["estimated_ms"] * 10.1


def test_it_has_the_names_of_the_distributed_plan_and_what_they_mean_was_measured() -> None:
    told = in_full(Forecaster(memory(), PIECES, HOSTS).ahead(1), 7)
    assert list(told) == [
        *("estimated_ms", "interval_ms", "confidence", "confidence_level"),
        *("parallelization_factor", "network_overhead_ms", "work_ms", "critical_path_ms"),
        *("unchanged", "packages"),
    ]
    low, high = told["interval_ms"]
    assert low < told["estimated_ms"] < high
    core, app, docs, everything = told["packages"]
    assert core["factors"] == {
        "cpu_factor": 0.5,  # of a host that is twice as fast
        "memory_factor": None,
        "storage_factor": 1.25,
        "parallel_speedup": 2.0,
    }
    assert (core["name"], core["task"], core["plan"], core["node"]) == (
        *("core", "build", "run", "bert"),
    )
    assert (core["estimated_ms"], core["begins_ms"], core["ends_ms"]) == (500, 0, 500)
    assert core["interval_ms"][0] < 500 < core["interval_ms"][1]
    assert core["measured"] == 6
    assert (app["plan"], app["node"], app["begins_ms"]) == ("depends", "anna", 500)
    assert (docs["plan"], docs["node"], docs["factors"]) == ("restore", None, None)
    assert everything["plan"] == "nothing"
    assert told["network_overhead_ms"] == 100
    assert told["unchanged"] == 7


def test_where_nothing_ever_ran_nothing_is_told() -> None:
    forecast = Forecaster(WorkspaceMemory(), PIECES, HOSTS[:1]).ahead(1)
    assert in_short(forecast) is None
    told = in_full(forecast, 0)
    assert told["estimated_ms"] is told["interval_ms"] is told["network_overhead_ms"] is None
    assert told["parallelization_factor"] is told["work_ms"] is None
    assert (told["confidence"], told["confidence_level"]) == (0.0, "low")
    assert told["packages"][0]["estimated_ms"] is told["packages"][0]["factors"] is None


def test_nothing_to_do_takes_no_time_and_that_is_sure() -> None:
    told = in_full(Forecaster(WorkspaceMemory(), [], HOSTS[:1]).ahead(1), 4)
    assert told["estimated_ms"] == 0
    assert told["interval_ms"] == [0, 0]
    assert told["confidence_level"] == "high"


def test_what_passed_already_counts() -> None:
    forecast = Forecaster(memory(), PIECES[:1], HOSTS[:1]).ahead(1)
    told, later = in_short(forecast), in_short(forecast, 5000.0)
    assert told is not None
    assert later is not None
    assert later["estimated_ms"] == told["estimated_ms"] + 5000
    assert later["confidence"] == told["confidence"]


def test_words_for_how_sure_it_is() -> None:
    assert [level_of(each) for each in (0.81, 0.8, 0.51, 0.5)] == [
        "high",
        "medium",
        "medium",
        "low",
    ]


def test_how_good_estimates_were_is_summed_up() -> None:
    estimate = {"estimated_ms": 90, "interval_ms": [80, 105]}
    assert error_of(estimate, 100.0) == 0.1
    assert error_of(None, 100.0) is error_of(estimate, None) is None
    assert summed_up([(estimate, 100.0), (estimate, 120.0), (estimate, 60.0)]) == {
        "builds": 3,
        "median_error": 0.25,
        "within_interval": 0.333,
    }
    assert summed_up([])["median_error"] is None
