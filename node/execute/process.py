"""Running one command: its output live and bounded, its limits kept, its whole tree ended."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from buildnet.node.execute.bounded_log import BoundedLog
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.masking import masked
from buildnet.node.execute.outcome import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    ProcessOutcome,
    never_started,
    outcome_of,
)
from buildnet.node.execute.priority import lower_group_priority
from buildnet.node.execute.process_tree import ACTION_VARIABLE, ProcessTree

OUTPUT_LIMIT_BYTES = 16 << 20
"""How much of a command's output is kept unless its owner says otherwise."""

GRACE_S = 2.0
"""Time between SIGTERM and SIGKILL."""

_CHUNK_BYTES = 64 << 10
_PIPE_BYTES = 1 << 20


def run_process(
    argv: Sequence[str],
    cwd: Path,
    env: Mapping[str, str],
    *,
    timeout_s: float | None,
    on_output: Callable[[bytes], None],
    cancel: CancelToken,
    log: IO[bytes],
    output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
) -> ProcessOutcome:
    """Run a command in the calling thread until its main process has ended.

    stdout and stderr are one pipe, so their order is kept. Each chunk goes to ``on_output``, which
    must not block, and into ``log``, at most ``output_limit_bytes`` of it, with the secrets of
    ``env`` masked. When the time is over or
    ``cancel`` is set, the process group gets SIGTERM and :data:`GRACE_S` later SIGKILL. Processes
    that outlive the main process are killed. ``env`` is the complete environment; its
    ``BUILDNET_ACTION`` helps to find processes that left the group.

    A command or working directory that does not exist gives exit code 127 or 126 with the reason in
    the log, as a shell does.

    Raises:
        ExecutionError: the host can't start processes now.
    """
    bounded = BoundedLog(log, output_limit_bytes)

    def pass_on(chunk: bytes) -> None:
        bounded.write(chunk)
        on_output(chunk)

    output, output_over = masked(env, pass_on)

    started = time.monotonic()
    own_peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if cancel.is_set():
        return never_started(128 + signal.SIGTERM, signal.SIGTERM.name, cancelled=True)
    try:
        process = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            close_fds=True,
            start_new_session=True,
            umask=0o022,
        )
    except (OSError, ValueError) as error:
        exit_code, reason = _start_failure(error, argv, cwd)
        output(f"buildnet: {reason}\n".encode())
        output_over()
        bounded.finish()
        return never_started(exit_code, None, cancelled=False)

    lower_group_priority(process.pid)
    running = _Running(process, env.get(ACTION_VARIABLE), output)
    try:
        running.watch(cancel, None if timeout_s is None else started + timeout_s)
    except BaseException:
        running.abandon()
        raise
    left_behind, status, usage = running.finish()
    output_over()
    bounded.finish()
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return outcome_of(
        status,
        timed_out=running.timed_out,
        cancelled=running.cancelled,
        duration_ms=round((time.monotonic() - started) * 1000),
        cpu_ms=round((usage.ru_utime + usage.ru_stime) * 1000),
        max_rss_bytes=peak_bytes if usage.ru_maxrss > own_peak_kib else None,
        left_behind=left_behind,
        output_truncated_bytes=bounded.truncated_bytes,
    )


