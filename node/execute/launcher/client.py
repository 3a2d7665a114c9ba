"""The node's side of the launcher."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import buildnet
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launcher.messages import receive_message, send_message
from buildnet.node.execute.launcher.places import USER_ID
from buildnet.node.execute.launcher.server import PLAIN, STRICT, STRICT_WITH_NETWORK
from buildnet.node.execute.launcher.supervisor import KILL, STOP

logger = logging.getLogger(__name__)

Way = Literal["plain", "root", "user namespace"]
"""How a launcher starts commands: as they are; in a sandbox that real root makes; in one that an
ordinary user makes."""

_START_TIMEOUT_S = 10.0
_CODE = (
    "import sys; sys.path.append(sys.argv[1]);"
    "from buildnet.node.execute.launcher.server import main; main()"
)


@dataclass(frozen=True, slots=True)
class StrictView:
    """What a command in ``strict`` gets to see besides the system; paths are the host's, real ones.

    ``stage`` holds ``root``, ``home`` and ``tmp``. ``binds``: (path, place in the sandbox), shown
    read-only; ``writable``: the same, but it may write there. ``trees``: (path, place below /build,
    directory for what is written, directory for the kernel), the last two relative to the stage.
    """

    stage: Path
    network: bool
    binds: tuple[tuple[str, str], ...] = ()
    trees: tuple[tuple[str, str, str, str], ...] = ()
    writable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class LaunchRequest:
    """A command: ``cwd`` is as the command sees it. Limits are None where there are none.

    ``groups`` are files of control groups, ``cgroup.procs``, by which it joins them.
    """

    argv: Sequence[str]
    cwd: str
    environment: Mapping[str, str]
    strict: StrictView | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    file_bytes: int | None = None
    cores: Sequence[int] | None = None
    groups: Sequence[str] = ()
    kill_after_s: float = 2.0

    def message(self) -> dict[str, Any]:
        """Return what a supervisor is sent."""
        strict = self.strict
        return {
            "argv": list(self.argv),
            "cwd": self.cwd,
            "environment": dict(self.environment),
            "strict": None
            if strict is None
            else {
                "stage": str(strict.stage),
                "network": strict.network,
                "binds": strict.binds,
                "trees": strict.trees,
                "writable": strict.writable,
            },
            "memory_bytes": self.memory_bytes,
            "processes": self.processes,
            "file_bytes": self.file_bytes,
            "cores": None if self.cores is None else list(self.cores),
            "groups": list(self.groups),
            "kill_after_s": self.kill_after_s,
        }


class LaunchedCommand:
    """A command that was asked for. To be used by one thread, but for :meth:`stop`."""

    def __init__(self, connection: socket.socket, process: int, output: int) -> None:
        self.connection = connection
        self.output = output
        """Descriptor to read its stdout and stderr from; it does not block."""
        self._process = process
        self._lock = threading.Lock()
        self._enlarged = False

    def stop(self) -> None:
        """Have it ended: SIGTERM first. From any thread."""
        self._signal(STOP)

    def kill(self) -> None:
        """Have it ended at once."""
        self._signal(KILL)

    def kill_supervisor(self) -> None:
        """End a supervisor that does not answer. In ``strict`` that ends the command with it."""
        self._signal(signal.SIGKILL)

    def enlarge_pipe(self, size_bytes: int) -> None:
        """Give the output's pipe more room, once, as far as the user's quota allows it."""
        if not self._enlarged:
            self._enlarged = True
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, size_bytes)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process >= 0:
                signal.pidfd_send_signal(self._process, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait until the supervisor, and in ``strict`` all it held, has ended."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def close(self) -> None:
        """Let go of it. If it still runs, its supervisor ends it."""
        self.connection.close()
        os.close(self.output)
        with self._lock:
            os.close(self._process)
            self._process = -1


class Launcher:
    """A launcher process; started when it is first needed, and again should it die. Thread-safe."""

    def __init__(self, way: Way, root: Path) -> None:
        """``root`` is a directory for the sandbox's template, made if it is missing; the way
        ``plain`` has none."""
        self.way: Way = way
        self.groups: ControlGroups | None = None
        """Where the kernel keeps its commands' limits; None: their supervisors do."""
        self._root = root
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    @property
    def owner(self) -> int | None:
        """Who has to own what commands may write to; None: whoever runs the node."""
        return USER_ID if self.way == "root" else None

    @property
    def pid(self) -> int | None:
        """The process, if it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the process if it does not run.

        Raises:
            ExecutionError: the host does not let it do its work; the cause says why.
        """
        with self._lock:
            self._ensure()

    def launch(self, request: LaunchRequest) -> LaunchedCommand:
        """Start a command.

        Raises:
            ExecutionError: no process can be started now.
        """
        strict = request.strict
        kind = PLAIN if strict is None else STRICT_WITH_NETWORK if strict.network else STRICT
        ours, theirs = socket.socketpair()
        output, their_output = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                with self._lock:
                    control = self._ensure()
                    socket.send_fds(control, [kind], [theirs.fileno(), their_output])
            finally:
                theirs.close()
                os.close(their_output)
            process = self._answer(ours)
            os.set_blocking(output, False)
            command = LaunchedCommand(ours, process, output)
        except BaseException:
            ours.close()
            os.close(output)
            raise
        try:
            send_message(ours, request.message())
        except OSError as error:
            command.close()
            raise _broken(str(error)) from error
        except BaseException:
            command.close()
            raise
        return command

    def _answer(self, connection: socket.socket) -> int:
        data, descriptors, _, _ = socket.recv_fds(connection, 1, 1)
        if descriptors:
            os.set_inheritable(descriptors[0], False)
            return descriptors[0]
        raise _broken("the launcher ended" if not data else "no process could be started")

    def close(self) -> None:
        """End the process and every command that it started. Closing twice is harmless."""
        with self._lock:
            self._end()

    def _ensure(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            logger.warning("the launcher ended with code %d", self._process.returncode)
            self._end()
        if self._control is None:
            self._start()
        assert self._control is not None
        return self._control

    def _start(self) -> None:
        self._root.mkdir(parents=True, exist_ok=True)
        control, theirs = socket.socketpair()
        with theirs:
            # Beside the packages that the node runs from, in an interpreter without any of them.
            path = str(Path(buildnet.__file__).parents[1])
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _CODE, path],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
                start_new_session=True,
            )
        self._control = control
        control.settimeout(_START_TIMEOUT_S)
        try:
            send_message(control, {"way": self.way, "root": str(self._root.resolve())})
            answer = receive_message(control)
        except OSError as error:
            answer = {"why": f"the launcher does not answer: {error}"}
        if answer is None or "ready" not in answer:
            self._end()
            raise _broken(answer["why"] if answer else "the launcher ended at once")
        control.settimeout(None)

    def _end(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._process is not None:
            try:
                self._process.wait(_START_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None


def _broken(cause: str) -> ExecutionError:
    return ExecutionError(
        "commands can't be started",
        cause=cause,
        hint="the node's log may say more; fewer actions at once may help",
    )
