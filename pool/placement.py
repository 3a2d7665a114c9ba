"""Where commands run best: which hosts may take one, and in what order they come.

Pure, over what hosts tell of themselves: the owner of each still decides. First those are left out
that lack what a command or the build's configuration asks for. The others are ordered by the
strategy; ``smart`` weighs performance, locality, latency and availability, each from 0 to 1, by
the weights of the profile (0.4, 0.3, 0.2, 0.1), and discounts hosts that failed. What a host lacks
in general it may have for one kind of command: how long that took there before counts as speed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from buildnet.pool.configuration import STORAGE_CLASSES, ProgramRequirement, Strategy
from buildnet.pool.experience import NOTHING_KNOWN, Experience
from buildnet.pool.leases import Amount
from buildnet.pool.profile import Weights
from buildnet.pool.quantity import GIB

ONE_SLOT = Amount(slots=1)
_HALF_LATENCY_MS = 10.0
"""A round trip that long is worth half of none."""
_UNKNOWN = 0.5
"""What counts of something that is not known, from 0 to 1."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host as it is known now.

    ``slots``: commands at once, ``free`` of them have nothing to do, None: unknown; ``speed``:
    benchmark units of one slot, None: not measured; ``programs``: versions by name, None: the host
    was not scanned; ``memory_bytes``, ``storage_classes``, ``free_storage_bytes``: what it has,
    None: unknown;
    ``lends_nothing``: why its owner takes no commands of others now; ``grants``: the most that he
    gives one command, None: unknown; ``weight``: how much he would have it preferred for them;
    ``lent_here``: slots that the node which drives the build has of it already, for this or others;
    ``is_here``: it is the node that drives the build.
    """

    key: bytes
    name: str = ""
    node_id: str = ""
    slots: int | None = None
    free: int | None = None
    speed: float | None = None
    latency_ms: float | None = None
    labels: frozenset[str] = frozenset()
    platform: tuple[str, str] | None = None
    programs: Mapping[str, frozenset[str | None]] | None = None
    memory_bytes: int | None = None
    storage_classes: frozenset[str] | None = None
    free_storage_bytes: int | None = None
    lends_nothing: str | None = None
    grants: Amount | None = None
    weight: float = 1.0
    lent_here: int = 0
    is_here: bool = False

    def is_called(self, name: str) -> bool:
        """Tell whether people mean it by ``name``: its name or its id."""
        return name in (self.name, self.node_id)


@dataclass(frozen=True, slots=True)
class Needs:
    """What commands of one sort need of a host. Two with equal needs fit the same hosts.
    ``owners``: keys of the only ones that have the tools of its key; None: the driver has them."""

    amount: Amount = ONE_SLOT
    labels: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    owners: frozenset[bytes] | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One command that is to be placed.

    ``kind``: what experience with it is kept under; ``local_bytes``: how much of its inputs hosts
    have, by key, of ``input_bytes``; ``placed``: how many commands of its build run or ran there.
    """

    kind: str = ""
    input_bytes: int = 0
    local_bytes: Mapping[bytes, int] = field(default_factory=dict)
    placed: Mapping[bytes, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one build's configuration and profile say of where its commands run.

    ``cores``: so many commands at once on the nodes of these names, 0: as many as they have;
    ``memory``: bytes for all of them there, by name;
    ``only_named``: on no others (where ``memory`` alone names one, only commands that ask for some
    run there); ``max_nodes``: on so many nodes, the driver's included;
    ``preferred_node``: first wherever it may be; ``prefer_local``: the driver's own slots first;
    ``max_latency_ms``: on none that is farther; ``min_class``: on none with slower storage;
    ``min_free_bytes``: on none with less free storage, on this one only what can't run elsewhere.
    """

    strategy: Strategy = "smart"
    weights: Weights = field(default_factory=Weights)
    max_nodes: int | None = None
    cores: Mapping[str, int] = field(default_factory=dict)
    memory: Mapping[str, int] = field(default_factory=dict)
    only_named: bool = False
    labels: frozenset[str] = frozenset()
    programs: tuple[ProgramRequirement, ...] = ()
    preferred_node: str | None = None
    prefer_local: bool = False
    max_latency_ms: float | None = None
    min_class: str = "any"
    min_free_bytes: int = 0

    @property
    def may_wait(self) -> bool:
        """Whether a command may wait for a fast slot that is busy, where only slow ones are free:
        the other strategies say where each one goes."""
        return self.strategy in ("smart", "fastest")

    def most_on(self, host: Host) -> int | None:
        """Return how many commands of the build may run at once on a host; None: no bound but the
        host's own."""
        for name, cores in self.cores.items():
            if host.is_called(name):
                return cores or None
        closed = self.only_named and not host.is_here and self.memory_on(host) is None
        return 0 if closed else None

    def lends_memory_only(self, host: Host) -> bool:
        """Tell whether the build has memory on a host and no cores: it is for commands that ask for
        memory."""
        if not self.only_named or host.is_here or self.memory_on(host) is None:
            return False
        return not any(map(host.is_called, self.cores))

    def has_storage(self, host: Host) -> bool:
        """Tell whether a host has as much free storage as is asked for, as far as is known."""
        return host.free_storage_bytes is None or host.free_storage_bytes >= self.min_free_bytes

    def memory_on(self, host: Host) -> int | None:
        """Return how many bytes all commands of the build may have on a host; None: no bound."""
        return next((size for name, size in self.memory.items() if host.is_called(name)), None)

    def amount_on(self, host: Host, amount: Amount) -> Amount:
        """Return what a command gets on a host that needs the amount: what it asks for, but at
        least its share of the memory that the build has there."""
        memory_bytes = self.memory_on(host)
        if memory_bytes is None or self.lends_memory_only(host):
            return amount
        share = memory_bytes * amount.slots // max(1, self.most_on(host) or host.slots or 1)
        return Amount(amount.slots, max(amount.memory_bytes, share), amount.disk_bytes)


AS_USUAL = Preferences()


def objection(
    host: Host, needs: Needs, preferences: Preferences = AS_USUAL, here: Host | None = None
) -> str | None:
    """Say why a host can't take a command, as far as is known; None: it may. ``here``: the driver,
    whose platform and tools are those of the command's key."""
    if not host.is_here and host.lends_nothing is not None:
        return host.lends_nothing
    lacking = sorted((needs.labels | preferences.labels) - host.labels)
    if lacking:
        return f"it has no label {', '.join(lacking)}"
    amount = needs.amount
    if host.slots is not None and amount.slots > host.slots:
        return f"it runs {host.slots} at once, not {amount.slots}"
    if host.memory_bytes is not None and amount.memory_bytes > host.memory_bytes:
        return "it has less memory"
    if host.grants is not None and not amount.fits(host.grants):
        return "its owner gives one command less"
    most_bytes = preferences.memory_on(host)
    if most_bytes is not None and amount.memory_bytes > most_bytes:
        return "the configuration gives the build less memory there"
    if not preferences.has_storage(host):
        return f"it has less than {preferences.min_free_bytes / GIB:g} GiB of free storage"
    if host.is_here:
        return None
    if preferences.most_on(host) == 0:
        return "the configuration names others"
    if not amount.memory_bytes and preferences.lends_memory_only(host):
        return "the configuration names it for memory, which the command does not ask for"
    if needs.owners is not None and host.key not in needs.owners:
        return "its tools are others"
    most_ms = preferences.max_latency_ms
    if most_ms is not None and (host.latency_ms is None or host.latency_ms > most_ms):
        return f"it is farther than {most_ms:g} ms"
    if not _is_fast_enough(host, preferences.min_class):
        return f"it has no storage of the class {preferences.min_class}"
    return _other_programs(host, needs, preferences, here if needs.owners is None else None)


def _is_fast_enough(host: Host, wanted: str) -> bool:
    known = host.storage_classes
    if wanted == "any" or known is None or "unknown" in known:
        return True
    least = STORAGE_CLASSES.index(wanted)
    return any(one in STORAGE_CLASSES[least:] for one in known)


def _other_programs(
    host: Host, needs: Needs, preferences: Preferences, here: Host | None
) -> str | None:
    if host.programs is None:
        return None
    for wanted in preferences.programs:
        if not any(map(wanted.requirement.accepts, host.programs.get(wanted.name, ()))):
            return f"it has no {wanted}"
    if here is None or here.programs is None:
        return None
    if None not in (here.platform, host.platform) and here.platform != host.platform:
        return "its platform is another one"
    for tool in sorted(needs.tools & here.programs.keys()):
        mine, theirs = here.programs[tool], host.programs.get(tool, frozenset())
        if not theirs:
            return f"it has no {tool}"
        if None not in mine | theirs and not mine & theirs:
            return f"its {tool} is another one"
    return None


def ranked(
    hosts: Sequence[Host],
    case: Case,
    preferences: Preferences = AS_USUAL,
    experience: Experience = NOTHING_KNOWN,
) -> list[Host]:
    """Return hosts that may take a command, the best first. Of equals the driver itself comes
    first, then by key."""
    if len(hosts) < 2:
        return list(hosts)
    merit = _merit(hosts, case, preferences, experience)
    preferred, local = preferences.preferred_node, preferences.prefer_local

    def order(host: Host) -> tuple[bool, bool, float, bool, bytes]:
        return (
            preferred is None or not host.is_called(preferred),
            local and not host.is_here,
            -merit(host),
            not host.is_here,
            host.key,
        )

    return sorted(hosts, key=order)


def _merit(
    hosts: Sequence[Host], case: Case, preferences: Preferences, experience: Experience
) -> Callable[[Host], float]:
    """Return what tells how good a host is: more is better."""
    match preferences.strategy:
        case "round_robin":
            return lambda host: -case.placed.get(host.key, 0)
        case "least_loaded":
            return _availability
        case "locality":
            return lambda host: _locality(host, case)
        case "fastest":
            speeds = _speeds(hosts, case, experience)
            return lambda host: speeds[host.key]
    speeds = _speeds(hosts, case, experience)
    best = max(speeds.values())
    weights = preferences.weights
    total = weights.performance + weights.locality + weights.latency + weights.availability

    def smart(host: Host) -> float:
        found = (
            weights.performance * speeds[host.key] / best
            + weights.locality * _locality(host, case)
            + weights.latency * _nearness(host)
            + weights.availability * _availability(host)
        )
        weight = 1.0 if host.is_here else host.weight
        return found / total * weight * experience.reliability(host.key)

    return smart


def _speeds(hosts: Sequence[Host], case: Case, experience: Experience) -> dict[bytes, float]:
    """Return how fast each host is for this kind of command; one that was not measured is taken
    for an average one."""
    known = [host.speed for host in hosts if host.speed]
    average = sum(known) / len(known) if known else 1.0
    return {
        host.key: (host.speed or average) * experience.aptitude(host.key, case.kind)
        for host in hosts
    }


def _locality(host: Host, case: Case) -> float:
    if host.is_here or not case.input_bytes:
        return 1.0
    return min(1.0, case.local_bytes.get(host.key, 0) / case.input_bytes)


def _nearness(host: Host) -> float:
    if host.is_here:
        return 1.0
    if host.latency_ms is None:
        return _UNKNOWN
    return 1.0 / (1.0 + host.latency_ms / _HALF_LATENCY_MS)


def _availability(host: Host) -> float:
    if host.slots is None or host.free is None:
        return _UNKNOWN
    return max(0.0, min(1.0, host.free / max(1, host.slots)))
