"""Running a stranger's program to ask it something; it can neither hang nor hurt the scan."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

DEFAULT_TIMEOUT_S = 5.0
# The longest honest answers (ffmpeg's encoders, ImageMagick's formats) are a tenth of this.
OUTPUT_LIMIT_BYTES = 256 * 1024
_STEP_S = 0.1
# Builds, and the event loop above all, go first.
_NICENESS = 5

# What shims and version managers need to find the program behind them, and nothing else.
_PASSED_ON = (
    "HOME",
    "USER",
    "TMPDIR",
    "JAVA_HOME",
    "GOROOT",
    "DOTNET_ROOT",
    "DOCKER_HOST",
    "DEVELOPER_DIR",
    "SDKROOT",
    "XDG_RUNTIME_DIR",
    "PYENV_ROOT",
    "RBENV_ROOT",
    "NODENV_ROOT",
    "NVM_DIR",
    "VOLTA_HOME",
    "FNM_DIR",
    "SDKMAN_DIR",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "RUSTUP_HOME",
    "CARGO_HOME",
    "BUN_INSTALL",
    "DENO_INSTALL",
)
# Asking for a version must not download one (corepack, bazelisk, rustup, gradle wrappers do), nor
# greet, count or update anything: the proxy is a port that nothing listens on.
_QUIET = {
    "LC_ALL": "C",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "CI": "1",
    "http_proxy": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "COREPACK_ENABLE_NETWORK": "0",
    "RUSTUP_AUTO_INSTALL": "0",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "GOTOOLCHAIN": "local",
    "TURBO_TELEMETRY_DISABLED": "1",
    "DOTNET_CLI_TELEMETRY_OPTOUT": "1",
    "DOTNET_NOLOGO": "1",
    "DOTNET_SKIP_FIRST_TIME_EXPERIENCE": "1",
    "DOCKER_CLI_HINTS": "false",
    "GIT_TERMINAL_PROMPT": "0",
}


@dataclass(frozen=True, slots=True)
class ProbeOutcome:
    """What a program answered.

    ``exit_code`` is None if it did not end by itself; a negative one is the signal that ended it.
    ``problem`` says in words what went wrong, for people. ``started`` is False for a file that the
    operating system cannot run at all.
    """

    output: str = ""
    exit_code: int | None = None
    problem: str | None = None
    started: bool = True

    @property
    def succeeded(self) -> bool:
        """Whether it ended by itself with exit code 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class Prober:
    """Runs probes with one search path and environment; ``cancelled`` ends those that still run.

    Blocks its thread for at most the timeout and a second: never call it on the event loop.
    """

    search_path: str
    environment: Mapping[str, str]
    cancelled: threading.Event

    @classmethod
    def of_process(cls, search_path: str, cancelled: threading.Event | None = None) -> Prober:
        """Return a prober whose environment is what probes need of this process's own."""
        environment = probe_environment(search_path, os.environ)
        return cls(search_path, environment, cancelled or threading.Event())

    def run(
        self,
        arguments: Sequence[str],
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        merge_stderr: bool = True,
        output_limit_bytes: int = OUTPUT_LIMIT_BYTES,
    ) -> ProbeOutcome:
        """Run a program in ``/`` with closed stdin and return its answer.

        It leads a process group of its own, which is killed at the timeout, when it prints more
        than the limit, and when it leaves processes behind. Whatever it does, this returns.
        """
        try:
            process = subprocess.Popen(
                list(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT if merge_stderr else subprocess.DEVNULL,
                cwd="/",
                env=dict(self.environment),
                process_group=0,
            )
        except (OSError, ValueError) as error:
            reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else ""
            return ProbeOutcome(problem=f"cannot be run: {reason or error}", started=False)
        try:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
            assert process.stdout is not None
            deadline = time.monotonic() + timeout_s
            output, problem = self._read(process, process.stdout, deadline, output_limit_bytes)
            if problem is None:
                try:
                    process.wait(max(0.0, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    problem = _TOO_LATE
        finally:
            _end_group(process)
        if problem == _TOO_LATE:
            problem = f"did not answer within {timeout_s:g} s"
        text = output.decode("utf-8", "replace")
        if problem is not None:
            return ProbeOutcome(text, None, problem)
        code = process.returncode
        return ProbeOutcome(text, code, _ending(code))

    def _read(
        self,
        process: subprocess.Popen[bytes],
        pipe: IO[bytes],
        deadline: float,
        limit_bytes: int,
    ) -> tuple[bytes, str | None]:
        chunks: list[bytes] = []
        size = 0
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while True:
                remaining_s = deadline - time.monotonic()
                if remaining_s <= 0:
                    return b"".join(chunks), _TOO_LATE
                if self.cancelled.is_set():
                    return b"".join(chunks), "the scan was cancelled"
                if not selector.select(min(_STEP_S, remaining_s)):
                    # A background process may hold the pipe open after the program has ended.
                    if process.poll() is not None and not selector.select(0):
                        return b"".join(chunks), None
                    continue
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    return b"".join(chunks), None
                chunks.append(chunk)
                size += len(chunk)
                if size > limit_bytes:
                    problem = f"printed more than {limit_bytes // 1024} KiB"
                    return b"".join(chunks)[:limit_bytes], problem


_TOO_LATE = "too late"


def _ending(code: int) -> str | None:
    if code == 0:
        return None
    if code > 0:
        return f"ended with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group and reap the leader; never wait long for either."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    if process.stdout is not None:
        process.stdout.close()
    # A process in an uninterruptible wait (a dead network file system) outlives even SIGKILL.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1.0)


def probe_environment(search_path: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the whole environment of a probe: little of ``environment``, quiet, in English."""
    passed_on = {name: environment[name] for name in _PASSED_ON if name in environment}
    return {**passed_on, **_QUIET, "PATH": search_path}
