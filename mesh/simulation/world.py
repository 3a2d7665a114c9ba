"""Everything that is simulated in one run: hosts, network, time, and what happened."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Host, Program, Start
from buildnet.mesh.simulation.network import End, Network
from buildnet.mesh.simulation.timeline import Timeline
from buildnet.mesh.simulation.watch import Watch
from buildnet.mesh.testing import MIDNIGHT_MS, key_number

if TYPE_CHECKING:
    from buildnet.mesh.simulation.cluster import Cluster

ProgramFactory = Callable[[Start], Program]


class World:
    """One run's hosts, network and clock; a function of its seed.

    Args:
        seed: what all randomness comes from.
        program: starts what runs on a host.
        round_trip_s: of the network while nothing is wrong with it.
        loss: the share of packets that are lost and sent again.
        history: where to write down what happens, for people.
    """

    def __init__(
        self,
        seed: int,
        program: ProgramFactory,
        *,
        round_trip_s: float = 0.001,
        loss: float = 0.0,
        history: History | None = None,
    ) -> None:
        self.seed = seed
        self.program = program
        self.history = history
        self.timeline = Timeline()
        self.epoch_ms = MIDNIGHT_MS
        self.network = Network(
            self.timeline, self.stream("network"), round_trip_s=round_trip_s, loss=loss
        )
        self.watch = Watch(self)
        self.hosts: list[Host] = []
        self.size = 0
        """How many hosts there were at the beginning: faults strike those."""
        self.struck: dict[float, Host] = {}
        """Whom a fault of the coordinator struck, by its start."""
        self.cluster: Cluster | None = None
        """What people do with the hosts."""
        self._by_key: dict[bytes, Host] = {}
        self._by_address: dict[str, Host] = {}

    def stream(self, name: str) -> random.Random:
        """Return randomness for one purpose, so that more of one leaves the others alone."""
        return random.Random(f"{self.seed} {name}")

    def add_host(self) -> Host:
        """Add a computer; nothing runs on it yet."""
        index = len(self.hosts)
        host = Host(self, index, key_number(index))
        self.hosts.append(host)
        self._by_key[host.key] = host
        self._by_address[host.address] = host
        if self.history is not None:
            self.history.name(host.key, host.name)
        return host

    def host_number(self, index: int) -> Host:
        """Return a host by its number."""
        return self.hosts[index]

    def host_of(self, key: bytes) -> Host | None:
        """Return the host that has a key."""
        return self._by_key.get(key)

    def host_at(self, address: str) -> Host | None:
        """Return the host that is reached at an address."""
        return self._by_address.get(address)

    def coordinator(self) -> Host | None:
        """Return the host that works and holds the greatest office, by its own account."""
        best: tuple[tuple[bool, int], Host] | None = None
        for host in self.hosts:
            if host.works and host.program is not None:
                office = host.program.local.office
                if office is not None and office.coordinator == host.key:
                    claim = (office.quorum, office.counter)
                    if best is None or claim > best[0]:
                        best = (claim, host)
        return None if best is None else best[1]

    def stuck_towards(self, host: Host) -> list[End]:
        """Return the ends of other hosts whose packets to ``host`` were not acknowledged."""
        ends: list[End] = []
        for other in self.hosts:
            if other is not host:
                ends += self.network.path(other.index, host.index).stuck
        return ends

    def note(self, host: Host | None, text: str) -> None:
        """Write down what the world did, if somebody will read it."""
        if self.history is not None:
            self.history.line(self.timeline.now, "" if host is None else host.name, text)

    def broken(self, host: Host, what: str, detail: str) -> None:
        """Take note of something that must never happen, and stop that process."""
        self.watch.violated(what, f"{host.name}: {detail}")
        host.kill()

    def run(self, seconds: float) -> None:
        """Let virtual time go on."""
        self.timeline.run(self.timeline.now + seconds)
