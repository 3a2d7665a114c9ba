"""A node as a process of its own: ``python -m buildnet.node DESCRIPTOR OPTIONS``.

``OPTIONS`` is a JSON object of :class:`buildnet.node.daemon.StartOptions`. Whoever starts it reads
one JSON line from the pipe DESCRIPTOR: ``{"ready": …}`` or ``{"error": …, "exit_code": …}``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path

from buildnet.mesh.errors import BuildNetError
from buildnet.node.failure import in_one_line
from buildnet.node.log import configure_logging

_log = logging.getLogger("buildnet.node")


class _Starter:
    """Whoever started this process and waits for one line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def tell(self, answer: dict[str, object]) -> None:
        """Tell it how the start went; only the first time counts."""
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        # Somebody who went away meanwhile is no reason to end.
        with contextlib.suppress(BrokenPipeError):
            os.write(descriptor, json.dumps(answer).encode() + b"\n")
        os.close(descriptor)

    def tell_error(self, error: BuildNetError) -> None:
        """Tell it that there is no node."""
        self.tell({"error": error.as_dict(), "exit_code": error.exit_code})


def main(arguments: list[str]) -> int:
    """Run a node until it is stopped; return the exit code."""
    starter = _Starter(int(arguments[0]))
    given = json.loads(arguments[1])
    home = Path(given["home"])
    try:
        _run(given, home, starter)
    except BuildNetError as error:
        _log.error("%s", " ".join(filter(None, (error.message, error.cause))))
        starter.tell_error(error)
        return error.exit_code
    except Exception as error:
        if not logging.getLogger().handlers:  # it did not get as far as to its log
            with contextlib.suppress(OSError):
                configure_logging(level="info", form="auto", file=home / "node.log")
        _log.exception("the node ended by an error that it does not know")
        starter.tell_error(
            BuildNetError(
                "the node could not start",
                cause=in_one_line(error),
                hint=f"its log has the details; please report it: {home / 'node.log'}",
            )
        )
        return 1
    return 0


def _run(given: dict[str, str | None], home: Path, starter: _Starter) -> None:
    # Here, so that what can't be imported is told like everything else.
    from buildnet.node.daemon import StartOptions, run

    options = StartOptions(
        home=home,
        config=Path(given["config"]) if given["config"] else None,
        listen=given["listen"],
        name=given["name"],
        role=given["role"],
        any_port=bool(given["any_port"]),
        log_format=given["log_format"],
        log_file=home / "node.log",
    )
    run(options, lambda runtime: starter.tell({"ready": asdict(runtime)}))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
