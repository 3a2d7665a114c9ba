"""Kills processes that work with a store, and whether what they left is whole.

    uv run python tests/faults/store_kills.py [--kills 1000] [--seed N]

First right before each step of some work that does everything once, then at random moments of
several threads that put, look up, collect, verify and damage. Some 0.1 s a kill. Processes and
timing are real, so a seed repeats the choices, not the run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from testbed.store_kills import StoreKills, kill_at_each_step


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--directory", type=Path, help="where to work; kept if something is wrong")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="buildnet-store-", dir=arguments.directory) as name:
        (Path(name) / "steps").mkdir()
        steps = kill_at_each_step(Path(name) / "steps")
        print(f"killed before each of {steps} steps", flush=True)
        began = time.monotonic()
        kills = StoreKills(Path(name), arguments.seed)
        kills.run(arguments.kills)
        seconds = time.monotonic() - began
        print(f"{arguments.kills} kills in {seconds:.0f} s, {kills.results_found} results found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
