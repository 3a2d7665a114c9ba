"""Lifeguard: suspicions that wait for confirmation, and the health of ourselves."""

from __future__ import annotations

import pytest

from buildnet.mesh.membership.suspicion import Health, Suspicion, suspicion_bounds


def test_the_wait_shrinks_with_each_new_accuser_to_its_least() -> None:
    suspicion = Suspicion(b"a", 100.0, least=4.0, most=24.0, needed=2)
    assert suspicion.deadline == 124.0
    assert not suspicion.confirm(b"a")
    assert suspicion.confirm(b"b")
    assert suspicion.deadline == pytest.approx(100 + 24 - 20 * 0.6309, abs=0.01)
    assert suspicion.confirm(b"c")
    assert suspicion.deadline == 104.0
    assert not suspicion.confirm(b"d")
    assert suspicion.deadline == 104.0


def test_nobody_to_confirm_means_the_shortest_wait() -> None:
    assert Suspicion(b"a", 0.0, least=4.0, most=24.0, needed=0).deadline == 4.0


def test_stronger_evidence_and_own_absence_move_the_end() -> None:
    suspicion = Suspicion(b"a", 0.0, least=4.0, most=24.0, needed=1)
    suspicion.tighten(least=0.5, most=3.0)
    assert suspicion.deadline == 3.0
    suspicion.stretch(10.0)
    assert suspicion.deadline == 13.0
    suspicion.confirm(b"b")
    assert suspicion.deadline == 10.5


def test_bounds_grow_with_the_logarithm_of_the_members() -> None:
    assert suspicion_bounds(3, 1.0) == (4.0, 24.0)
    assert suspicion_bounds(100, 1.0) == (8.0, 48.0)


def test_health_stays_between_one_and_eight() -> None:
    health = Health()
    health.better()
    assert health.factor == 1
    health.worse(3)
    assert health.factor == 4
    health.worse(30)
    assert health.factor == 8
    health.better()
    assert health.factor == 7
