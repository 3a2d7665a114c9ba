"""Vivaldi: coordinates find distances, and stay finite whatever they are told."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildnet.mesh.topology.vivaldi import DIMENSIONS, Coordinate, Position
from buildnet.mesh.wire import WireError

MICROSECONDS = st.integers(-10_000_000, 10_000_000)


def test_a_step_goes_towards_the_measured_distance() -> None:
    lots = random.Random(1)
    here = Coordinate((0.01, 0.0, 0.0, 0.0), 0.001, 1.0)
    there = Coordinate((0.03, 0.0, 0.0, 0.0), 0.001, 1.0)
    assert here.distance_s(there) == pytest.approx(0.022)
    nearer = here.pulled(there, 0.010, lots)
    assert 0.010 < nearer.distance_s(there) < 0.022
    farther = here.pulled(there, 0.050, lots)
    assert 0.022 < farther.distance_s(there) < 0.050
    assert here.pulled(there, 0.022, lots).error < here.error


def test_who_is_sure_hardly_moves_for_who_is_not() -> None:
    lots = random.Random(1)
    here = Coordinate((0.01, 0.0, 0.0, 0.0), 0.001, 0.01)
    there = Coordinate((0.03, 0.0, 0.0, 0.0), 0.001, 1.5)
    assert here.pulled(there, 0.1, lots).moved_s(here) < 0.001


def test_two_at_one_place_come_apart() -> None:
    moved = Coordinate().pulled(Coordinate(), 0.05, random.Random(1))
    assert math.hypot(*moved.vector) > 0.001


def test_a_position_travels() -> None:
    coordinate = Coordinate((0.01, -0.02, 0.0, 0.5), 0.003, 0.25)
    assert Coordinate.of(Position.decode(coordinate.as_position().encode())) == coordinate
    with pytest.raises(WireError):
        Position.from_array([[0, 0, 0], 1, 1])
    with pytest.raises(WireError):
        Position.from_array([[0, 0, 0, 10**12], 1, 1])


@given(
    st.lists(
        st.tuples(
            st.tuples(*[MICROSECONDS] * DIMENSIONS),
            st.integers(0, 10_000_000),
            st.integers(0, 10_000),
            st.floats(0, 60),
        ),
        max_size=30,
    )
)
def test_no_peer_can_push_a_coordinate_out_of_its_bounds(
    told: list[tuple[tuple[int, ...], int, int, float]],
) -> None:
    coordinate, lots = Coordinate(), random.Random(1)
    for vector, height, error, seconds in told:
        other = Coordinate.of(Position(vector, height, error))
        coordinate = coordinate.pulled(other, seconds, lots)
    assert all(math.isfinite(value) for value in (*coordinate.vector, coordinate.height))
    assert 0 <= coordinate.error <= 1.5
    Position.decode(coordinate.as_position().encode())


def test_a_field_of_nodes_is_estimated_well() -> None:
    lots = random.Random(7)
    places = [(lots.uniform(0, 0.08), lots.uniform(0, 0.08)) for _ in range(20)]

    def round_trip(one: int, other: int) -> float:
        return 0.002 + math.dist(places[one], places[other])

    coordinates = [Coordinate() for _ in places]
    for _ in range(400):
        for one in range(20):
            other = lots.choice([place for place in range(20) if place != one])
            measured = round_trip(one, other) * lots.uniform(1.0, 1.1)
            coordinates[one] = coordinates[one].pulled(coordinates[other], measured, lots)
    errors = sorted(
        abs(coordinates[one].distance_s(coordinates[other]) - round_trip(one, other))
        / round_trip(one, other)
        for one in range(20)
        for other in range(one)
    )
    assert errors[len(errors) // 2] < 0.1
    assert errors[len(errors) * 9 // 10] < 0.3
