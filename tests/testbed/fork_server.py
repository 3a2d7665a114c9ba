"""Processes of BuildNet whose start costs little: forked from one that has loaded all of it.

Most of a node's start, and nearly all of a short command, is to load modules: a second of CPU and a
third of one. What runs after the fork is what ``python -m MODULE ARGUMENTS…`` runs, with its own
arguments, environment, directory, descriptors, session and network, and fresh random numbers; no
thread and no loop has run before it. What it is not: its ``/proc/PID/cmdline`` and ``environ`` are
the server's, all processes of one server hash strings alike, what was loaded is frozen for the
garbage collection from the beginning (a node does that itself once it is ready), and what Python
or the system's linker read from the environment before they run is the server's too, see
:func:`can_fork`.

Nodes of :mod:`testbed.nodes` and commands of :mod:`testbed.commands` start this way. Tests of the
start itself use the true one: ``tests/cli/test_start.py``, ``tests/test_repository.py``,
``tests/integration/test_demo.py``, and those of ``test_nodes.py``, ``test_node_builds.py`` and
``test_node_answers.py`` there that ask for ``true_buildnet`` or call ``python -m`` themselves.
"""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import gc
import importlib
import importlib.util
import json
import os
import pkgutil
import random
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any, Self

NODE = "buildnet.node.__main__"
COMMAND = "buildnet.cli.main"
NO_PROGRAMS = "/nonexistent"
"""A search path without any. With it a forked node looks in the usual directories neither: to ask
each tool there for its version costs seconds of CPU."""

_LANGUAGE = "C.UTF-8"
_READ_BEFORE = ("LD_", "LC_", "PYTHON", "MALLOC_", "GLIBC_", "FORCE_COLOR", "TERMINAL_WIDTH")
_LIBRARIES = (
    *("uvloop", "uvicorn.lifespan.off", "uvicorn.protocols.http.httptools_impl"),
    *("pydantic.v1", "encodings.idna", "rich.console", "rich.table", "typer._click.decorators"),
)
_ROOMS = ("mesh", "ledger", "pool", "node", "cli")
_NOT_LOADED = re.compile(
    r"\.(__main__|testing|reference|simulation(\..*)?|dashboard\.(?!command).*)$"
)
# Made when their module is loaded, and each process must have its own.
_OWN = {"buildnet.node.execute.delivery": ("_RUN",)}
_MAX_BYTES = 1 << 18
_MAX_DESCRIPTORS = 16
_KILLED = -signal.SIGKILL
_PR_SET_PDEATHSIG = 1
_CLONE_NEWNS = 0x00020000
_CLONE_NEWNET = 0x40000000
_MS_REC_SLAVE = 0x4000 | 0x80000
_MNT_DETACH = 2


def can_fork(environment: Mapping[str, str]) -> bool:
    """Tell whether a process with ``environment`` can be forked; else start it truly."""
    return (
        sys.platform == "linux"
        and environment.get("LANG") == _LANGUAGE
        and not any(name.startswith(_READ_BEFORE) for name in environment)
    )


class ForkServer:
    """The process that others are forked from, while the context is open or its owner lives.

    None of them outlives it. Any thread may ask for one.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @classmethod
    def behind(cls, descriptor: int) -> Self:
        """Return the one that another process started, and whose requests go to ``descriptor``."""
        server = cls()
        server._socket = socket.socket(fileno=descriptor)
        return server

    def __enter__(self) -> Self:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(theirs.fileno()), str(os.getpid())],
                env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": _LANGUAGE},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        assert self._socket is not None
        assert self._process is not None
        self._socket.close()
        self._process.kill()  # it holds nothing but processes, which end with it
        self._process.wait()

    def launch(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        descriptors: Mapping[int, int],
        cwd: Path | str = "/",
        network: str | None = None,
        session: bool = False,
        nodes_too: bool = False,
    ) -> Forked:
        """Return a process that runs ``module`` (:data:`NODE` or :data:`COMMAND`).

        ``descriptors``: which of ours each of its descriptors is; 0, 1 and 2 are nothing's unless
        given. ``network``: the namespace it belongs to. ``session``: it has its own.
        ``nodes_too``: the detached nodes that it starts are forked too.
        """
        assert self._socket is not None
        request = _Request(
            module, tuple(arguments), dict(environment), str(cwd), network, session, nodes_too
        )
        nothing = os.open(os.devnull, os.O_RDWR)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            try:
                given = {0: nothing, 1: nothing, 2: nothing} | dict(descriptors)
                sent = [theirs.fileno(), *given.values()]
                if nodes_too:
                    sent.append(self._socket.fileno())
                message = json.dumps([request.fields(), list(given)]).encode()
                socket.send_fds(self._socket, [message], sent)
            finally:
                os.close(nothing)
            theirs.close()
            pid, handles, _, _ = socket.recv_fds(ours, _MAX_BYTES, 1)
            if not pid:
                raise ConnectionError("the fork server is gone; it said why on standard error")
            return Forked(tuple(arguments), int(pid), handles[0], ours.detach())


_lock = threading.Lock()
_shared: ForkServer | None = None


def shared_server() -> ForkServer:
    """Return this process's server; it is started when it is first asked for."""
    global _shared
    with _lock:
        if _shared is None:
            _shared = ForkServer().__enter__()
            atexit.register(_shared.__exit__)
        return _shared


