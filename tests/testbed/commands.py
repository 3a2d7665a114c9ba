"""The ``buildnet`` command in processes that are forked: a start costs milliseconds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from buildnet.cli.testing import TIMEOUT_S, Answer, CommandLine
from testbed.fork_server import COMMAND, NO_PROGRAMS, can_fork, shared_server
from testbed.namespaces import Host


class ForkedCommandLine(CommandLine):
    """The ``buildnet`` command with a data directory of its own, on ``host`` if there is one.

    ``bare``: its nodes find no tools, as :class:`testbed.nodes.Node` has it; commands of builds
    find what the system has. Commands, and nodes that they start detached, are forked; see
    :mod:`testbed.fork_server`.
    """

    def __init__(self, home: Path, host: Host | None = None, *, bare: bool = False) -> None:
        super().__init__(home, host.prefix if host else ())
        if bare:
            self.environment["PATH"] = NO_PROGRAMS
        self._network = host.namespace if host else None

    def run(self, arguments: tuple[str, ...], cwd: Path, environment: dict[str, str]) -> Answer:
        """Run a command to its end."""
        if not can_fork(environment):
            return super().run(arguments, cwd, environment)
        said = [os.memfd_create(name) for name in ("stdout", "stderr")]
        try:
            process = shared_server().launch(
                COMMAND,
                arguments,
                environment=environment,
                descriptors={1: said[0], 2: said[1]},
                cwd=cwd,
                network=self._network,
                nodes_too=True,
            )
            try:
                code = process.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            out, err = (os.pread(each, os.fstat(each).st_size, 0).decode() for each in said)
        finally:
            for each in said:
                os.close(each)
        return Answer(code, out, err)
