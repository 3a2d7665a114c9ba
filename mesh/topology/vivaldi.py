"""Vivaldi: places in an imagined space whose distances are round trips.

Dabek, Cox, Kaashoek, Morris, "Vivaldi: A Decentralized Network Coordinate System" (2004), with a
height for the access link, and the constants and the drift to the origin of HashiCorp's serf
(Ledlie, Gardner, Seltzer, "Network Coordinates in the Wild", 2007).
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Annotated

from buildnet.mesh.wire import Limit, Wire

DIMENSIONS = 4
_ERROR_SHARE = 0.25
_MOVE_SHARE = 0.25
_MAX_ERROR = 1.5
_MIN_HEIGHT_S = 10e-6
_TINY_S = 1e-6
_GRAVITY_S = 150.0
_MAX_MICROSECONDS = 10_000_000


@dataclass(frozen=True, slots=True)
class Position(Wire):
    """Body of the topic "position": a coordinate in microseconds, its error in thousandths."""

    vector: Annotated[
        tuple[Annotated[int, Limit(-_MAX_MICROSECONDS, _MAX_MICROSECONDS)], ...],
        Limit(DIMENSIONS, DIMENSIONS),
    ]
    height: Annotated[int, Limit(0, _MAX_MICROSECONDS)]
    error: Annotated[int, Limit(0, 10_000)]


@dataclass(frozen=True, slots=True)
class Coordinate:
    """A place: ``vector`` and ``height`` in seconds; ``error`` is relative, 1.5 at first."""

    vector: tuple[float, ...] = (0.0,) * DIMENSIONS
    height: float = _MIN_HEIGHT_S
    error: float = _MAX_ERROR

    @classmethod
    def of(cls, position: Position) -> Coordinate:
        """Read what somebody advertised."""
        return cls(
            tuple(value / 1e6 for value in position.vector),
            max(_MIN_HEIGHT_S, position.height / 1e6),
            min(_MAX_ERROR, max(0.001, position.error / 1000)),
        )

    def as_position(self) -> Position:
        """Return what to advertise."""
        return Position(
            tuple(_bounded(value) for value in self.vector),
            _bounded(self.height),
            round(self.error * 1000),
        )

    def distance_s(self, other: Coordinate) -> float:
        """Return the estimated round trip between two nodes."""
        return math.dist(self.vector, other.vector) + self.height + other.height

    def moved_s(self, other: Coordinate) -> float:
        """Return how far one place is from another one of the same node."""
        return math.dist(self.vector, other.vector) + abs(self.height - other.height)

    def pulled(self, other: Coordinate, round_trip_s: float, lots: random.Random) -> Coordinate:
        """Return the place after a round trip to ``other`` was measured."""
        round_trip_s = max(round_trip_s, _TINY_S)
        distance = self.distance_s(other)
        weight = self.error / max(_TINY_S, self.error + other.error)
        wrong = abs(distance - round_trip_s) / round_trip_s
        share = _ERROR_SHARE * weight
        error = min(_MAX_ERROR, wrong * share + self.error * (1 - share))
        force = _MOVE_SHARE * weight * (round_trip_s - distance)
        apart = math.dist(self.vector, other.vector)
        if apart > _TINY_S:
            unit = [(a - b) / apart for a, b in zip(self.vector, other.vector, strict=True)]
            height = max(_MIN_HEIGHT_S, self.height + (self.height + other.height) * force / apart)
        else:  # at the same place any direction leads apart
            lot = [lots.uniform(-1, 1) for _ in self.vector]
            length = max(_TINY_S, math.hypot(*lot))
            unit, height = [value / length for value in lot], self.height
        vector = tuple(
            value + direction * force for value, direction in zip(self.vector, unit, strict=True)
        )
        return Coordinate(_towards_origin(vector), min(height, _MAX_MICROSECONDS / 1e6), error)


def _towards_origin(vector: tuple[float, ...]) -> tuple[float, ...]:
    """Let the whole cluster not drift away."""
    far = math.hypot(*vector)
    if far < _TINY_S:
        return vector
    pull = min(1.0, (far / _GRAVITY_S) ** 2 / far)
    return tuple(value * (1 - pull) for value in vector)


def _bounded(seconds: float) -> int:
    return max(-_MAX_MICROSECONDS, min(_MAX_MICROSECONDS, round(seconds * 1e6)))