class Forked:
    """A process of a fork server, as far as ``subprocess.Popen`` is needed."""

    def __init__(self, arguments: tuple[str, ...], pid: int, handle: int, told: int) -> None:
        self.args = arguments
        self.pid = pid
        self.returncode: int | None = None
        self._handle = handle  # of the process, so that its number can't be another's
        self._told = told  # how it ended
        self._turn = threading.Lock()

    def poll(self) -> int | None:
        """Return how it ended, as ``subprocess`` does; None: it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return how.

        Raises:
            subprocess.TimeoutExpired: it runs on.
        """
        code = self._look(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0.0)
        return code

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it runs."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        """Send it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout_s: float | None) -> int | None:
        poll = select.poll()
        poll.register(self._told, select.POLLIN)
        poll.poll(None if timeout_s is None else timeout_s * 1000)
        with self._turn:
            if self.returncode is None and poll.poll(0):
                self.returncode = int(os.read(self._told, _MAX_BYTES) or _KILLED)
            return self.returncode

    def __del__(self) -> None:
        os.close(self._handle)
        os.close(self._told)


@dataclass(frozen=True, slots=True)
class _Request:
    """What a process is to be, besides its descriptors."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    cwd: str
    network: str | None
    session: bool
    nodes_too: bool

    def fields(self) -> list[Any]:
        return [getattr(self, name) for name in self.__slots__]


def _serve(control: socket.socket, owner: int) -> tuple[_Request, list[int], list[int]] | None:
    """Fork for each request until ``owner`` is gone; return None then.

    In the forked process: return what it is to be, its descriptors, and their numbers there.
    """
    running: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    for descriptor in (control.fileno(), owner):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == owner:
                return None
            if descriptor != control.fileno():
                poll.unregister(descriptor)
                pid, told = running.pop(descriptor)
                code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
                _tell(told, str(code).encode())
                os.close(descriptor)
                os.close(told)
                continue
            asked, received, _, _ = socket.recv_fds(control, _MAX_BYTES, _MAX_DESCRIPTORS)
            if not asked:
                return None
            told, *given = received
            pid = os.fork()
            if not pid:
                control.detach()
                fields, numbers = json.loads(asked)
                return _Request(*fields), given, numbers
            handle = os.pidfd_open(pid)
            running[handle] = pid, told
            poll.register(handle, select.POLLIN)
            _tell(told, str(pid).encode(), handle)
            for each in given:
                os.close(each)


def _tell(descriptor: int, message: bytes, *handles: int) -> None:
    with socket.socket(fileno=os.dup(descriptor)) as told, suppress(BrokenPipeError):
        socket.send_fds(told, [message], handles)


def _become(request: _Request, given: list[int], numbers: list[int], server: int) -> int:
    """Be the process of ``request``; return its exit code."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server:
        return 1
    if request.network is not None:
        _enter(libc, request.network)
    if request.session:
        os.setsid()
    os.chdir(request.cwd)
    os.environ.clear()
    os.environ.update(request.environment)
    for module, names in _OWN.items():
        make_again(sys.modules[module], names)
    if os.environ.get("PATH") == NO_PROGRAMS:
        vars(sys.modules["buildnet.node.scan.detect"])["_USUAL_DIRECTORIES"] = ()
    if request.nodes_too:
        again = _take(given, [*numbers, max(numbers) + 1])
        os.set_inheritable(again, False)
        _fork_nodes(ForkServer.behind(again), request.network)
    else:
        _take(given, numbers)
    return _run(request)


def _enter(libc: ctypes.CDLL, network: str) -> None:
    """Do what ``ip netns exec`` does, so that /sys shows that network too."""

    def do(outcome: int) -> None:
        if outcome != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), network)

    namespace = os.open(f"/run/netns/{network}", os.O_RDONLY | os.O_CLOEXEC)
    do(libc.setns(namespace, _CLONE_NEWNET))
    os.close(namespace)
    do(libc.unshare(_CLONE_NEWNS))
    do(libc.mount(b"", b"/", b"none", _MS_REC_SLAVE, None))
    do(libc.umount2(b"/sys", _MNT_DETACH))
    do(libc.mount(network.encode(), b"/sys", b"sysfs", 0, None))


