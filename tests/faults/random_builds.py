"""Edits random workspaces at random and builds them; each build must equal a clean one.

    uv run python tests/faults/random_builds.py [--edits 10000] [--seed N] [--edits-each 150]
        [--replay FILE] [--keep DIR]

One real node for each workspace, over its API. Files are written in place and anew, dated back,
renamed, linked, deleted, held open and changed through memory; directories are moved over each
other; git switches branches; definitions, hooks, manifests, lock files, ignore files, variables and
outputs change, also while a build runs, which may be cancelled; results and blobs are evicted and
damaged; the node is killed and restarted. Every third workspace lies on a file system that dates
files in whole seconds, where it can be mounted. What must come of a build is worked out from the
disk alone (``testbed.workspaces_model``), and of every tenth workspace a copy is built by a node
that knows nothing. Wrong is an output that differs, a hit of what never ran, or a file changed that
is no output. What was run or restored without need is counted as waste.

Of a workspace that went wrong the shortest list of edits that still fails is printed and written to
``failed-SEED.json``, to be run again with ``--replay``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from testbed.coarse_files import coarse_files
from testbed.forked_nodes import ForkServer
from testbed.workspaces_edits import Edit
from testbed.workspaces_run import World, WrongError, replay, shortest

SHRINK_S = 300.0
COARSE_EACH = 3


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edits", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--edits-each", type=int, default=150, help="in one workspace")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="a failed-SEED.json")
    parser.add_argument("--keep", type=Path, default=Path(), metavar="DIR", help="for failures")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was mounted and started is ended
    with (
        tempfile.TemporaryDirectory(prefix="buildnet-random-") as name,
        coarse_files(Path(name)) as coarse,
        ForkServer() as server,
    ):
        places = Places(Path(name) / "world", coarse)
        if coarse is None:
            print("no file system with coarse dates here: only root can mount one", flush=True)
        if arguments.replay is not None:
            failed = json.loads(arguments.replay.read_text())
            wrong = replay(
                places.directory,
                server,
                failed["seed"],
                failed["done"],
                places.of(failed["seed"]),
            )
            print(wrong or "nothing was wrong")
            return wrong is not None
        return _run(arguments, places, server)


@dataclass(frozen=True, slots=True)
class Places:
    """Where worlds are made."""

    directory: Path
    coarse: Path | None

    def of(self, seed: int) -> Path | None:
        """Return where the workspace of a seed lies, if not in the directory."""
        if self.coarse is None or seed % COARSE_EACH:
            return None
        return self.coarse / "world"


def _run(arguments: argparse.Namespace, places: Places, server: ForkServer) -> int:
    total: Counter[str] = Counter()
    failures = 0
    began = time.monotonic()
    seed = arguments.seed
    print(f"seed {seed}", flush=True)
    while total["edits"] < arguments.edits:
        place = places.of(seed)
        for left in (places.directory, place):
            if left is not None:
                shutil.rmtree(left, ignore_errors=True)
        with World(places.directory, server, seed, place) as world:
            try:
                world.run(min(arguments.edits_each, arguments.edits - total["edits"]))
                if seed % 10 == 0:
                    world.check_clean()
            except WrongError as error:
                failures += 1
                print(f"WRONG: {error}", flush=True)
                wrong = str(error)
            else:
                wrong = ""
        total += world.counts
        if wrong:
            _shrink(arguments.keep, places, server, seed, world.done)
        seconds = time.monotonic() - began
        print(
            f"{total['edits']} edits, {total['builds']} builds, {failures} wrong, "
            f"{total['edits'] / seconds:.1f} edits/s (next seed {seed + 1})",
            flush=True,
        )
        seed += 1
    for name, count in sorted(total.items()):
        print(f"{count:8} {name}")
    return min(failures, 1)


def _shrink(keep: Path, places: Places, server: ForkServer, seed: int, done: list[Edit]) -> None:
    last: list[str] = []

    def fails(edits: list[Edit]) -> bool:
        wrong = replay(places.directory, server, seed, edits, places.of(seed))
        last[:] = [wrong] if wrong else last
        return wrong is not None

    file = keep / f"failed-{seed}.json"
    found = shortest(fails, done, time.monotonic() + SHRINK_S) if fails(done) else done
    if not last:
        print("the same edits again did not fail: it depends on the moment", flush=True)
    file.write_text(json.dumps({"seed": seed, "done": found}, ensure_ascii=False))
    for edit in found:
        print("   ", json.dumps(edit, ensure_ascii=False)[:300])
    print(f"{len(found)} of {len(done)} steps: {last}\nagain: --replay {file}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
