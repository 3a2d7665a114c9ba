"""Real nodes whose start costs little: each one's process is forked from one that has loaded all.

For tests that start nodes hundreds of times: most of a start is to load modules. What runs after
the fork is what ``python -m buildnet.node`` runs.

    with ForkServer() as server, Cluster(directory, 3, make=partial(ForkedNode, server)) as cluster:
        ...
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed.nodes import Node, Process

_ENDED = 0
_PR_SET_PDEATHSIG = 1
_MAX_BYTES = 1 << 16


class ForkServer:
    """The process that nodes are forked from, while the context is open."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "testbed.forked_nodes", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._socket is not None
        assert self._process is not None
        self._socket.close()  # it ends then
        self._process.wait()

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Process:
        """Return a new node's process; see :meth:`testbed.nodes.Node.launch`."""
        assert self._socket is not None
        asked = json.dumps({"options": options, "environment": environment}).encode()
        with self._turn:
            socket.send_fds(self._socket, [asked], [writing])
            return _Forked(int(self._socket.recv(_MAX_BYTES)))


class ForkedNode(Node):
    """A node whose process is forked from ``server``'s. On no host of its own."""

    def __init__(self, server: ForkServer, home: Path, name: str, **options: Any) -> None:
        super().__init__(home, name, **options)
        self.server = server

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Process:
        """Return a new process of it."""
        return self.server.launch(writing, options, environment)

    def strike(self) -> bool:
        """Kill its process, from any thread and at any moment; tell whether there was one."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.kill()
        return True

    def has_ended(self, patience_s: float) -> bool:
        """Wait until its process has ended, but not for ever; tell whether it has."""
        if self._process is None:
            return True
        with contextlib.suppress(TimeoutError):
            self._process.wait(patience_s)
            return True
        return False


class _Forked:
    """A process that is no child of this one, held so that its number can't be another's."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        return _ENDED if select.select([self._handle], [], [], 0)[0] else None

    def wait(self, timeout: float | None = None) -> int:
        if not select.select([self._handle], [], [], timeout)[0]:
            raise TimeoutError(f"process {self.pid} did not end within {timeout} s")
        return _ENDED

    def send_signal(self, number: int) -> None:
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def __del__(self) -> None:
        os.close(self._handle)


def _serve(connection: socket.socket) -> None:
    """Fork a node for each request, until whoever asks is gone."""
    import buildnet.node.daemon  # noqa: F401
    from buildnet.node.__main__ import main

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    while True:
        asked, (*descriptors,), _, _ = socket.recv_fds(connection, _MAX_BYTES, 1)
        if not asked:
            return
        (writing,) = descriptors
        pid = os.fork()
        if pid:
            os.close(writing)
            connection.send(str(pid).encode())
            continue
        try:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # none outlives the server
            os.setsid()
            os.chdir("/")
            request = json.loads(asked)
            os.environ.clear()
            os.environ.update(request["environment"])
            nothing = os.open(os.devnull, os.O_RDWR)
            for descriptor in (1, 2):
                os.dup2(nothing, descriptor)
            code = main([str(writing), request["options"]])
        except BaseException:
            code = 1
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as given:
        _serve(given)