class _Running:
    """A started command: watches its pipe, its end, the clock and the cancel token."""

    def __init__(
        self, process: subprocess.Popen[bytes], action: str | None, output: Callable[[bytes], None]
    ) -> None:
        assert process.stdout is not None
        self.timed_out = False
        self.cancelled = False
        self._process = process
        self._output = output
        self._pipe = process.stdout.fileno()
        self._pipe_enlarged = False
        self._tree = ProcessTree(process.pid, action, os.fstat(self._pipe).st_ino)
        self._resources = contextlib.ExitStack()
        self._resources.callback(process.stdout.close)
        self._selector = self._resources.enter_context(selectors.DefaultSelector())
        self._killed = False
        self._watched: dict[int, int] = {}  # descriptor -> process id
        self._watch_end(process.pid)

    def watch(self, cancel: CancelToken, deadline: float | None) -> None:
        """Read output until the main process has ended, or was ended."""
        os.set_blocking(self._pipe, False)
        self._selector.register(self._pipe, selectors.EVENT_READ)
        wake, waker = os.pipe()
        self._resources.callback(os.close, wake)
        self._resources.callback(os.close, waker)
        self._selector.register(wake, selectors.EVENT_READ)
        with cancel.calling(lambda: _wake(waker)):
            while self._watched:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                ready = {key.fd for key, _ in self._selector.select(left)}
                if self._pipe in ready and self._read() == b"":
                    self._selector.unregister(self._pipe)
                for descriptor in ready.intersection(self._watched):
                    self._ended(descriptor)
                if wake in ready:
                    self._selector.unregister(wake)
                    if self._watched and not self._stopping:
                        self.cancelled = True
                        deadline = self._stop()
                elif self._watched and deadline is not None and time.monotonic() >= deadline:
                    if self._stopping:
                        self._kill()
                        deadline = None
                    else:
                        self.timed_out = True
                        deadline = self._stop()

    def finish(self) -> tuple[int, int, resource.struct_rusage]:
        """End what the main process left; returns (left behind, wait status, usage)."""
        with self._resources:
            left_behind = self._tree.end()
            # What escaped may write for ever: the pipe holds no more than this of what was in time.
            for _ in range(_PIPE_BYTES // _CHUNK_BYTES + 1):
                if not self._read():
                    break
            status, usage = self._reap()
        return (0 if self._stopping else left_behind), status, usage

    def abandon(self) -> None:
        """End everything because the node itself failed."""
        with self._resources:
            self._tree.signal(signal.SIGKILL)
            for descriptor, pid in self._watched.items():
                if pid == self._process.pid:
                    with selectors.DefaultSelector() as selector:
                        selector.register(descriptor, selectors.EVENT_READ)
                        selector.select()
            self._tree.end()
            self._reap()

    def _reap(self) -> tuple[int, resource.struct_rusage]:
        _, status, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return status, usage

    @property
    def _stopping(self) -> bool:
        return self.timed_out or self.cancelled

    def _stop(self) -> float:
        self._tree.signal(signal.SIGTERM)
        return time.monotonic() + GRACE_S

    def _kill(self) -> None:
        self._killed = True
        self._tree.signal(signal.SIGKILL)
        for descriptor, pid in list(self._watched.items()):
            if pid != self._process.pid:
                self._forget(descriptor)

    def _watch_end(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended already
            descriptor = _end_descriptor(pid, self._resources)
            self._watched[descriptor] = pid
            self._selector.register(descriptor, selectors.EVENT_READ)

    def _forget(self, descriptor: int) -> None:
        self._selector.unregister(descriptor)
        del self._watched[descriptor]

    def _ended(self, descriptor: int) -> None:
        self._forget(descriptor)
        main_ended = self._process.pid not in self._watched.values()
        if main_ended and self._stopping and not self._killed:
            # A shell dies of SIGTERM at once; its children have the same grace to tidy up.
            for pid in set(self._tree.left_behind()).difference(self._watched.values()):
                self._watch_end(pid)

    def _read(self) -> bytes | None:
        """Pass on one chunk; None: nothing there now, empty: all writers are gone."""
        try:
            chunk = os.read(self._pipe, _CHUNK_BYTES)
        except BlockingIOError:
            return None
        if len(chunk) == _CHUNK_BYTES and not self._pipe_enlarged and sys.platform == "linux":
            self._pipe_enlarged = True
            with contextlib.suppress(OSError):  # beyond the user's quota of pipe memory
                fcntl.fcntl(self._pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        if chunk:
            self._output(chunk)
        return chunk


def _wake(descriptor: int) -> None:
    os.write(descriptor, b"!")


def _end_descriptor(pid: int, resources: contextlib.ExitStack) -> int:
    """Return a descriptor that becomes readable when the process has ended."""
    if sys.platform == "linux":
        descriptor = os.pidfd_open(pid)
        resources.callback(os.close, descriptor)
        return descriptor
    queue = select.kqueue()
    resources.callback(queue.close)
    end = select.kevent(
        pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, select.KQ_NOTE_EXIT
    )
    queue.control([end], 0)
    return queue.fileno()


def _start_failure(error: OSError | ValueError, argv: Sequence[str], cwd: Path) -> tuple[int, str]:
    """Return the shell's exit code and the reason why a command could not be started.

    Raises:
        ExecutionError: the reason is the host's state, not the command.
    """
    if not isinstance(error, OSError):
        return NOT_EXECUTABLE, f"the command line or environment can't be passed on: {error}"
    if error.errno in {errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE}:
        raise ExecutionError(
            "the host can't start another process",
            cause=str(error),
            hint="run fewer actions at once, or raise the limits of processes and open files",
        ) from error
    if not cwd.is_dir():
        return NOT_FOUND, f"working directory {cwd} does not exist"
    exit_code = NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
    return exit_code, f"{argv[0]}: {error.strerror}"
