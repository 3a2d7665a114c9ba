"""Running one command through the launcher: its output live and bounded, its limits kept."""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import IO, Any

from buildnet.node.execute.bounded_log import BoundedLog
from buildnet.node.execute.cancel import CancelToken
from buildnet.node.execute.control_groups import MEMORY, PIDS
from buildnet.node.execute.errors import ExecutionError
from buildnet.node.execute.launcher.client import LaunchedCommand, Launcher, LaunchRequest
from buildnet.node.execute.masking import masked
from buildnet.node.execute.outcome import (
    NOT_EXECUTABLE,
    NOT_FOUND,
    ProcessOutcome,
    never_started,
    outcome_of,
)

_CHUNK_BYTES = 64 << 10
_PIPE_BYTES = 1 << 20
_LOOK_EVERY_S = 1.0
_GIVE_UP_AFTER_S = 10.0

Exceeded = Callable[[], str | None]
"""Tells which limit, of those that only the node can watch, a running command has passed."""


def run_launched(
    launcher: Launcher,
    request: LaunchRequest,
    *,
    timeout_s: float | None,
    on_output: Callable[[bytes], None],
    cancel: CancelToken,
    log: IO[bytes],
    output_limit_bytes: int,
    exceeded: Exceeded = lambda: None,
) -> ProcessOutcome:
    """Run a command in the calling thread until it and all that it started have ended.

    stdout and stderr are one pipe, so their order is kept. Each chunk goes to ``on_output``, which
    must not block, and into ``log``, at most ``output_limit_bytes`` of it, with the secrets of its
    environment masked. ``exceeded`` is asked
    every second.

    A working directory that does not exist gives exit code 127 with the reason in the log.

    Raises:
        ExecutionError: the host can't run commands now, or not as isolated as was asked for.
    """
    bounded = BoundedLog(log, output_limit_bytes)

    def pass_on(chunk: bytes) -> None:
        bounded.write(chunk)
        on_output(chunk)

    output, output_over = masked(request.environment, pass_on)

    if cancel.is_set():
        return never_started(128 + signal.SIGTERM, signal.SIGTERM.name, cancelled=True)
    started = time.monotonic()
    with _limited(launcher, request) as (request, passed):
        command = launcher.launch(request)
        try:
            running = _Running(command, request, output, exceeded)
            with cancel.calling(command.stop):
                report = running.follow(cancel, None if timeout_s is None else started + timeout_s)
            running.finish()
        finally:
            command.close()
        kernel_says = passed()
    if "failed" in report:
        exit_code, reason = _start_failure(report, request)
        output(f"buildnet: {reason}\n".encode())
        output_over()
        bounded.finish()
        return never_started(exit_code, None, cancelled=False)
    output_over()
    bounded.finish()
    stopped = running.timed_out or running.cancelled or running.exceeded is not None
    peak_kib = report["peak_kib"]
    return outcome_of(
        report["status"],
        timed_out=running.timed_out,
        cancelled=running.cancelled,
        duration_ms=round((time.monotonic() - started) * 1000),
        cpu_ms=report["cpu_ms"],
        max_rss_bytes=None if peak_kib is None else peak_kib * 1024,
        left_behind=0 if stopped else report["left_behind"],
        output_truncated_bytes=bounded.truncated_bytes,
        exceeded=running.exceeded or report["exceeded"] or kernel_says,
    )


@contextmanager
def _limited(
    launcher: Launcher, request: LaunchRequest
) -> Iterator[tuple[LaunchRequest, Exceeded]]:
    """Have the kernel keep the limits that it can; gives what is left to the supervisor, and what
    tells afterwards which limit was passed.

    Raises:
        ExecutionError: the command's control group can't be made.
    """
    groups = launcher.groups
    if groups is None or (request.memory_bytes is None and request.processes is None):
        yield request, lambda: None
        return
    with ExitStack() as stack:
        try:
            group = stack.enter_context(groups.group(request.memory_bytes, request.processes))
        except OSError as error:
            raise ExecutionError(
                "a control group for the command can't be made",
                cause=str(error),
                hint="see workers.control_group in node.yaml; without it the node watches limits "
                "itself",
            ) from error
        watched = replace(
            request,
            groups=group.files,
            memory_bytes=None if groups.limits(MEMORY) else request.memory_bytes,
            processes=None if groups.limits(PIDS) else request.processes,
        )
        yield watched, group.exceeded


