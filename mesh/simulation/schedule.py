"""Which faults a run gets, and when: drawn from its seed.

A run draws from some of the kinds only (swarm testing, Groce et al. 2012): runs in which everything
happens at once find less than runs that each overdo a few things.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from buildnet.mesh.errors import UsageError
from buildnet.mesh.simulation.faults import (
    ClockJump,
    Clog,
    CoordinatorStops,
    Crash,
    Cut,
    Delay,
    Drop,
    Duplicate,
    Fault,
    Loss,
    Outage,
    Partition,
    Pause,
    SlowDisk,
    Unreachable,
)
from buildnet.mesh.simulation.wishes import Join, Leave, LoseVoters, Promote, Revoke
from buildnet.mesh.suggest import did_you_mean

Draw = Callable[[random.Random, int, float, float], Fault]
"""Draws one fault: randomness, number of hosts, when it begins, when all must be over."""

_BETWEEN_FAULTS_S = 0.8


def _lasting(random: random.Random, start: float, over: float, most: float) -> float:
    """Draw how long: short ones as often as long ones, none beyond ``over``."""
    return min(float(most ** random.uniform(-1, 1)), max(over - start, 0.0))


def _some(random: random.Random, nodes: int) -> tuple[int, ...]:
    """Draw a part of the hosts, one at least and not all."""
    return tuple(sorted(random.sample(range(nodes), random.randint(1, max(1, nodes - 1)))))


def _two(random: random.Random, nodes: int) -> tuple[int, int]:
    one, other = random.sample(range(nodes), 2)
    return one, other


_KINDS: dict[str, Draw] = {
    "partition": lambda r, n, t, over: Partition(t, _lasting(r, t, over, 10), _some(r, n)),
    "one-way": lambda r, n, t, over: Partition(
        t, _lasting(r, t, over, 10), _some(r, n), one_way=True
    ),
    "isolate": lambda r, n, t, over: Partition(t, _lasting(r, t, over, 10), (r.randrange(n),)),
    "cut": lambda r, n, t, over: Cut(t, _lasting(r, t, over, 10), *_two(r, n)),
    "drop": lambda r, n, t, over: Drop(t, 0.0, *_two(r, n)),
    "delay": lambda r, n, t, over: Delay(
        t, _lasting(r, t, over, 6), r.randrange(n), 10 ** r.uniform(-2, 0)
    ),
    "loss": lambda r, n, t, over: Loss(
        t, _lasting(r, t, over, 6), r.randrange(n), r.uniform(0.01, 0.3)
    ),
    "clog": lambda r, n, t, over: Clog(
        t, _lasting(r, t, over, 6), r.randrange(n), 10 ** r.uniform(2.5, 4.5)
    ),
    "duplicate": lambda r, n, t, over: Duplicate(
        t, _lasting(r, t, over, 6), 10 ** r.uniform(-2, -0.3)
    ),
    "clock": lambda r, n, t, over: ClockJump(
        t,
        _lasting(r, t, over, 10),
        r.randrange(n),
        r.choice((-1, 1)) * 10 ** r.uniform(-1, 4),
    ),
    "stall": lambda r, n, t, over: Pause(
        t, min(10 ** r.uniform(-2, 0), max(over - t, 0.0)), r.randrange(n)
    ),
    "freeze": lambda r, n, t, over: Pause(t, _lasting(r, t, over, 10), r.randrange(n)),
    "crash": lambda r, n, t, over: Crash(t, _lasting(r, t, over, 6), r.randrange(n)),
    "dark": lambda r, n, t, over: Crash(t, _lasting(r, t, over, 10), r.randrange(n), dark=True),
    "outage": lambda r, n, t, over: (
        Outage(
            t, _lasting(r, t, over, 3), tuple(r.sample(range(n), r.randint(2, n))), r.random() < 0.3
        )
        if n > 1
        else Crash(t, _lasting(r, t, over, 3), 0)
    ),
    "disk": lambda r, n, t, over: SlowDisk(
        t, _lasting(r, t, over, 10), r.randrange(n), 10 ** r.uniform(1, 3)
    ),
    "kill-coordinator": lambda r, n, t, over: CoordinatorStops(
        t, _lasting(r, t, over, 6), frozen=False
    ),
    "freeze-coordinator": lambda r, n, t, over: CoordinatorStops(
        t, _lasting(r, t, over, 6), frozen=True
    ),
    "nat": lambda r, n, t, over: Unreachable(0.0, over, r.randrange(n)),
    "promote": lambda r, n, t, over: Promote(t, 0.0, r.randrange(n)),
    "join": lambda r, n, t, over: Join(t, 0.0, r.randrange(n)),
    "leave": lambda r, n, t, over: Leave(t, 0.0, r.randrange(n)),
    "revoke": lambda r, n, t, over: Revoke(t, 0.0, r.randrange(n)),
    "voters": lambda r, n, t, over: LoseVoters(t, 0.0),
}

_ONCE = {"nat", "join", "leave", "revoke", "voters"}
"""Kinds of which one a run is enough."""

_APART = {"join", "voters"}
"""A newcomer may know nobody but one who is lost for good."""

KINDS: tuple[str, ...] = tuple(_KINDS)
"""The names of all kinds of faults."""


def chosen_kinds(names: Iterable[str]) -> tuple[str, ...]:
    """Return the kinds that a person named; ``all`` stands for all of them.

    Raises:
        UsageError: there is no such kind.
    """
    kinds: list[str] = []
    for name in names:
        if name == "all":
            kinds += KINDS
        elif name in _KINDS:
            kinds.append(name)
        elif name != "none":
            raise UsageError(
                f"there is no fault called {name!r}",
                hint=did_you_mean(name, KINDS) or f"there are: {', '.join(KINDS)}",
            )
    return tuple(dict.fromkeys(kinds))


def draw_faults(
    random: random.Random, kinds: tuple[str, ...], *, nodes: int, begin: float, over: float
) -> list[Fault]:
    """Return the faults of one run between ``begin`` and ``over`` (virtual seconds), by time."""
    if not kinds or over <= begin:
        return []
    possible = [kind for kind in kinds if nodes > 1 or kind in ("stall", "freeze", "crash", "disk")]
    share = random.choice((0.15, 0.4, 0.8))
    used = [kind for kind in possible if random.random() < share] or [random.choice(possible)]
    faults: list[Fault] = []
    pace = random.choice((0.5, 1.0, 3.0)) * _BETWEEN_FAULTS_S
    when = begin + random.expovariate(1 / pace)
    while when < over and used:
        kind = random.choice(used)
        if kind in _ONCE:
            used = [other for other in used if other != kind and {kind, other} != _APART]
        faults.append(_KINDS[kind](random, nodes, when, over))
        when += random.expovariate(1 / pace)
    return sorted(faults, key=lambda fault: fault.start)
