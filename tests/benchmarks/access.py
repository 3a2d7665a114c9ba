"""How fast keys are checked: the first time, again, and with the proof of a bound one.

    uv run python tests/benchmarks/access.py [--seconds 3] [--short] [--json FILE]

One core, by processor time; the pool has a thousand members and ten thousand revoked keys. The goal
is 10,000 checks a second: 100 µs each.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from buildnet.mesh.members.member_list import Member, Rights, Role
from buildnet.mesh.testing import key_number
from buildnet.node.auth.key_credentials import KeyCredentials
from buildnet.node.auth.keys import MOST_KNOWN, Keys
from buildnet.node.auth.proof import Proof, Request
from buildnet.node.auth.register import Register
from buildnet.node.auth.revocations import FOR_EVER_MS
from testbed.figures import Figure, report
from testbed.pool_keys import ADMIN, AGENT, BUILDER, MEMBERS, NOW, asking, claims, token

_MEMBERS, _REVOKED = 1000, 10_000
_A_RUN = 1000
_MANY = 3 * MOST_KNOWN
"""More keys than are remembered, so that each is checked as if it were new."""


Figures = tuple[float, ...]


def keys_of() -> Keys:
    """Return what checks keys in a large pool."""
    others = {
        key: Member(key, f"n{number}", Role.WORKER, Rights.BUILDER, number)
        for number in range(_MEMBERS)
        for key in [key_number(1000 + number).public_key]
    }
    members = replace(MEMBERS, members={**MEMBERS.members, **others})
    register = Register(MEMBERS.cluster_id)
    for number in range(_REVOKED):
        register.revocations.take(f"{number:016x}", FOR_EVER_MS)
    return Keys(lambda: members, lambda: BUILDER.public_key, lambda: register, NOW.timestamp)


def each_us(work: Callable[[int], object], most: int, seconds: float) -> Figures:
    """Return microseconds of processor time that one of a thousand takes, again and again."""
    found, began, count = list[float](), time.process_time(), 0
    while count + _A_RUN <= most and time.process_time() - began < seconds:
        before = time.process_time()
        for number in range(count, count + _A_RUN):
            work(number)
        found.append((time.process_time() - before) / _A_RUN * 1e6)
        count += _A_RUN
    return tuple(found)


def first(seconds: float) -> Figures:
    """Keys that were not seen before."""
    keys = keys_of()
    tokens = [token(id=f"f{number:015x}", rate=1_000_000) for number in range(_MANY)]
    return each_us(lambda number: keys.key(tokens[number]), _MANY, seconds)


def again(seconds: float) -> Figures:
    """A key that is used again and again, as requests bring it: with its rate counted."""
    kind = KeyCredentials(keys_of(), clock=NOW.timestamp, monotonic=lambda: next(ticks))
    ticks = itertools.count(0.0, 1.0)
    connection = asking({"authorization": f"Bearer {token(rate=1_000_000)}"})
    return _requests(lambda number: kind.caller(connection), seconds)


def proved(seconds: float) -> Figures:
    """A key that is bound, each request with a proof of its own."""
    kind = KeyCredentials(keys_of(), clock=NOW.timestamp, monotonic=lambda: next(ticks))
    ticks = itertools.count(0.0, 1.0)
    bound = token(bound=AGENT.public_key.hex(), rate=1_000_000)
    made, request = int(NOW.timestamp()), Request("GET", "/api/pool", claims().id)
    digest = hashlib.sha256(b"").digest()
    connections = [
        asking({"authorization": f"Bearer {bound}", "buildnet-proof": str(proof)})
        for number in range(20_000)
        for proof in [
            Proof.make(request, AGENT.sign, time=made, nonce=f"{number:016d}", body_sha256=digest)
        ]
    ]
    return _requests(lambda number: kind.caller(connections[number]), seconds, 20_000)


def _requests(
    ask: Callable[[int], Coroutine[None, None, object]], seconds: float, most: int = 10_000_000
) -> Figures:
    def work(number: int) -> None:
        asked = ask(number)  # it waits for nothing
        with suppress(StopIteration):
            asked.send(None)

    return each_us(work, most, seconds)


def made(seconds: float) -> Figures:
    """Keys that are made and signed."""
    return each_us(lambda number: token(ADMIN, id=f"{number:016x}"), 10_000_000, seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--short", action="store_true", help="a third of a second each, for CI")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    seconds = 0.3 if arguments.short else arguments.seconds
    figures = [
        Figure("a key that was not seen before", first(seconds), "µs", goal_p50=100.0),
        Figure("a request with a known key", again(seconds), "µs", goal_p50=100.0),
        Figure("a request with a proof", proved(seconds), "µs"),
        Figure("a key is made", made(seconds), "µs"),
    ]
    report("Checking keys: processor time of each", figures, arguments.json)


if __name__ == "__main__":
    main()