def _take(given: list[int], numbers: list[int]) -> int:
    """Let ``given`` be this process's only descriptors, under ``numbers``; return the last one."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in given:
            with suppress(OSError):  # the one of the listing
                os.close(int(name))
    above = max(*given, *numbers) + 1
    moved = [fcntl.fcntl(each, fcntl.F_DUPFD, above) for each in given]
    for each in given:
        os.close(each)
    for each, number in zip(moved, numbers, strict=True):
        os.dup2(each, number)
        os.close(each)
    return numbers[-1]


def make_again(module: ModuleType, names: Sequence[str]) -> None:
    """Give ``names`` of a module the values that they get where it is loaded afresh."""
    assert module.__spec__ is not None
    assert module.__spec__.loader is not None
    fresh = importlib.util.module_from_spec(module.__spec__)
    sys.modules[module.__name__] = fresh  # its dataclasses look there for their types
    module.__spec__.loader.exec_module(fresh)
    sys.modules[module.__name__] = module
    for name in names:
        setattr(module, name, getattr(fresh, name))


def _run(request: _Request) -> int:
    """Run its ``main`` and end as Python does, but do not take down what was loaded."""
    module = sys.modules["__main__"] = sys.modules[request.module]
    sys.argv = [str(module.__file__), *request.arguments]
    code: object = 1
    try:
        code = module.main(list(request.arguments))
    except SystemExit as end:
        code = end.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python's end does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120  # as Python's end has it
    return int(code or 0)  # type: ignore[call-overload, no-any-return]


def _fork_nodes(server: ForkServer, network: str | None) -> None:
    """Let commands of this process fork the nodes that they start detached."""
    from buildnet.cli import start

    fork = partial(_fork_node, server, network)
    start.__dict__["subprocess"] = SimpleNamespace(Popen=fork, DEVNULL=subprocess.DEVNULL)


def _fork_node(
    server: ForkServer, network: str | None, command: list[str], *, cwd: str, **options: Any
) -> Forked:
    assert command[:3] == [sys.executable, "-m", "buildnet.node"], command
    return server.launch(
        NODE,
        command[3:],
        environment=os.environ,
        descriptors={number: number for number in options["pass_fds"]},
        cwd=cwd,
        network=network,
        session=options["start_new_session"],
    )


def _load() -> None:
    """Load what nodes and commands load, most of it only once they need it.

    Raises:
        AssertionError: something in there belongs to one process only and is not known to.
    """
    for name in _LIBRARIES:
        importlib.import_module(name)
    for room in _ROOMS:
        package = importlib.import_module(f"buildnet.{room}")
        for found in pkgutil.walk_packages(package.__path__, f"buildnet.{room}."):
            if not _NOT_LOADED.search(found.name):
                importlib.import_module(found.name)
    importlib.import_module(NODE)
    _make_commands()
    for module, name in _of_this_process():
        assert name in _OWN.get(module, ()), f"{module}.{name}: see _OWN of {__file__}"
    assert len(os.listdir("/proc/self/task")) == 1, "a thread would not be there after a fork"
    gc.collect()
    gc.freeze()  # a fork shares what is not written to


def _make_commands() -> None:
    """Have Typer make the commands from what annotates them: the same for each process."""
    import typer.main

    from buildnet.cli.commands import app

    vars(typer.main)["get_command"] = cache(typer.main.get_command)
    typer.main.get_command(app)


def _of_this_process() -> Iterator[tuple[str, str]]:
    """Find what a module has made from this process's number, and random numbers in order."""
    number = re.compile(rf"(?<!\w){os.getpid()}(?!\w)")
    for module in [name for name in sys.modules if name.startswith("buildnet.")]:
        for name, value in vars(sys.modules[module]).items():
            if isinstance(value, str) and not name.startswith("__") and number.search(value):
                yield module, name
            if isinstance(value, random.Random) and not isinstance(value, random.SystemRandom):
                yield module, name


def main(arguments: list[str]) -> int:
    """Serve the owner with the given number on a descriptor of it; or be what it asked for."""
    control, owner = socket.socket(fileno=int(arguments[0])), os.pidfd_open(int(arguments[1]))
    server = os.getpid()
    _load()
    found = _serve(control, owner)
    if found is None:
        return 0
    try:
        code = _become(*found, server)
    except BaseException:
        traceback.print_exc()
        code = 1
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
