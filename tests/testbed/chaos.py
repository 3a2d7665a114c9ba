"""Random crashes, freezes and partitions of real nodes, and what must hold throughout."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from testbed.namespaces import Host, Network
from testbed.nodes import Cluster, Node, NodeError
from testbed.offices import Office

_LOOK_EVERY_S = 0.03
_HEALED_WITHIN_S = 35.0


class ViolationError(AssertionError):
    """Something that must hold did not."""


@dataclass(slots=True)
class Watch:
    """What the nodes told: in each granted term one coordinator, and terms that only grow."""

    holders: dict[int, str] = field(default_factory=dict)
    terms: dict[str, int] = field(default_factory=dict)
    looks: int = 0

    def look(self, node: Node) -> None:
        """Ask a node, and compare with all that was told before.

        Raises:
            ViolationError: two coordinators of one term, or a term that went back.
        """
        office = node.office()
        if office is None:
            return
        self.looks += 1
        self.take(node.name, office)

    def take(self, name: str, office: Office) -> None:
        """Compare what a node told with all that was told before."""
        if office.coordinator is None or not office.quorum:
            return
        holder = self.holders.setdefault(office.term, office.coordinator)
        if holder != office.coordinator:
            raise ViolationError(
                f"{name} tells of {office.coordinator} in term {office.term}, which {holder} held"
            )
        if office.term < self.terms.get(name, 0):
            raise ViolationError(f"{name} went back from term {self.terms[name]} to {office.term}")
        self.terms[name] = office.term


@dataclass(slots=True)
class Chaos:
    """Does bad things to the nodes of ``cluster``, by the lots of ``seed``."""

    network: Network
    cluster: Cluster
    seed: int
    watch: Watch = field(default_factory=Watch)
    done: Counter[str] = field(default_factory=Counter)
    _lots: random.Random = field(init=False)
    _dead: list[Node] = field(default_factory=list)
    _frozen: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lots = random.Random(self.seed)

    def run(self, seconds: float) -> Office:
        """Go on for ``seconds``, then heal everything; return the office all agree on.

        Raises:
            ViolationError, NodeError, DisagreementError: what must hold did not; the message has
                the seed.
        """
        try:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                self._strike()
                self._look_for(self._lots.uniform(0.2, 2.5))
            self._heal()
            office = self.cluster.settle(_HEALED_WITHIN_S)
            for node in self.cluster.members:
                self.watch.look(node)
        except AssertionError as error:
            raise ViolationError(f"seed {self.seed}, after {dict(self.done)}: {error}") from error
        return office

    def _look_for(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            for node in self._awake():
                self.watch.look(node)
            time.sleep(_LOOK_EVERY_S)

    def _awake(self) -> list[Node]:
        away = [*self._dead, *self._frozen]
        return [node for node in self.cluster.members if node not in away]

    def _strike(self) -> None:
        strikes = (self._kill, self._start, self._freeze, self._thaw, self._part, self._block)
        strike = self._lots.choice((*strikes, self.network.heal))
        self.done[strike.__name__.strip("_")] += 1
        strike()

    def _kill(self) -> None:
        if len(awake := self._awake()) > 1:
            victim = self._lots.choice(awake)
            victim.kill()
            self._dead.append(victim)

    def _start(self) -> None:
        if self._dead:
            self._dead.pop(0).start()

    def _freeze(self) -> None:
        if len(awake := self._awake()) > 1:
            victim = self._lots.choice(awake)
            victim.hang_up()
            victim.freeze()
            self._frozen.append(victim)

    def _thaw(self) -> None:
        if self._frozen:
            self._frozen.pop(0).thaw()

    def _part(self) -> None:
        hosts = list(self.network.hosts)
        self._lots.shuffle(hosts)
        cut = self._lots.randrange(1, len(hosts))
        self.network.heal()
        self.network.partition(hosts[:cut], hosts[cut:])

    def _block(self) -> None:
        source, target = self._two(self.network.hosts)
        self.network.block(source, target)

    def _two(self, hosts: Sequence[Host]) -> tuple[Host, Host]:
        first, second = self._lots.sample(list(hosts), 2)
        return first, second

    def _heal(self) -> None:
        self.network.heal()
        while self._frozen:
            self._thaw()
        while self._dead:
            self._start()


def check_logs(cluster: Cluster) -> None:
    """Look for errors in the nodes' logs.

    Raises:
        NodeError: there is one.
    """
    for node in cluster.members:
        log = (node.home.directory / "node.log").read_text()
        if '"level": "error"' in log:
            raise NodeError(f"{node.name} logged an error:\n{log}")
