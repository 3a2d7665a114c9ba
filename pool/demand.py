"""What a build would use of other hosts than its driver's, and what the queue knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

from buildnet.pool.leases import Amount


class Priority(IntEnum):
    """How urgent a build is; the number is its weight."""

    CRITICAL = 100
    HIGH = 50
    NORMAL = 10
    LOW = 1


@dataclass(frozen=True, slots=True)
class Want:
    """Units of one class: ``count`` times ``amount``, each on one of ``owners``.

    ``owners``: keys of who can give such a unit, the best first; ``at_least``: the build can use no
    fewer; 0: it takes what there is. Of all wants that say so nothing is granted before all of them
    can have their least.
    """

    amount: Amount
    count: int
    owners: tuple[bytes, ...]
    at_least: int = 0


@dataclass(frozen=True, slots=True)
class Orders:
    """What people said of a build. Its driver keeps it, so that it outlives the coordinator.

    ``paused``: it starts no command; ``place``: among those of its actor it is served in this
    order, before those that have none (0); ``ahead``: among all builds.
    """

    priority: Priority = Priority.NORMAL
    paused: bool = False
    place: int = 0
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class HowFar:
    """How far a build is, for people.

    ``asked_ms``: when it was asked for, in milliseconds since 1970 by its driver's clock;
    ``running``: commands that run, on so many ``hosts``; ``left_ms``: how long the commands that
    are left take one after the other, by what was measured before; ``ends_ms``: in how long
    it ends, or once it has slots; None: not known; ``waits_for``: what it waits for besides room,
    in words.
    """

    workspace: str = ""
    asked_ms: int = 0
    running: int = 0
    hosts: int = 0
    left_ms: int | None = None
    ends_ms: int | None = None
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class Demand:
    """What a build would use besides its own node.

    ``driver``: key of the node that drives it; ``units``: what its commands need, by class; a lease
    counts for the first class that it fits, so the choosiest come first.
    """

    build: str
    driver: bytes
    actor: str
    units: tuple[Want, ...]
    orders: Orders = field(default_factory=Orders)
    how_far: HowFar = field(default_factory=HowFar)
