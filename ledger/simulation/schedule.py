"""Which faults of ledgers a run gets, and when; see the mesh's schedule."""

from __future__ import annotations

import random
from collections.abc import Callable

from buildnet.ledger.simulation.faults import (
    FalseHistory,
    Garbage,
    LastSeal,
    OldImage,
    Rot,
    TwoKeys,
)
from buildnet.ledger.simulation.forgetting import ForgottenVote
from buildnet.ledger.simulation.lies import KINDS_OF_LIES
from buildnet.ledger.simulation.recovery import Recovery
from buildnet.mesh.simulation.course import SETTLE_S
from buildnet.mesh.simulation.faults import Fault
from buildnet.mesh.simulation.wishes import Rotate


def early(when: float) -> float:
    """Return a time of the first third instead: what begins then has time to do harm."""
    return when - 2 * max(0.0, when - SETTLE_S) / 3


Draw = Callable[[random.Random, int, float, float], Fault]

LEDGER_KINDS: dict[str, Draw] = {
    "old-image": lambda r, n, t, over: OldImage(
        t, min(10 ** r.uniform(-1, 1), max(over - t, 0.01)), r.randrange(n), r.random() < 0.5
    ),
    "two-keys": lambda r, n, t, over: TwoKeys(
        t, 0.0, r.randrange(n), tuple(r.sample(range(n), r.randint(1, n)))
    ),
    "last-seal": lambda r, n, t, over: LastSeal(t, min(r.uniform(1, 6), max(over - t, 0.01))),
    "garbage": lambda r, n, t, over: Garbage(t, 0.0, r.randrange(n), r.randrange(KINDS_OF_LIES)),
    "rot": lambda r, n, t, over: Rot(t, 0.0, r.randrange(n), r.randint(1, 20)),
    "rotate": lambda r, n, t, over: Rotate(t, 0.0, r.randrange(n)),
    "recover": lambda r, n, t, over: Recovery(
        t, max(over - t, 1.0), r.uniform(0.2, 0.7), r.random() < 0.5
    ),
    "forgotten-vote": lambda r, n, t, over: ForgottenVote(
        early(t), over - early(t), r.uniform(0.6, 0.85)
    ),
    "false-history": lambda r, n, t, over: FalseHistory(
        t, min(r.uniform(0.2, 2), max(over - t, 0.01))
    ),
}
"""Draws one fault: randomness, number of hosts, when it begins, when all must be over."""

_ONCE = {"recover", "rotate", "forgotten-vote"}
"""Kinds of which one a run is enough."""


def draw_ledger_faults(
    random: random.Random, kinds: tuple[str, ...], *, nodes: int, begin: float, over: float
) -> list[Fault]:
    """Return the ledger's faults of one run; most runs have some kinds of them only."""
    faults: list[Fault] = []
    for kind in kinds:
        if kind in LEDGER_KINDS and random.random() < (0.2 if kind in _ONCE else 0.4):
            for _ in range(1 if kind in _ONCE else random.randint(1, 3)):
                when = random.uniform(begin, over)
                faults.append(LEDGER_KINDS[kind](random, nodes, when, over))
    return faults
