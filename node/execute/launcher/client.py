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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import buildnet
from buildnet.node.execute.control_groups import ControlGroups
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launcher.messages import (
    receive_descriptor,
    send_descriptor,
    send_request,
)
from buildnet.node.execute.launcher.places import USER_ID
from buildnet.node.execute.launcher.reports import receive_report
from buildnet.node.execute.launcher.server import PLAIN, STRICT, STRICT_WITH_NETWORK
from buildnet.node.execute.launcher.supervisor import KILL, STOP

logger = logging.getLogger(__name__)

Way = Literal["plain", "root", "user namespace"]
"""How a launcher starts commands: as they are; in a sandbox that real root makes; in one that an
ordinary user makes."""

_START_TIMEOUT_S = 10.0
_AHEAD = 2  # supervisors in strict that wait for a command
_READY_MAX = 16
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


class _Supervisor:
    """A supervisor that was asked for. To be used by one thread, but for :meth:`signal`."""

    def __init__(self, kind: bytes, connection: socket.socket) -> None:
        self.kind = kind
        self.connection = connection
        self.file_bytes: int | None = None
        """What its commands may write to a file: it can't be raised again."""
        self._process = -1
        self._lock = threading.Lock()
        self._signalled = False

    def fits(self, kind: bytes, file_bytes: int | None) -> bool:
        """Whether it can start a command of that kind, with that limit."""
        return kind == self.kind and self.file_bytes in (None, file_bytes)

    def meet(self) -> None:
        """Wait until it is there.

        Raises:
            ExecutionError: no process could be started.
        """
        if self._process >= 0:
            return
        data, process = receive_descriptor(self.connection, 1)
        if process is None:
            raise _broken("no process could be started" if data else "the launcher ended")
        self._process = process

    def signal(self, number: int) -> None:
        """Send it a signal, if it was not closed. From any thread."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process >= 0:
                self._signalled = True
                signal.pidfd_send_signal(self._process, number)

    def has_ended(self, timeout_s: float) -> bool:
        """Wait until it has ended, and in ``strict`` all it held with it."""
        poll = select.poll()
        poll.register(self._process, select.POLLIN)
        return bool(poll.poll(timeout_s * 1000))

    def is_as_new(self) -> bool:
        """Whether no signal is on its way to it and it lives."""
        with self._lock:
            return not self._signalled and not self.has_ended(0)

    def close(self) -> None:
        """Let go of it. If it still runs a command, it ends that."""
        self.connection.close()
        with self._lock:
            if self._process >= 0:
                os.close(self._process)
            self._process = -1


class LaunchedCommand:
    """A command that was asked for. To be used by one thread, but for :meth:`stop`."""

    def __init__(
        self,
        supervisor: _Supervisor,
        output: int,
        take_back: Callable[[_Supervisor, bool], None],
        *,
        has_mounts: bool,
    ) -> None:
        """``take_back`` gets the supervisor in the end, and whether it may take another command;
        ``has_mounts``: something is mounted in its stage until the supervisor has ended."""
        self.connection = supervisor.connection
        self.output = output
        """Descriptor to read its stdout and stderr from; it does not block."""
        self._supervisor = supervisor
        self._take_back = take_back
        self._lasts = False
        self._has_left = True
        self._has_mounts = has_mounts
        self._enlarged = False

    def report(self) -> dict[str, Any] | None:
        """Receive what came of it; None: its supervisor was ended."""
        report = receive_report(self.connection)
        if report is not None and "failed" not in report:
            self._lasts, self._has_left = report["lasts"], report["left"] or self._has_mounts
        return report

    def stop(self) -> None:
        """Have it ended: SIGTERM first. From any thread."""
        self._supervisor.signal(STOP)

    def kill(self) -> None:
        """Have it ended at once."""
        self._supervisor.signal(KILL)

    def kill_supervisor(self) -> None:
        """End a supervisor that does not answer. In ``strict`` that ends the command with it."""
        self._supervisor.signal(signal.SIGKILL)

    def enlarge_pipe(self, size_bytes: int) -> None:
        """Give the output's pipe more room, once, as far as the user's quota allows it."""
        if not self._enlarged:
            self._enlarged = True
            with contextlib.suppress(OSError):
                fcntl.fcntl(self.output, fcntl.F_SETPIPE_SZ, size_bytes)

    def wait(self, timeout_s: float) -> bool:
        """Wait, after its report, until nothing that it started is left."""
        return not self._has_left or self._supervisor.has_ended(timeout_s)

    def close(self) -> None:
        """Let go of it. If it still runs, its supervisor ends it."""
        os.close(self.output)
        self._take_back(self._supervisor, self._lasts)


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
        self._ready: list[_Supervisor] = []

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
        supervisor = self._take(kind, request.file_bytes)
        try:
            output, their_output = os.pipe2(os.O_CLOEXEC)
        except OSError as error:
            supervisor.close()
            raise _broken(str(error)) from error
        try:
            os.set_blocking(output, False)
            send_request(supervisor.connection, request.message(), their_output)
        except BaseException as error:
            os.close(output)
            supervisor.close()
            if isinstance(error, OSError):
                raise _broken(str(error)) from error
            raise
        finally:
            os.close(their_output)
        supervisor.file_bytes = request.file_bytes
        has_mounts = strict is not None and bool(strict.trees)
        return LaunchedCommand(supervisor, output, self._take_back, has_mounts=has_mounts)

    def _take(self, kind: bytes, file_bytes: int | None) -> _Supervisor:
        """Return a supervisor that waits for a command."""
        with self._lock:
            self._ensure()
            found = next((one for one in self._ready if one.fits(kind, file_bytes)), None)
            if found is not None:
                self._ready.remove(found)
        if found is not None:
            with contextlib.suppress(ExecutionError):
                found.meet()
                if found.is_as_new():
                    return found
            found.close()
        with self._lock:
            new = _ask(self._ensure(), kind)
        try:
            new.meet()
        except BaseException:
            new.close()
            raise
        return new

    def _ask_ahead(self, kind: bytes) -> None:
        """Have supervisors made for the next commands, unless the launcher was ended."""
        with self._lock, contextlib.suppress(ExecutionError, OSError):
            for _ in range(sum(one.kind == kind for one in self._ready), _AHEAD):
                if self._control is not None:
                    self._ready.append(_ask(self._control, kind))

    def _take_back(self, supervisor: _Supervisor, lasts: bool) -> None:
        """See to what comes after a command. Its supervisor's successor in ``strict`` is made only
        now: beside a short command it would take the processor from it."""
        if not lasts:
            supervisor.close()
            if supervisor.kind != PLAIN:
                self._ask_ahead(supervisor.kind)
            return
        with self._lock:
            room = self._control is not None and len(self._ready) < _READY_MAX
            if room and supervisor.is_as_new():
                self._ready.append(supervisor)
                return
        supervisor.close()

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
            send_request(control, {"way": self.way, "root": str(self._root.resolve())})
            answer = receive_report(control)
        except OSError as error:
            answer = {"why": f"the launcher does not answer: {error}"}
        if answer is None or "ready" not in answer:
            self._end()
            raise _broken(answer["why"] if answer else "the launcher ended at once")
        control.settimeout(None)

    def _end(self) -> None:
        for supervisor in self._ready:
            supervisor.close()
        self._ready.clear()
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


def _ask(control: socket.socket, kind: bytes) -> _Supervisor:
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise _broken(str(error)) from error
    with theirs:
        try:
            send_descriptor(control, kind, theirs.fileno())
        except OSError as error:
            ours.close()
            raise _broken(str(error)) from error
    return _Supervisor(kind, ours)


def _broken(cause: str) -> ExecutionError:
    return ExecutionError(
        "commands can't be started",
        cause=cause,
        hint="the node's log may say more; fewer actions at once may help",
    )
