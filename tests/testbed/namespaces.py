"""Hosts on one machine: Linux network namespaces on a switch, and partitions between them.

    with Network(3) as network:
        process = subprocess.Popen([*network.hosts[0].prefix, "buildnet", "node", "start"])
        network.partition(network.hosts[:1], network.hosts[1:])
        network.heal()

Each host has an address of its own and every port to itself. Needs root with CAP_NET_ADMIN and
CAP_SYS_ADMIN, ``ip`` and ``iptables``: :func:`why_not` tells what is missing. What a killed run
left behind is removed by the next one; a network that a living process holds is left alone.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

_NAMESPACE = re.compile(r"bnt-(\d+)-(\d+)-\w+")
_COMMAND_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Host:
    """One host of a :class:`Network`."""

    name: str
    namespace: str
    address: str

    @property
    def prefix(self) -> tuple[str, ...]:
        """What to put before a command to run it on this host; the process stays the same."""
        return (shutil.which("ip") or "ip", "netns", "exec", self.namespace)

    def bytes_passed(self) -> tuple[int, int]:
        """Return bytes received and sent on the wire since the host came up."""
        shown = _run(*self.prefix, "cat", "/proc/net/dev")
        for line in shown.splitlines():
            name, _, counters = line.partition(":")
            if name.strip() == "eth0":
                numbers = counters.split()
                return int(numbers[0]), int(numbers[8])
        raise LookupError("no eth0")

    def processes(self) -> list[int]:
        """Return the ids of the processes that run on this host."""
        return [int(line) for line in _run("ip", "netns", "pids", self.namespace).split()]


class Network:
    """``hosts`` hosts (at most 250) on one switch, while the context is open.

    At the end everything that still runs on them is killed.
    """

    _count = 0

    def __init__(self, hosts: int) -> None:
        Network._count += 1
        # Started at: process ids come around again, and a leftover must not look alive then.
        self._prefix = f"bnt-{os.getpid()}-{_started(os.getpid())}-{Network._count}"
        self._switch = f"{self._prefix}s"
        self.hosts = tuple(
            Host(f"host{number}", f"{self._prefix}h{number}", f"10.77.0.{number}")
            for number in range(1, hosts + 1)
        )

    def __enter__(self) -> Self:
        remove_leftovers()
        try:
            self._build()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._remove()

    def block(self, source: Host, target: Host) -> None:
        """Drop what ``source`` sends to ``target``, and not the other way: a one-way partition."""
        _iptables(target, "-A", "INPUT", "-s", source.address, "-j", "DROP")

    def partition(self, *sides: Iterable[Host]) -> None:
        """Drop everything between hosts of different ``sides``."""
        groups = [tuple(side) for side in sides]
        for group in groups:
            for source in group:
                for other in groups:
                    for target in other if other is not group else ():
                        self.block(source, target)

    def close_to_strangers(self, host: Host) -> None:
        """Let nobody open a connection to ``host``, as if behind NAT; it may open them itself."""
        _iptables(host, "-A", "INPUT", "-i", "eth0", "-p", "tcp", "--syn", "-j", "DROP")

    def refuse_on(self, host: Host, port: int) -> None:
        """Answer connections to ``port`` of ``host`` with a reset, as if nobody listened."""
        reject = ("-j", "REJECT", "--reject-with", "tcp-reset")
        _iptables(host, "-A", "INPUT", "-p", "tcp", "--syn", "--dport", str(port), *reject)

    def disconnect(self, host: Host) -> None:
        """Take away a host's address and its way out, as if its cable were pulled."""
        _ip(host.namespace, "addr", "flush", "dev", "eth0")

    def connect(self, host: Host, turn: int = 1) -> Host:
        """Give a host without an address another one, with each ``turn``; return it as it is."""
        moved = replace(host, address=host.address.replace("10.77.0.", f"10.77.{turn}."))
        _give_address(moved)
        return moved

    def heal(self) -> None:
        """Let everything through again."""
        for host in self.hosts:
            _iptables(host, "-F", "INPUT")

    def _build(self) -> None:
        _run("ip", "netns", "add", self._switch)
        _ip(self._switch, "link", "set", "lo", "up")
        _ip(self._switch, "link", "add", "br0", "type", "bridge")
        _ip(self._switch, "addr", "add", "10.77.0.254/16", "dev", "br0")
        _ip(self._switch, "link", "set", "br0", "up")
        for number, host in enumerate(self.hosts, start=1):
            _run("ip", "netns", "add", host.namespace)
            _ip(host.namespace, "link", "set", "lo", "up")
            port = f"port{number}"
            peer = ("peer", "name", port, "netns", self._switch)
            _ip(host.namespace, "link", "add", "eth0", "type", "veth", *peer)
            _ip(self._switch, "link", "set", port, "master", "br0", "up")
            _give_address(host)

    def _remove(self) -> None:
        for name in (*(host.namespace for host in self.hosts), self._switch):
            _remove_namespace(name)


@cache
def why_not() -> str | None:
    """Return why no :class:`Network` can be made here, or None if one can."""
    if sys.platform != "linux":
        return "network namespaces need Linux"
    for tool in ("ip", "iptables"):
        if shutil.which(tool) is None:
            return f"the program {tool} is missing"
    try:
        with Network(2) as network:
            network.partition(network.hosts[:1], network.hosts[1:])
    except NetworkError as error:
        return f"network namespaces are not permitted: {error}"
    return None


class NetworkError(Exception):
    """A command that builds the network failed."""


def remove_leftovers() -> None:
    """Remove the networks of processes that have ended."""
    try:
        listed = _run("ip", "netns", "list")
    except NetworkError:
        return
    for line in listed.splitlines():
        name = line.partition(" ")[0]
        match = _NAMESPACE.fullmatch(name)
        if match is not None and not _lives(int(match[1]), int(match[2])):
            _remove_namespace(name)


def _lives(process_id: int, started: int) -> bool:
    try:
        return _started(process_id) == started
    except (FileNotFoundError, ProcessLookupError):
        return False


def _started(process_id: int) -> int:
    """Return when it started, in clock ticks since boot.

    Not in unix time: a clock that is set would make a living process look like another one, and
    its network would be taken away from it.
    """
    stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[19])  # field 22; the name may hold anything


def _remove_namespace(name: str) -> None:
    """Kill what runs there and remove it; with it go its interfaces and rules."""
    try:
        running = _run("ip", "netns", "pids", name)
    except NetworkError:
        return  # it was not made
    for process_id in running.split():
        try:
            os.kill(int(process_id), signal.SIGKILL)
        except ProcessLookupError:
            continue
    _run("ip", "netns", "del", name)


def _give_address(host: Host) -> None:
    _ip(host.namespace, "addr", "add", f"{host.address}/16", "dev", "eth0")
    _ip(host.namespace, "link", "set", "eth0", "up")
    # Leads nowhere, but a host looks at its way out to learn its own address.
    _ip(host.namespace, "route", "add", "default", "via", "10.77.0.254")


def _ip(namespace: str, *arguments: str) -> None:
    _run("ip", "-n", namespace, *arguments)


def _iptables(host: Host, *arguments: str) -> None:
    _run(*host.prefix, "iptables", "-w", *arguments)


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_COMMAND_TIMEOUT_S, check=False
        )
    except OSError as error:
        raise NetworkError(str(error)) from error
    if done.returncode != 0:
        raise NetworkError(f"{' '.join(command)}: {done.stderr.strip() or done.returncode}")
    return done.stdout
