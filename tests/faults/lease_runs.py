"""Runs the simulated pool that lends, seed after seed; see ``testbed.lease_world``.

    uv run python tests/faults/lease_runs.py [--runs 5000] [--seed 1] [--processes 2]

Each seed draws how many nodes there are and how badly things go. What must not happen is printed
with its seed; ``--seed N --runs 1`` is the same run again. The exit code is 1 if anything was.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor

from testbed.lease_hosts import ViolationError
from testbed.lease_world import drawn, run


def one(seed: int) -> tuple[int, Counter[str], str | None]:
    """Run one seed; return its steps, messages, and what must not have happened."""
    try:
        world = run(drawn(seed), seed)
    except ViolationError as error:
        return 0, Counter(), str(error)
    return world.steps, world.messages, None


def main() -> int:
    """Run them all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2)
    chosen = parser.parse_args()
    began, steps, wrong = time.monotonic(), 0, 0
    messages: Counter[str] = Counter()
    seeds = range(chosen.seed, chosen.seed + chosen.runs)
    with ProcessPoolExecutor(chosen.processes) as processes:
        for took, said, problem in processes.map(one, seeds, chunksize=10):
            steps += took
            messages += said
            if problem is not None:
                wrong += 1
                print(problem, flush=True)
    print(
        f"{len(seeds)} runs, {steps} events, {messages.total()} messages, "
        f"{messages['LeaseGiven']} leases, {wrong} violations "
        f"in {time.monotonic() - began:.0f} s"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
