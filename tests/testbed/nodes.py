"""Real nodes as processes of their own, on this machine or in network namespaces."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import Any, Protocol

import psutil

from buildnet.cli.testing import Answer
from buildnet.node.daemon import StartOptions
from buildnet.node.home import Home
from testbed.background import Background
from testbed.commands import ForkedCommandLine
from testbed.described import problem_of_answer
from testbed.fault_proxy import FaultProxy, Faults
from testbed.fork_server import NO_PROGRAMS, NODE, ForkServer, can_fork, shared_server
from testbed.namespaces import Host
from testbed.offices import Office, agreement, of_quorum
from testbed.ports import free_ports

_ANSWER_TIMEOUT_S = 10.0
_START_TIMEOUT_S = 120.0
_LINES_TOLD = 60


class NodeError(AssertionError):
    """A node or its command did not do what a test rests on."""


class NodeEndedError(ConnectionError):
    """A node's process is gone though nobody of the test ended it; tells what its log said last."""


class Process(Protocol):
    """A process that was started; ``subprocess.Popen`` is one."""

    @property
    def pid(self) -> int:
        """Its number."""

    def poll(self) -> int | None:
        """Return how it ended; None: it runs."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; return how."""

    def send_signal(self, number: int) -> None:
        """Send it a signal."""

    def terminate(self) -> None:
        """Send it SIGTERM."""

    def kill(self) -> None:
        """Send it SIGKILL."""


