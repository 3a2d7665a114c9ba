"""A cluster of etcd servers on this machine, to compare with."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from testbed.offices import Office, agreement, of_quorum
from testbed.ports import free_ports


def why_not() -> str | None:
    """Return why there is no etcd here, or None."""
    return None if shutil.which("etcd") else "etcd is missing (Debian: apt-get install etcd-server)"


class EtcdServer:
    """One server; see :class:`testbed.offices.Member`."""

    def __init__(self, name: str, directory: Path, port: int, peer_port: int) -> None:
        self.name = name
        self.peer_url = f"http://127.0.0.1:{peer_port}"
        self.identity = ""
        self._directory = directory
        self._port = port
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: http.client.HTTPConnection | None = None
        self.cluster = ""

    def office(self) -> Office | None:
        """Return leader and term as this server knows them."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=5)
        try:
            self._connection.request("POST", "/v3/maintenance/status", "{}")
            status = json.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            self._connection = None
            return None
        self.identity = status["header"]["member_id"]
        leader = status.get("leader", "0")
        return Office(
            None if leader == "0" else leader, int(status.get("raftTerm", 0)), leader != "0"
        )

    def start(self) -> None:
        """Start it; it answers soon after."""
        url = f"http://127.0.0.1:{self._port}"
        with (self._directory / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "etcd",
                    *("--name", self.name, "--data-dir", str(self._directory / self.name)),
                    *("--listen-client-urls", url, "--advertise-client-urls", url),
                    *("--listen-peer-urls", self.peer_url),
                    *("--initial-advertise-peer-urls", self.peer_url),
                    *("--initial-cluster", self.cluster, "--logger", "zap"),
                ],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"]},
            )

    def kill(self) -> None:
        """End it by SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def freeze(self) -> None:
        """Stop its process."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


class EtcdCluster:
    """``size`` servers with etcd's default timing (heartbeat 100 ms, election 1 s)."""

    def __init__(self, directory: Path, size: int) -> None:
        ports = free_ports(2 * size)
        self.members = [
            EtcdServer(f"etcd{number}", directory, ports[2 * number], ports[2 * number + 1])
            for number in range(size)
        ]
        cluster = ",".join(f"{member.name}={member.peer_url}" for member in self.members)
        for member in self.members:
            member.cluster = cluster

    def __enter__(self) -> EtcdCluster:
        try:
            for member in self.members:
                member.start()
            agreement(self.members, of_quorum)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for member in self.members:
            member.thaw()
            member.kill()
