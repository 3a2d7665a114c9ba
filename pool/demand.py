"""What a build would use of other hosts than its driver's."""

from __future__ import annotations

from dataclasses import dataclass
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
class Demand:
    """What a build would use besides its own node.

    ``driver``: key of the node that drives it; ``units``: what its commands need, by class; a lease
    counts for the first class that it fits, so the choosiest come first; ``work_ms``: what is left
    to do, in milliseconds of one slot, 0: unknown.
    """

    build: str
    driver: bytes
    actor: str
    priority: Priority
    units: tuple[Want, ...]
    work_ms: int = 0
