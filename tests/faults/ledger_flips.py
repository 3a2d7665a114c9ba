"""Flips bits of a running cluster's ledger file, one at a time, at random.

    uv run python tests/faults/ledger_flips.py [--flips 200] [--seed N]

Three real nodes on this machine. What the one with the damaged file serves must be what the others
hold, and it must come to hold and verify all again. Each byte of a store without a node over it is
tried by ``tests/ledger/test_store_damage.py``.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from testbed.ledger_flips import Flips
from testbed.nodes import Cluster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--flips", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-flips-") as directory,
        Cluster(Path(directory), 3) as cluster,
    ):
        flips = Flips(cluster, arguments.seed)
        while flips.outcomes.total() < arguments.flips:
            print(dict(flips.run(10)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
