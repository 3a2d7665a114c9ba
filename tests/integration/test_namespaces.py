"""Hosts in network namespaces: they reach each other, or not, as the test says."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from testbed import namespaces
from testbed.namespaces import Host, Network, NetworkError, why_not

PORT = 80
TALK = """
import socket, sys
if sys.argv[1] == "listen":
    with socket.create_server(("0.0.0.0", int(sys.argv[2]))) as server:
        print("listening", flush=True)
        while True:
            connection, address = server.accept()
            connection.sendall(address[0].encode())
            connection.close()
with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3])) as it:
    print(it.recv(100).decode())
"""


def ask(source: Host, target: Host, patience_s: float = 0.3) -> str:
    """Return what ``target`` says to ``source``: its address as the target sees it, or why not."""
    talk = [*source.prefix, sys.executable, "-ISc", TALK, target.address, str(PORT)]
    done = subprocess.run([*talk, str(patience_s)], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip().splitlines()[-1].partition(":")[0]


@pytest.fixture
def network() -> Iterator[Network]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with Network(3) as network:
        for host in network.hosts:
            listen = [*host.prefix, sys.executable, "-ISc", TALK, "listen", str(PORT)]
            process = subprocess.Popen(listen, stdout=subprocess.PIPE)
            threading.Thread(target=process.wait).start()  # killed with its host
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            process.stdout.close()
        yield network


def test_hosts_reach_each_other_until_they_are_parted(network: Network) -> None:
    first, second, third = network.hosts
    assert ask(first, second) == first.address
    assert ask(third, first) == third.address
    before = second.bytes_passed()
    network.partition([first], [second, third])
    assert ask(first, second) == "TimeoutError"
    assert ask(third, first) == "TimeoutError"
    assert ask(second, third) == second.address
    network.heal()
    assert ask(first, second) == first.address
    after = second.bytes_passed()
    assert all(later > earlier for earlier, later in zip(before, after, strict=True))


def test_a_partition_may_be_one_way(network: Network) -> None:
    """Of two hosts that can't hear each other's answers neither can connect."""
    first, second, third = network.hosts
    network.block(first, second)
    assert ask(first, second) == "TimeoutError"
    assert ask(second, first) == "TimeoutError"
    assert ask(third, second) == third.address
    sent = first.bytes_passed()[1]
    ask(second, first)
    assert first.bytes_passed()[1] > sent  # its answers leave, and are dropped at the other side


def test_a_host_behind_nat_and_a_port_where_nobody_listens(network: Network) -> None:
    first, second, third = network.hosts
    network.close_to_strangers(first)
    assert ask(second, first) == "TimeoutError"
    assert ask(first, second) == first.address
    network.refuse_on(third, PORT)
    assert ask(second, third) == "ConnectionRefusedError"


def test_nothing_is_left_behind(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {host.namespace for host in network.hosts}

    def there() -> set[str]:
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
        return {line.partition(" ")[0] for line in listed.stdout.splitlines()} & names

    processes = [each for host in network.hosts for each in host.processes()]
    assert len(processes) == 3
    namespaces.remove_leftovers()
    assert there() == names  # we live
    ours = int(network.hosts[0].namespace.split("-")[2])
    monkeypatch.setattr(namespaces, "_lives", lambda process_id, started: started != ours)
    namespaces.remove_leftovers()
    assert there() == set()
    for host in network.hosts:
        with pytest.raises(NetworkError):
            host.processes()