class _Running:
    """A started command: passes on its output, minds the clock, takes its report."""

    def __init__(
        self,
        command: LaunchedCommand,
        request: LaunchRequest,
        output: Callable[[bytes], None],
        exceeded: Exceeded,
    ) -> None:
        self.timed_out = False
        self.cancelled = False
        self.exceeded: str | None = None
        self._command = command
        self._request = request
        self._output = output
        self._ask = exceeded

    def follow(self, cancel: CancelToken, deadline: float | None) -> dict[str, Any]:
        """Read output until the report is there."""
        pipe, connection = self._command.output, self._command.connection.fileno()
        poll = select.poll()
        poll.register(pipe, select.POLLIN)
        poll.register(connection, select.POLLIN)
        stopping = False
        while True:
            left_s = _LOOK_EVERY_S
            if deadline is not None:
                left_s = min(left_s, max(0.0, deadline - time.monotonic()))
            ready = {descriptor for descriptor, _ in poll.poll(left_s * 1000)}
            if pipe in ready and self._read() == b"":
                poll.unregister(pipe)
            if connection in ready:
                self.cancelled = cancel.is_set() and not self.timed_out
                return self._report()
            if ready:
                continue
            if stopping:
                if deadline is not None and time.monotonic() >= deadline:
                    self._command.kill_supervisor()
                    deadline = None
                continue
            self.timed_out = deadline is not None and time.monotonic() >= deadline
            if not (self.timed_out or cancel.is_set()):
                self.exceeded = self._ask()
            if self.timed_out or self.exceeded is not None:
                self._command.stop()
            if self.timed_out or self.exceeded is not None or cancel.is_set():
                stopping = True
                deadline = time.monotonic() + self._request.kill_after_s + _GIVE_UP_AFTER_S

    def _report(self) -> dict[str, Any]:
        report = self._command.report()
        if report is None:
            raise ExecutionError(
                "the command's supervisor was ended by somebody else",
                cause="the system may have run out of memory",
                hint="build again; run fewer actions at once if it happens again",
            )
        return report

    def finish(self) -> None:
        """Wait until nothing of the command is left, and read the rest of its output."""
        if not self._command.wait(_GIVE_UP_AFTER_S):
            raise ExecutionError(
                "the command's processes can't be ended",
                cause=f"they are still there {_GIVE_UP_AFTER_S:.0f} s after SIGKILL",
                hint="they may wait for a disk or a network share that does not answer",
            )
        # The pipe holds no more than this of what was in time.
        for _ in range(_PIPE_BYTES // _CHUNK_BYTES + 1):
            if not self._read():
                break

    def _read(self) -> bytes | None:
        """Pass on one chunk; None: nothing there now, empty: all writers are gone."""
        try:
            chunk = os.read(self._command.output, _CHUNK_BYTES)
        except BlockingIOError:
            return None
        if len(chunk) == _CHUNK_BYTES:
            self._command.enlarge_pipe(_PIPE_BYTES)
        if chunk:
            self._output(chunk)
        return chunk


def _start_failure(report: dict[str, Any], request: LaunchRequest) -> tuple[int, str]:
    """Return the shell's exit code and the reason why a command could not be started.

    Raises:
        ExecutionError: the reason is the host's state, not the command.
    """
    step, number = report["failed"], report["errno"]
    missing = number in (errno.ENOENT, errno.ENOTDIR)
    if step == "working directory" and missing:
        return NOT_FOUND, f"working directory {request.cwd} does not exist"
    if step == "command" and number not in (errno.EAGAIN, errno.ENOMEM):
        code = NOT_FOUND if missing else NOT_EXECUTABLE
        reason = os.strerror(number) if number else report["why"]
        return code, f"{request.argv[0]}: {reason}"
    raise ExecutionError(
        f"the command could not be started: its {step} failed",
        cause=report["why"],
        hint="fewer actions at once may help; `buildnet node status` tells what this host can do",
    )
