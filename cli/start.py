"""Starting a node: in this process, or as a process of its own that outlives the command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from buildnet.cli.client import Client, NodeUnreachableError
from buildnet.cli.output import note
from buildnet.cli.settings import Settings
from buildnet.cli.versions import RESTART, other_version
from buildnet.mesh.errors import BuildNetError
from buildnet.node.home import AlreadyRunningError, Home, Runtime, default_home

_READY_WITHIN_S = 60.0
_LOOK_AGAIN_S = 0.05
_ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StartError(BuildNetError):
    """A detached node ended before it was ready; code and exit code are those it gave."""

    code = "START_FAILED"

    def __init__(self, said: dict[str, str | None], exit_code: int) -> None:
        super().__init__(str(said["message"]), cause=said.get("cause"), hint=said.get("hint"))
        self.code = str(said.get("code") or self.code)
        self.exit_code = exit_code


def start_detached(
    home: Path,
    *,
    listen: str | None = None,
    name: str | None = None,
    config: Path | None = None,
    any_port: bool = False,
    role: str | None = None,
    log_format: str | None = None,
) -> Runtime:
    """Start a node as a process of its own and wait until it answers.

    Raises:
        AlreadyRunningError: another process holds the data directory.
        StartError: it could not start; the error is the node's own.
    """
    options = {
        "home": str(home),
        "config": str(config.absolute()) if config else None,
        "listen": listen,
        "name": name,
        "any_port": any_port,
        "role": role,
        "log_format": log_format,
    }
    reading, writing = os.pipe()
    process: subprocess.Popen[bytes] | None = None
    try:
        with os.fdopen(reading, encoding="utf-8") as said:
            try:
                with _signals_later():
                    process = subprocess.Popen(
                        [sys.executable, "-m", "buildnet.node", str(writing), json.dumps(options)],
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.DEVNULL,
                        pass_fds=[writing],
                        start_new_session=True,
                        cwd="/",
                    )
            finally:
                os.close(writing)
            answer = json.loads(said.readline() or "null")
    except BaseException:  # Ctrl-C above all: who did not see the start end wants no node
        if process is not None:
            process.terminate()
            process.wait()
        raise
    if answer is None:
        process.wait()
        raise StartError(
            {
                "message": f"the node ended before it was ready (exit code {process.returncode})",
                "hint": f"its log may tell why: {home / 'node.log'}",
            },
            1,
        )
    if "error" in answer:
        process.wait()
        error = answer["error"]
        if error["code"] == AlreadyRunningError.code:
            raise AlreadyRunningError(error["message"], cause=error["cause"], hint=error["hint"])
        raise StartError(error, answer["exit_code"])
    process.returncode = 0  # it goes on without us: no warning about a child that still runs
    return Runtime(**answer["ready"])


@contextmanager
def _signals_later() -> Iterator[None]:
    """Let a signal that would raise an error do so at the end of the context only. In the midst of
    it a process may have begun that nobody knows yet."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals raise nothing here
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in _ENDING_SIGNALS}
    own = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in own:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
        for each in came:
            signal.raise_signal(each)


def wait_until_ready(home: Path) -> Runtime | None:
    """Wait for the node that another process is starting or ending on ``home``.

    Return what runs once it answers, or None once no process holds the data directory any more.

    Raises:
        NodeUnreachableError: neither came true in time.
    """
    deadline = time.monotonic() + _READY_WITHIN_S
    directory = Home(home)
    while (runtime := directory.read_runtime()) is None:
        if not directory.is_locked():
            return None
        if time.monotonic() > deadline:
            raise NodeUnreachableError(
                f"another process holds {home}, but no node has answered for "
                f"{_READY_WITHIN_S:.0f} s",
                hint=f"its log may tell why: {directory.log}",
            )
        # Nothing tells of a file that appears on all platforms alike; a look is a few microseconds.
        time.sleep(_LOOK_AGAIN_S)
    return runtime


def start_or_find(
    home: Path,
    *,
    listen: str | None = None,
    name: str | None = None,
    config: Path | None = None,
    any_port: bool = False,
    role: str | None = None,
    log_format: str | None = None,
) -> tuple[Runtime, bool]:
    """Start a detached node, or wait for the one that somebody else was quicker to start.

    Return what runs, and whether it was started here.

    Raises:
        StartError: it could not start.
        NodeUnreachableError: somebody else's did not answer in time.
    """
    while True:
        try:
            started = start_detached(
                home,
                listen=listen,
                name=name,
                config=config,
                any_port=any_port,
                role=role,
                log_format=log_format,
            )
        except AlreadyRunningError:
            running = wait_until_ready(home)
            if running is not None:
                return running, False
        else:
            return started, True


def ensure_node(settings: Settings) -> Client:
    """Return a client of the wanted node; start the local one if it is that and does not run."""
    client = Client.of(settings)
    if settings.node is not None:
        return client
    home = default_home()
    if Home(home).read_runtime() is None:
        note(settings, "no node runs here: starting one (buildnet node stop ends it)")
        start_or_find(home, any_port=True)
    if what := other_version(settings):
        note(settings, f"{what}; {RESTART}")
    return client


def runtime_dict(runtime: Runtime) -> dict[str, object]:
    """Return the JSON of ``node start --detach``."""
    return asdict(runtime)
