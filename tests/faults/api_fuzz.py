"""Ask a node's whole API for anything, for long; an answer that is a server's error ends it with 1.

    uv run python tests/faults/api_fuzz.py [--examples 300] [--seed 1] [--url URL --key KEY]

Without ``--url`` a node of this process is asked, by an admin; its data directory is thrown away.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from testbed.api_fuzz import Fuzzing, fuzz
from testbed.api_node import api_node


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--examples", type=int, default=300, help="of each operation")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--url", help="of a node to ask, such as http://127.0.0.1:8080")
    parser.add_argument("--key", default="admin", help="whose rights to ask with")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    how = Fuzzing(arguments.examples, arguments.seed)
    with tempfile.TemporaryDirectory(prefix="buildnet-fuzz-") as name:
        if arguments.url:
            found = fuzz(arguments.url, arguments.key, how, Path(name))
        else:
            with api_node(Path(name) / "home") as node:
                found = fuzz(node.url, arguments.key, how, Path(name))
    print(found or "no answer was an error of the server")
    return 0 if found is None else 1


if __name__ == "__main__":
    sys.exit(main())
