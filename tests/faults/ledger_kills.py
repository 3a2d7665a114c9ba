"""Kills nodes of a cluster that writes, at random, and whether the ledger keeps its word.

    uv run python tests/faults/ledger_kills.py [--kills 1000] [--seed N] [--keep DIRECTORY]

Three real nodes on this machine; two writers on each, who note every acknowledgement outside. In
the end no acknowledged entry may be lost or moved, no request recorded twice, and all nodes must
hold the same entries, seals and tables, and verify. Some 0.8 s a kill. Processes and timing are
real, so a seed repeats the choices, not the run.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from testbed.ledger_kills import Kills
from testbed.nodes import Cluster


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--keep", type=Path, help="an empty directory, kept, for nodes and notes")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="buildnet-kills-") as temporary:
        directory = arguments.keep or Path(temporary)
        with Cluster(directory, 3) as cluster:
            kills = Kills(cluster, directory, arguments.seed)
            print(kills.run(arguments.kills, lambda line: print(line, flush=True)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
