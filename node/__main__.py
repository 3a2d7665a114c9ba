"""A node as a process of its own: ``python -m buildnet.node DESCRIPTOR OPTIONS``.

``OPTIONS`` is a JSON object of :class:`buildnet.node.daemon.StartOptions`. Whoever starts it reads
one JSON line from the pipe DESCRIPTOR: ``{"ready": …}`` or ``{"error": …, "exit_code": …}``.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.daemon import StartOptions, run


def main(arguments: list[str]) -> int:
    """Run a node until it is stopped; return the exit code."""
    descriptor, text = int(arguments[0]), arguments[1]
    given = json.loads(text)
    home = Path(given["home"])
    options = StartOptions(
        home=home,
        config=Path(given["config"]) if given["config"] else None,
        listen=given["listen"],
        name=given["name"],
        any_port=given["any_port"],
        log_format=given["log_format"],
        log_file=home / "node.log",
    )

    starter = os.fdopen(descriptor, "w", encoding="utf-8")

    def tell(answer: dict[str, object]) -> None:
        with starter:
            starter.write(json.dumps(answer) + "\n")

    try:
        run(options, lambda runtime: tell({"ready": asdict(runtime)}))
    except BuildNetError as error:
        if not starter.closed:
            tell({"error": error.as_dict(), "exit_code": error.exit_code})
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
