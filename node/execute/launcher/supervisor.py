"""The parent of a command: starts it, waits for it, ends all that it leaves, reports.

In ``strict`` it is process 1 of the command's namespace, so the kernel ends the rest with it, and
each command has one of its own.
Otherwise it is a child subreaper: whatever loses its parent becomes its child, and it ends when it
has none left, or takes the next command. The node talks to it by signals and hears from it by one
message a command.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import _socket
import os
import resource
import select
import time

from buildnet.node.execute.launcher import kernel, sandbox
from buildnet.node.execute.launcher.messages import receive_with_descriptor, send_report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STOP = _signal.SIGTERM
"""Asks a supervisor to end its command: all that it started get SIGTERM, and SIGKILL later."""

KILL = _signal.SIGUSR1
"""Asks a supervisor to end its command at once."""

_PARENT_ENDED = _signal.SIGHUP
_NICENESS = 10
_LOOK_EVERY_S = 0.1
_FLOOD = 4
_IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


class Supervisor:
    """Runs commands, one at a time; :meth:`run` is the process's whole life."""

    def __init__(
        self,
        connection: _socket.socket,
        network: bool | None,
        launcher: int,
        user: int | None,
        filter_program: bytes,
    ) -> None:
        """``network``: whether a command in ``strict`` may use it; None: this is not ``strict``.

        ``launcher`` is a descriptor that says "end of file" once the launcher has ended.
        """
        self._connection = connection
        self._strict = network is not None
        self._network = network
        self._launcher = launcher
        self._user = user
        self._filter_program = filter_program
        self._launcher_ended = False
        self._all_cores: set[int] = set()
        self._cpu_ms = 0.0
        self._begin()

    def _begin(self) -> None:
        self._memory_bytes: int | None = None
        self._processes: int | None = None
        self._main = 0
        self._main_ended = False
        self._stopping = False  # politely
        self._killing = False
        self._kill_after_s = 0.0
        self._kill_at: float | None = None
        self._exceeded: str | None = None
        self._joined = False

    def run(self) -> None:
        """Prepare, then take a request, run the command, report; outside of ``strict`` again and
        again, for what has no children left is as good as new."""
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        failure = self._prepared()
        while (taken := receive_with_descriptor(self._connection)) is not None:
            failure = failure or self._started(*taken)
            if failure is not None:
                send_report(self._connection, failure)
                return
            report = self._watch()
            lasts = not (self._strict or self._stopping or self._joined or self._launcher_ended)
            if lasts:
                self._begin_again()
            # The node then waits for this process's end, with which a namespace's others end too.
            left = self._joined or (self._strict and (self._stopping or report["left_behind"] > 0))
            send_report(self._connection, {**report, "lasts": lasts, "left": left})
            if not lasts:
                return

    # Starting

    def _prepared(self) -> dict[str, Any] | None:
        """Do what needs no request; return what to report if something of it failed."""
        step = "supervisor"
        try:
            if self._strict:
                kernel.die_with_parent(_signal.SIGKILL)
            else:
                kernel.become_subreaper()
                kernel.die_with_parent(_PARENT_ENDED)
                _signal.signal(_PARENT_ENDED, lambda *_: self._end_with_launcher())
            if select.select([self._launcher], [], [], 0)[0]:
                os._exit(1)  # it ended before it could be told of
            os.umask(0o022)
            self._all_cores = os.sched_getaffinity(0)
            os.nice(_NICENESS)
            kernel.set_disk_priority_idle()
            _limit(resource.RLIMIT_CORE, 0)
            if self._network is not None:
                step = "sandbox"
                sandbox.furnish(network=self._network)
        except (OSError, ValueError) as error:
            return _failure(step, error)
        return None

    def _started(self, request: dict[str, Any], output: int) -> dict[str, Any] | None:
        """Start the command; return what to report if that failed."""
        step = "supervisor"
        try:
            self._memory_bytes = request["memory_bytes"]
            self._processes = request["processes"]
            self._kill_after_s = request["kill_after_s"]
            self._join(request["groups"])
            if request["cores"] is not None:
                os.sched_setaffinity(0, request["cores"])
            _limit(resource.RLIMIT_FSIZE, request["file_bytes"])
            step = "sandbox"
            if request["strict"] is not None:
                self._enter(request["strict"])
            step = "working directory"
            os.chdir(request["cwd"])
            step = "command"
            self._start(request, output)
        except (OSError, ValueError) as error:
            return _failure(step, error)
        return None

    def _join(self, groups: list[str]) -> None:
        """Join control groups, here where the host's root and all groups are still in sight."""
        self._joined = bool(groups)
        for file in groups:
            with open((sandbox.HOST if self._strict else "") + file, "w") as procs:
                procs.write("0")
        if self._strict:
            kernel.unshare(kernel.CLONE_NEWCGROUP)

    def _enter(self, strict: dict[str, Any]) -> None:
        sandbox.enter(
            strict["stage"],
            binds=strict["binds"],
            writable=strict["writable"],
            trees=strict["trees"],
        )
        # These only bound what a flood of forks can do until it is seen: of the resource limit the
        # kernel counts the processes of all sandboxes together, and root's not at all.
        if self._processes is not None:
            sandbox.limit_processes(_FLOOD * self._processes)
            _limit(resource.RLIMIT_NPROC, _FLOOD * self._processes)
        sandbox.give_up_rights(self._user, self._filter_program)

    def _start(self, request: dict[str, Any], output: int) -> None:
        _signal.signal(STOP, lambda *_: self._stop())
        _signal.signal(KILL, lambda *_: self._kill())
        words = [os.fsencode(word) for word in request["argv"]]
        variables = {os.fsencode(k): os.fsencode(v) for k, v in request["environment"].items()}
        self._main = os.posix_spawn(
            words[0],
            words,
            variables,
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output, 1),
                (os.POSIX_SPAWN_DUP2, output, 2),
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),  # output may have been 0
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=_IGNORED_BY_PYTHON,
        )
        os.close(output)  # its reader is to see the end when the command's own ends close
        _signal.signal(_signal.SIGALRM, lambda *_: self._look())
        _signal.pthread_sigmask(_signal.SIG_UNBLOCK, (STOP, KILL))
        if self._memory_bytes is not None or self._processes is not None:
            _signal.setitimer(_signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)

    def _begin_again(self) -> None:
        """Forget a command that has ended with all it started."""
        _signal.setitimer(_signal.ITIMER_REAL, 0)
        _signal.pthread_sigmask(_signal.SIG_BLOCK, (STOP, KILL))
        os.sched_setaffinity(0, self._all_cores)
        os.chdir("/")
        self._begin()

    def _end_with_launcher(self) -> None:
        self._launcher_ended = True
        if not self._main:
            os._exit(1)
        self._kill()

    # Waiting

    def _watch(self) -> dict[str, Any]:
        """Wait for the end of the command and of all it started; return what to report."""
        before_ms = self._cpu_ms
        status, peak_kib, left_behind = 0, 0, 0
        while True:
            try:
                pid, found, used = os.wait4(-1, 0)
            except ChildProcessError:
                break
            if pid == self._main:
                self._main_ended = True
                status, peak_kib = found, used.ru_maxrss
                if not self._stopping:
                    left_behind = self._count_living()
                    self._killing = True
                if self._strict and self._killing:
                    break  # all else in the namespace ends with this process
            if self._killing:
                # Each end may have brought forth orphans that nobody has seen yet.
                self._signal_all(_signal.SIGKILL)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        self._cpu_ms = (used.ru_utime + used.ru_stime) * 1000
        own_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return {
            "status": status,
            "cpu_ms": round(self._cpu_ms - before_ms),
            # A process begins with its parent's memory on its account.
            "peak_kib": peak_kib if peak_kib > own_kib else None,
            "left_behind": left_behind,
            "exceeded": self._exceeded,
        }

    def _stop(self) -> None:
        self._stopping = True
        self._kill_at = time.monotonic() + self._kill_after_s
        _signal.setitimer(_signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
        self._signal_all(_signal.SIGTERM)

    def _kill(self) -> None:
        self._stopping = self._killing = True
        self._signal_all(_signal.SIGKILL)

    def _signal_all(self, number: int) -> None:
        if self._strict:
            _send_signal(-1, number)
            return
        if not self._main_ended:
            _send_signal(-self._main, number)
        for pid in self._descendants():
            _send_signal(pid, number)

    def _count_living(self) -> int:
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return 0
            if pid == 0:
                return max(1, len(self._descendants()))

    def _descendants(self) -> list[int]:
        """Return all processes below this one."""
        own = os.getpid()
        if self._strict:
            return [int(name) for name in os.listdir("/proc") if name.isdigit() and name != "1"]
        found: list[int] = []
        waiting = [own]
        while waiting:
            children = _children(waiting.pop())
            found += children
            waiting += children
        return found

    # Limits

    def _look(self) -> None:
        """Compare what the command's processes use with its limits, and end them beyond."""
        if self._kill_at is not None and time.monotonic() >= self._kill_at:
            self._kill()
        if self._killing:
            return
        pids = self._descendants()
        if self._processes is not None and len(pids) > self._processes:
            self._exceeded = "processes"
        if self._memory_bytes is not None and sum(map(_memory, pids)) > self._memory_bytes:
            self._exceeded = "memory"
        if self._exceeded is not None:
            self._kill()


def _failure(step: str, error: OSError | ValueError) -> dict[str, Any]:
    number = error.errno if isinstance(error, OSError) else None
    return {"failed": step, "errno": number, "why": str(error)}


def _limit(which: int, value: int | None) -> None:
    """Lower a limit of this process and those it starts; what is lower already stays."""
    if value is None:
        return
    _, hard = resource.getrlimit(which)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def _send_signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # gone, or a program with another user's rights


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # gone meanwhile
    return found


def _memory(pid: int) -> int:
    """Return what a process holds that can't be read again from a disk, in bytes."""
    total_kib = 0
    try:
        with open(f"/proc/{pid}/status", "rb") as file:
            for line in file:
                if line.startswith((b"RssAnon:", b"RssShmem:", b"VmSwap:")):
                    total_kib += int(line.split()[1])
    except OSError:
        return 0
    return total_kib * 1024
