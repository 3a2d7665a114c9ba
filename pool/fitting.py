"""Whether the pool has what a configuration asks for, as far as a node knows: pure.

What nobody knows (a host that was not scanned, a storage class that the host does not tell) is not
held against it; who runs the build finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.mesh.suggest import did_you_mean
from buildnet.pool.configuration import (
    LOCAL,
    STORAGE_CLASSES,
    BuildConfiguration,
    ProgramRequirement,
)
from buildnet.pool.quantity import GIB
from buildnet.pool.resources import Program
from buildnet.pool.view import NodeState
from buildnet.pool.yaml_document import YamlPath

_NAMED_AT_MOST = 3


class NoCapacityError(BuildNetError):
    """The pool does not have what a build asks for."""

    code = "NO_CAPACITY"
    exit_code = 5
    http_status = 409


@dataclass(frozen=True, slots=True)
class Shortage:
    """What is asked for and not there: ``path`` is that of the key which asks for it."""

    path: YamlPath
    message: str


def check_fit(
    configuration: BuildConfiguration,
    nodes: Sequence[NodeState],
    *,
    this_node: str,
    where: str,
    local_only: bool = False,
) -> None:
    """See that nodes that can be given work have together what is asked for. ``this_node``: the id
    of the one that is asked; ``where`` names the configuration in errors; ``local_only``: only that
    one may be used, whatever the configuration says.

    Raises:
        NotFoundError: it names a node that is not there.
        NoCapacityError: something is too much, or nowhere; all of it is named.
    """
    local_only = local_only or configuration.execution.local_only
    missing = [name for _, name in _names(configuration) if not _named(name, nodes, this_node)]
    if missing:
        names = [node.name for node in nodes]
        raise NotFoundError(
            f"{where} names {missing[0]!r}, which is no node of the pool",
            hint=did_you_mean(missing[0], names) or "buildnet pool nodes lists them",
        )
    found = shortages(configuration, nodes, this_node=this_node, local_only=local_only)
    if found:
        place = "this node has" if local_only else "the pool has"
        problems = dict.fromkeys(one.message for one in found)
        raise NoCapacityError(
            f"{where} asks for more than {place}: {'; '.join(problems)}",
            hint="ask for less, or see what there is: buildnet pool resources"
            + ("" if local_only else "; build --wait waits for it"),
        )


def shortages(
    configuration: BuildConfiguration,
    nodes: Sequence[NodeState],
    *,
    this_node: str,
    local_only: bool = False,
) -> list[Shortage]:
    """Return all that is asked for and not there; see :func:`check_fit`."""
    local_only = local_only or configuration.execution.local_only
    usable = [node for node in nodes if node.available and (not local_only or node.id == this_node)]
    why = "is not the node that is asked" if local_only else "can't be given work now"
    found = []
    for path, name in _names(configuration):
        node = _named(name, nodes, this_node)
        if node is None:
            found.append(Shortage(path, f"{name} is no node of the pool"))
        elif node not in usable:
            found.append(Shortage(path, f"{name} {why}"))
    found += _too_much(configuration, usable, lambda name: _named(name, nodes, this_node))
    if any(node.resources is not None for node in usable):
        found += _nowhere("tool", configuration.resources.tools, usable)
        found += _nowhere("runtime", configuration.resources.runtimes, usable)
    return found


def _names(configuration: BuildConfiguration) -> list[tuple[YamlPath, str]]:
    """Return where a configuration names nodes, in the order of the names."""
    resources, preferred = configuration.resources, configuration.execution.preferred_node
    cores, memory = resources.cpu.node_allocations, resources.memory.node_allocations
    groups: tuple[tuple[YamlPath, Sequence[str]], ...] = (
        (("resources", "cpu", "node_allocations"), [one.node_id for one in cores]),
        (("resources", "memory", "node_allocations"), [one.node_id for one in memory]),
        (("resources", "storage", "volumes"), [one.node_id for one in resources.storage.volumes]),
    )
    found: list[tuple[YamlPath, str]] = [
        ((*path, number), name) for path, names in groups for number, name in enumerate(names)
    ]
    if preferred is not None:
        found.append((("execution", "preferred_node"), preferred))
    return sorted(found, key=lambda one: one[1])


def _named(name: str, nodes: Sequence[NodeState], this_node: str) -> NodeState | None:
    wanted = this_node if name == LOCAL else name
    return next((node for node in nodes if wanted in (node.id, node.name)), None)


def _too_much(
    configuration: BuildConfiguration,
    usable: Sequence[NodeState],
    named: Callable[[str], NodeState | None],
) -> list[Shortage]:
    resources = configuration.resources
    cpu, memory, storage = resources.cpu, resources.memory, resources.storage
    of_cpu: YamlPath = ("resources", "cpu")
    of_memory: YamlPath = ("resources", "memory")
    found = _more((*of_cpu, "cores"), "cores", cpu.cores, usable, _cores)
    found += _more((*of_memory, "gb"), "GiB of memory", memory.gb, usable, _memory_gib)
    for number, one in enumerate(cpu.node_allocations):
        path = (*of_cpu, "node_allocations", number)
        at = _of(named(one.node_id))
        found += _more(path, "cores", one.cores, at, _cores, one.node_id, usable)
    for number, each in enumerate(memory.node_allocations):
        path = (*of_memory, "node_allocations", number)
        at = _of(named(each.node_id))
        found += _more(path, "GiB of memory", each.gb, at, _memory_gib, each.node_id, usable)
    known = [
        volume.storage_class
        for node in usable
        if node.resources is not None
        for volume in node.resources.storage
    ]
    if known and storage.min_class != "any" and not any(_does(storage.min_class, x) for x in known):
        message = f"storage of the class {storage.min_class} is nowhere"
        found.append(Shortage(("resources", "storage", "min_class"), message))
    return found + _too_full(storage.min_free_gb, usable)


def _too_full(wanted_gb: float, nodes: Sequence[NodeState]) -> list[Shortage]:
    """Say that no node has so much free storage."""
    known = [
        None if node.resources is None else node.resources.free_storage_bytes(node.utilization)
        for node in nodes
    ]
    most = max((one for one in known if one is not None), default=0) / GIB
    if None in known or most >= wanted_gb:
        return []
    message = f"{wanted_gb:g} GiB of free storage on one node, of {most:.4g}"
    return [Shortage(("resources", "storage", "min_free_gb"), message)]


def _of(node: NodeState | None) -> list[NodeState]:
    return [] if node is None else [node]


def _more(
    path: YamlPath,
    what: str,
    wanted: float,
    nodes: Sequence[NodeState],
    amount: Callable[[NodeState], float | None],
    at: str | None = None,
    others: Sequence[NodeState] = (),
) -> list[Shortage]:
    """Say that there is less than is wanted; ``others``: nodes that may have it instead. A node
    that is not there is told by itself."""
    found = [amount(node) for node in nodes]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or wanted <= sum(known) or (at is not None and not nodes):
        return []
    could = sorted(node.name for node in others if (amount(node) or 0) >= wanted)[:_NAMED_AT_MOST]
    instead = f" ({', '.join(could)} could)" if could else ""
    message = f"{wanted:g} {what}{f' on {at}' if at else ''}, of {sum(known):.4g}{instead}"
    return [Shortage(path, message)]


def _cores(node: NodeState) -> float | None:
    return None if node.resources is None else node.resources.cpu.cores


def _memory_gib(node: NodeState) -> float | None:
    return None if node.resources is None else node.resources.memory.total_bytes / GIB


def _does(wanted: str, found: str) -> bool:
    if found not in STORAGE_CLASSES:
        return found == "unknown"
    return STORAGE_CLASSES.index(found) >= STORAGE_CLASSES.index(wanted)


def _nowhere(
    kind: str, wanted: Sequence[ProgramRequirement], nodes: Sequence[NodeState]
) -> list[Shortage]:
    known = [node for node in nodes if node.resources is not None]
    return [
        Shortage(
            ("resources", f"{kind}s", number), f"the {kind} {one} is nowhere{_instead(one, known)}"
        )
        for number, one in enumerate(wanted)
        if not any(_has(node, one) for node in known)
    ]


def _has(node: NodeState, wanted: ProgramRequirement) -> bool:
    requirement = wanted.requirement
    return any(
        each.name == wanted.name and requirement.accepts(each.version) for each in _programs(node)
    )


def _instead(wanted: ProgramRequirement, nodes: Sequence[NodeState]) -> str:
    """Tell which versions there are."""
    versions = {
        f"{each.version or 'of unknown version'} on {node.name}"
        for node in nodes
        for each in _programs(node)
        if each.name == wanted.name
    }
    return f" ({', '.join(sorted(versions))})" if versions else ""


def _programs(node: NodeState) -> tuple[Program, ...]:
    resources = node.resources
    return () if resources is None else (*resources.tools, *resources.runtimes)
