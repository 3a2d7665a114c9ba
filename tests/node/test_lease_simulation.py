"""Two coordinators at once, messages that are lost, late and double, nodes that crash: nothing is
given twice, and nothing stays behind. The long form: ``tests/faults/lease_runs.py``."""

from __future__ import annotations

import math

import pytest

from buildnet.node.capacity import Capacity
from buildnet.node.sharing import lender
from buildnet.pool.leases import Lease, LeaseBook
from testbed.lease_hosts import ViolationError
from testbed.lease_world import Settings, drawn, run

SEEDS = range(1, 11)


def test_nothing_is_over_committed_and_nothing_is_left() -> None:
    granted = 0
    for seed in SEEDS:
        granted += run(drawn(seed), seed).messages["LeaseGiven"]
    assert granted > 20 * len(SEEDS)


def test_a_seed_is_one_run() -> None:
    one, other = (run(Settings(faults_s=20.0), 3) for _ in range(2))
    assert (one.steps, one.messages) == (other.steps, other.messages)
    assert run(Settings(faults_s=20.0), 4).steps != one.steps


def found(settings: Settings | None = None) -> str:
    """Return the first violation of some runs."""
    for seed in SEEDS:
        try:
            run(settings or drawn(seed), seed)
        except ViolationError as error:
            return str(error)
    return "nothing"


def test_it_finds_a_host_that_gives_what_it_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Capacity, "_has_room", lambda self, needed: True)
    assert "slots and 100 bytes gives" in found()


def test_it_finds_room_that_is_not_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: LeaseBook, lease: Lease) -> Lease:
        return self._leases.pop(lease.id)

    monkeypatch.setattr(LeaseBook, "_drop", forget)
    assert "room is kept for no lease" in found()


def test_it_finds_leases_that_do_not_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(self: LeaseBook, now: float) -> list[Lease]:
        return []

    monkeypatch.setattr(LeaseBook, "lapse", none)
    wild = Settings(crash_each_s=2.0, build_each_s=0.5, drain_each_s=1000.0, faults_s=30.0)
    assert found(wild) != "nothing"


def test_it_finds_an_owner_that_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lender, "_TOLD_EVERY_S", math.inf)
    monkeypatch.setattr(lender, "_NEW_OFFICE_S", 0.0)
    assert "slots are lent, all are wanted" in found()
