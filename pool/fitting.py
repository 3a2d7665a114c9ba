"""Whether the pool has what a configuration asks for, as far as a node knows: pure.

What nobody knows (a host that was not scanned, a storage class that the host does not tell) is not
held against it; who runs the build finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

_NAMED_AT_MOST = 3


class NoCapacityError(BuildNetError):
    """The pool does not have what a build asks for."""

    code = "NO_CAPACITY"
    exit_code = 5
    http_status = 409


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
    usable = [node for node in nodes if node.available and (not local_only or node.id == this_node)]
    named = {name: _named(name, nodes, this_node) for name in sorted(configuration.nodes)}
    missing = [name for name, node in named.items() if node is None]
    if missing:
        names = [node.name for node in nodes]
        raise NotFoundError(
            f"{where} names {missing[0]!r}, which is no node of the pool",
            hint=did_you_mean(missing[0], names) or "buildnet pool nodes lists them",
        )
    away = [name for name, node in named.items() if node is not None and node not in usable]
    why = "is not the node that is asked" if local_only else "can't be given work now"
    problems = [f"{name} {why}" for name in away]
    problems += _too_much(configuration, usable, named)
    if any(node.resources is not None for node in usable):
        problems += _nowhere("tool", configuration.resources.tools, usable)
        problems += _nowhere("runtime", configuration.resources.runtimes, usable)
    if problems:
        place = "this node has" if local_only else "the pool has"
        raise NoCapacityError(
            f"{where} asks for more than {place}: {'; '.join(problems)}",
            hint="ask for less, or see what there is: buildnet pool resources"
            + ("" if local_only else "; build --wait waits for it"),
        )


def _named(name: str, nodes: Sequence[NodeState], this_node: str) -> NodeState | None:
    wanted = this_node if name == LOCAL else name
    return next((node for node in nodes if wanted in (node.id, node.name)), None)


def _too_much(
    configuration: BuildConfiguration,
    usable: Sequence[NodeState],
    named: dict[str, NodeState | None],
) -> list[str]:
    resources = configuration.resources
    cpu, memory, storage = resources.cpu, resources.memory, resources.storage
    problems = _more("cores", cpu.cores, usable, _cores)
    problems += _more("GiB of memory", memory.gb, usable, _memory_gib)
    for one in cpu.node_allocations:
        at = _of(named[one.node_id])
        problems += _more("cores", one.cores, at, _cores, one.node_id, usable)
    for each in memory.node_allocations:
        at = _of(named[each.node_id])
        problems += _more("GiB of memory", each.gb, at, _memory_gib, each.node_id, usable)
    known = [
        volume.storage_class
        for node in usable
        if node.resources is not None
        for volume in node.resources.storage
    ]
    if known and storage.min_class != "any" and not any(_does(storage.min_class, x) for x in known):
        problems.append(f"storage of the class {storage.min_class} is nowhere")
    return problems + _too_full(storage.min_free_gb, usable)


def _too_full(wanted_gb: float, nodes: Sequence[NodeState]) -> list[str]:
    """Say that no node has so much free storage."""
    known = [
        None if node.resources is None else node.resources.free_storage_bytes(node.utilization)
        for node in nodes
    ]
    most = max((one for one in known if one is not None), default=0) / GIB
    if None in known or most >= wanted_gb:
        return []
    return [f"{wanted_gb:g} GiB of free storage on one node, of {most:.4g}"]


def _of(node: NodeState | None) -> list[NodeState]:
    return [] if node is None else [node]


def _more(
    what: str,
    wanted: float,
    nodes: Sequence[NodeState],
    amount: Callable[[NodeState], float | None],
    at: str | None = None,
    others: Sequence[NodeState] = (),
) -> list[str]:
    """Say that there is less than is wanted; ``others``: nodes that may have it instead."""
    found = [amount(node) for node in nodes]
    known = [one for one in found if one is not None]
    if len(known) < len(found) or wanted <= sum(known):
        return []
    could = sorted(node.name for node in others if (amount(node) or 0) >= wanted)[:_NAMED_AT_MOST]
    instead = f" ({', '.join(could)} could)" if could else ""
    return [f"{wanted:g} {what}{f' on {at}' if at else ''}, of {sum(known):.4g}{instead}"]


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
) -> list[str]:
    known = [node for node in nodes if node.resources is not None]
    return [
        f"the {kind} {one} is nowhere{_instead(one, known)}"
        for one in wanted
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
