"""Measures this host in a process of its own, at the lowest priority: prints one line of JSON.

    python -m buildnet.node.benchmark DIRECTORY

``DIRECTORY`` lies on the volume that is measured. It ends early once nobody holds the other end of
its standard input: the node that started it is gone.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from buildnet.node.benchmark.cpu import cpu_units
from buildnet.node.benchmark.storage import storage_speed

NICENESS = 19


def main() -> None:
    """Measure, and print what was found."""
    threading.Thread(target=_end_with_node, daemon=True).start()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    found: dict[str, float] = {"cpu_units": cpu_units()}
    speed = storage_speed(Path(sys.argv[1]))
    if speed is not None:
        found |= asdict(speed)
    print(json.dumps(found))


def _end_with_node() -> None:
    if not sys.stdin.isatty():
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)


if __name__ == "__main__":
    main()