class Node:
    """One node; see :class:`testbed.offices.Member`. Its data directory outlives its process.

    Its process is forked; see :mod:`testbed.fork_server`. ``bare``: it finds no tools, so that its
    scan costs nothing worth mentioning.
    """

    def __init__(
        self,
        home: Path,
        name: str,
        *,
        listen: str | None = None,
        host: Host | None = None,
        bare: bool = False,
    ) -> None:
        self.name = name
        self.home = Home(home)
        self.host = host
        self.command = ForkedCommandLine(home, host)
        self.identity = ""
        self.address = ""
        self._listen = listen
        self._bare = bare
        self._process: Process | None = None
        self._connection: socket.socket | None = None

    @property
    def launched(self) -> Process:
        """Its process, as who started it holds it."""
        if self._process is None:
            raise NodeError(f"{self.name} does not run")
        return self._process

    @property
    def is_running(self) -> bool:
        """Whether its process is there, frozen or not."""
        return self._process is not None and self._process.poll() is None

    @property
    def process(self) -> psutil.Process:
        """Its process."""
        return psutil.Process(self.launched.pid)

    def advertise(self, address: str) -> None:
        """Let it tell others to dial ``address`` (``HOST:PORT``); before its first start."""
        self.home.directory.mkdir(parents=True)
        self.home.config.write_text(json.dumps({"network": {"advertise_address": address}}))

    def start(self) -> None:
        """Start it; return once it answers."""
        self._measure()
        options: dict[str, object] = {field.name: None for field in fields(StartOptions)}
        options |= {
            "home": str(self.home.directory),
            "listen": self._listen,
            "name": self.name,
            "any_port": False,
        }
        reading, writing = os.pipe()
        try:
            environment = self.command.environment
            if self._bare:
                environment = environment | {"PATH": NO_PROGRAMS}
            self._process = self.launch(writing, json.dumps(options), environment)
        finally:
            os.close(writing)
        with os.fdopen(reading, encoding="utf-8") as said:
            answer = json.loads(said.readline() or "null")
        if answer is None or "ready" not in answer:
            self.kill()
            raise NodeError(f"{self.name} did not start: {answer}")
        self.identity = answer["ready"]["node_id"]
        self.address = answer["ready"]["address"]

    def _measure(self) -> None:
        """Say how fast its host is, as fast as those of all others: it need not find out."""
        self.home.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.home.benchmark.exists():
            measured = {"cpu_units": 100.0, "measured_at": "2026-01-01T00:00:00Z"}
            self.home.benchmark.write_text(json.dumps(measured))

    def launch(self, writing: int, options: str, environment: dict[str, str]) -> Process:
        """Return a new process of it, which tells the pipe ``writing`` how its start went."""
        if can_fork(environment):
            return self.fork_server().launch(
                NODE,
                [str(writing), options],
                environment=environment,
                descriptors={writing: writing},
                network=self.host.namespace if self.host else None,
                session=True,
            )
        return subprocess.Popen(
            [
                *(self.host.prefix if self.host else ()),
                *(sys.executable, "-m", "buildnet.node", str(writing), options),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[writing],
            start_new_session=True,
            cwd="/",
            env=environment,
        )

    def fork_server(self) -> ForkServer:
        """Return where its process is forked."""
        return shared_server()

    def __call__(self, *arguments: str) -> Answer:
        """Run a ``buildnet`` command of this node's owner, on its host."""
        return self.command(*arguments)

    def get(self, path: str) -> Any:
        """Ask its API over the unix socket, on a connection that is kept."""
        return self._ask("GET", path, None)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """The same for what changes something."""
        return self._ask("POST", path, body)

    def office(self) -> Office | None:
        """Return whom it holds for the coordinator."""
        try:
            told = self.get("/api/node")
        except OSError:
            return None
        coordinator = told["coordinator"]
        if coordinator is None:
            return Office(None, told["term"], False)
        return Office(coordinator["node_id"], coordinator["term"], coordinator["quorum"])

    def kill(self) -> None:
        """End it by SIGKILL."""
        self.hang_up()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

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
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)
            return True
        return False

    def freeze(self) -> None:
        """Stop its process."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it as its owner does."""
        self.hang_up()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_TIMEOUT_S)
            self._process = None

    def _ended(self) -> NodeEndedError:
        code = None
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):  # it refuses a little before it is gone
                code = self._process.wait(5)
        try:
            said = self.home.log.read_text(encoding="utf-8").splitlines()[-_LINES_TOLD:]
        except OSError as error:
            said = [f"its log can't be read: {error}"]
        return NodeEndedError("\n".join([f"{self.name} refuses (exit code {code}):", *said]))

    def hang_up(self) -> None:
        """Close the kept connection to its API."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(content)}\r\n\r\n"
        )
        was_kept = self._connection is not None
        try:
            status, answer = self._exchange(head.encode() + content)
        except OSError:
            self.hang_up()
            if not was_kept:
                raise
            # The node ends connections that are not used for some seconds.
            status, answer = self._exchange(head.encode() + content)
        if status >= 400:
            raise NodeError(f"{self.name} answered {method} {path} with {status}: {answer!r}")
        said = json.loads(answer)
        problem = problem_of_answer(method, path, status, said, strict=False)
        assert problem is None, problem
        return said

    def _exchange(self, request: bytes) -> tuple[int, bytes]:
        if self._connection is None:
            self._connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._connection.settimeout(_ANSWER_TIMEOUT_S)
            try:
                self._connection.connect(str(self.home.socket_path()))
            except ConnectionRefusedError as error:
                raise self._ended() from error
        self._connection.sendall(request)
        return _read_answer(self._connection)


def _read_answer(connection: socket.socket) -> tuple[int, bytes]:
    received = b""
    while b"\r\n\r\n" not in received:
        received += _some(connection)
    head, _, content = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    size = int(headers["content-length"])
    while len(content) < size:
        content += _some(connection)
    return int(status.split()[1]), content


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise ConnectionResetError("the node hung up")
    return data


class Cluster:
    """Nodes in one cluster while the context is open; the first one founded it.

    Without ``hosts`` they listen on ports of the loopback address; with them each one on port 80
    of its host. ``faults``: each node is reached by the others through a proxy that has them;
    ``proxies`` are in the order of ``members`` and belong to the loop of ``background``. ``make``:
    makes a member, as :class:`Node` does.
    """

    def __init__(
        self,
        directory: Path,
        size: int,
        *,
        hosts: Sequence[Host] = (),
        bare: bool = True,
        faults: Faults | None = None,
        make: Callable[..., Node] = Node,
    ) -> None:
        self.proxies: list[FaultProxy] = []
        self._faults = faults
        self.background = Background()
        listens = ["0.0.0.0:80"] * size
        if not hosts:
            ports = free_ports(size)
            listens = [f"127.0.0.1:{port}" for port in ports]
            if faults is not None:
                self.proxies = [FaultProxy("127.0.0.1", port, seed=port) for port in ports]
        self.members = [
            make(
                directory / f"node{number}",
                f"node{number}",
                listen=listen,
                host=hosts[number - 1] if hosts else None,
                bare=bare,
            )
            for number, listen in enumerate(listens, start=1)
        ]

    def __enter__(self) -> Cluster:
        self.background.__enter__()
        try:
            self._open_proxies()
            with ThreadPoolExecutor(os.cpu_count()) as threads:
                list(threads.map(Node.start, self.members))
            founder, *others = self.members
            if others:
                token = invite(founder, len(others))
                for node in others:
                    join(node, founder, token)
            self.settle()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.members:
            node.thaw()
            node.kill()
        for proxy in self.proxies:
            self.background.run(proxy.cut())
        self.background.__exit__(None, None, None)

    def _open_proxies(self) -> None:
        for node, proxy in zip(self.members, self.proxies, strict=bool(self.proxies)):
            self.background.run(proxy.restore())
            if self._faults is not None:
                self.background.run(proxy.set(self._faults))
            node.advertise(proxy.address)

    def settle(self, patience_s: float = 60.0) -> Office:
        """Wait until all agree on a coordinator with a majority, all see each other alive, and as
        many vote as should."""
        size = len(self.members)
        wanted = (size, voters_of(size), voters_of(size))
        deadline = time.monotonic() + patience_s
        for node in self.members:
            while (seen := alive_and_voting(node)) != wanted:
                if time.monotonic() > deadline:
                    raise NodeError(
                        f"{node.name} sees {seen}, not {wanted} alive, voters, voters reachable"
                    )
                time.sleep(0.05)
        return agreement(self.members, of_quorum, patience_s)[0]

    def coordinator(self, office: Office) -> Node:
        """Return the member that coordinates."""
        return next(node for node in self.members if node.identity == office.coordinator)


def invite(member: Node, uses: int = 1) -> str:
    """Return a token that admits ``uses`` nodes."""
    return str(member.post("/api/node/invite", {"uses": uses})["token"])


def join(node: Node, member: Node, token: str) -> None:
    """Let ``node`` join the cluster of ``member``; return once it is a member."""
    node.post("/api/pool/join", {"address": member.address, "token": token})


def alive(node: Node) -> int:
    """Return how many nodes ``node`` sees alive, itself included."""
    return int(node.get("/api/node")["cluster"]["reachable"])


def alive_and_voting(node: Node) -> tuple[int, int, int]:
    """Return how many nodes ``node`` sees alive, how many vote, how many of those it reaches."""
    told = health(node)
    quorum = told["quorum"]
    online = sum(bool(other["reachable"]) for other in told["nodes"])
    return online, quorum["voters"], quorum["voters_reachable"]


def voters_of(workers: int) -> int:
    """Return how many of ``workers`` nodes vote: an odd number, seven at most."""
    return min(7, workers - 1 + workers % 2)


def health(node: Node) -> dict[str, Any]:
    """Return the JSON of ``pool health`` on ``node``."""
    told: dict[str, Any] = node.get("/api/pool/health")
    return told


def refused(node: Node) -> dict[str, int]:
    """Return how often ``node`` counted each reason."""
    return {each["reason"]: each["count"] for each in health(node)["refused"]}
