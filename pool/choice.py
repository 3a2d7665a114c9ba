"""What one build goes by: what a configuration and a profile make of it on one node. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from buildnet.pool.configuration import LOCAL, BuildConfiguration, Priority, Strategy
from buildnet.pool.placement import AS_USUAL, Preferences
from buildnet.pool.profile import Profile, Weights
from buildnet.pool.quantity import GIB
from buildnet.pool.without_effect import warnings_of_configuration, warnings_of_profile


@dataclass(frozen=True, slots=True)
class Choice:
    """``configuration``, ``template``, ``profile``: what was named, by id; ``version``: of the
    configuration; ``variables``: the values that the template was given; ``unkept``: in its place,
    one that the request itself held. ``parallel``: how many commands run at once, on whatever
    nodes; ``slots``: how many of them on this one; ``isolation``: the level that tasks get which
    ask for none; None: no bound, and as the node has it. ``cpus``: the CPUs of this node that they
    run on; none: any. ``redundancy``: how often each command runs; ``timeout_s``: of the whole
    build; ``artifacts_on``: the node that results are kept on besides, at most ``artifacts_bytes``
    (0: no bound); ``warnings``: what of it has no effect; ``preferences``: what else is said of
    where they run."""

    configuration: str | None = None
    version: int | None = None
    template: str | None = None
    profile: str | None = None
    priority: Priority = "normal"
    parallel: int | None = None
    slots: int | None = None
    cpus: tuple[int, ...] = ()
    isolation: str | None = None
    local_only: bool = False
    redundancy: int = 1
    timeout_s: float | None = None
    artifacts_on: str | None = None
    artifacts_bytes: int = 0
    warnings: tuple[str, ...] = ()
    preferences: Preferences = AS_USUAL
    unkept: Mapping[str, Any] | None = None
    variables: Mapping[str, Any] = field(default_factory=dict)

    @property
    def strategy(self) -> Strategy:
        """How nodes are chosen."""
        return self.preferences.strategy

    @property
    def is_named(self) -> bool:
        """Whether the request named anything that it goes by."""
        named = (self.configuration, self.template, self.profile, self.unkept)
        return any(one is not None for one in named)

    def slots_of(self, slots: int) -> int:
        """Return how many commands may run at once on this node, which has so many slots."""
        bounds = (slots, self.slots, self.parallel)
        return min(one for one in bounds if one is not None)

    def elsewhere(self, slots: int) -> int | None:
        """Return how many commands may run at once on other nodes, where this one has so many
        slots; None: no bound."""
        if self.local_only or self.preferences.max_nodes == 1:
            return 0
        if self.parallel is None:
            return None
        # Where memory is named and no cores, what runs there comes on top.
        said = self.preferences
        memory_alone = said.memory.keys() - said.cores.keys() if said.only_named else ()
        return max(self.parallel - self.slots_of(slots), len(memory_alone))

    def view(self) -> dict[str, Any] | None:
        """Return it as JSON; None: nothing was named."""
        if not self.is_named:
            return None
        found, said = asdict(self), self.preferences
        del found["preferences"], found["warnings"]
        return {
            **found,
            "strategy": said.strategy,
            "max_nodes": said.max_nodes,
            "nodes": dict(said.cores),
            "memory": dict(said.memory),
            "labels": sorted(said.labels),
        }


AS_THE_NODE_HAS_IT = Choice()
"""Of a request that names nothing."""


def choose(
    configuration: BuildConfiguration | None,
    profile: Profile | None,
    *,
    here: frozenset[str],
    version: int | None = None,
    template: str | None = None,
    variables: Mapping[str, Any] | None = None,
    unkept: Mapping[str, Any] | None = None,
) -> Choice:
    """Return what a build goes by. ``here``: the names of the node that it runs on; ``version``: of
    the configuration, where it is kept; ``template``: the one that made it of ``variables``;
    ``unkept``: what the request said it is."""
    used, preferred = configuration or BuildConfiguration(), profile or Profile()
    execution, cpu = used.execution, used.resources.cpu
    bounds = [one for one in (execution.parallel, cpu.cores) if one]
    mine = [one for one in cpu.node_allocations if one.node_id in here | {LOCAL}]
    shares = [one.cores or len(one.specific_cores) for one in mine]
    volume = used.artifacts_volume
    if volume is not None and volume.node_id in here:
        volume = None
    what = f"the configuration {used.id}" if template is None else f"the template {template}"
    if unkept is not None:
        what = "the configuration"
    return Choice(
        configuration=used.id if unkept is None else None,
        version=version,
        template=template,
        profile=preferred.id,
        priority=execution.priority or preferred.priority or cpu.priority,
        parallel=min(bounds, default=None),
        slots=min((one for one in shares if one), default=None),
        cpus=tuple(sorted({core for one in mine for core in one.specific_cores})),
        isolation=execution.isolation,
        local_only=execution.local_only or preferred.cpu_strategy == "local_only",
        redundancy=execution.redundancy,
        artifacts_on=None if volume is None else volume.node_id,
        artifacts_bytes=0 if volume is None else int(volume.size_gb * GIB),
        warnings=(
            *(f"{what}: {one}" for one in warnings_of_configuration(used, here)),
            *(f"the profile {preferred.id}: {one}" for one in warnings_of_profile(preferred)),
        ),
        timeout_s=execution.timeout,
        preferences=_preferences(used, preferred, here),
        unkept=unkept,
        variables=variables or {},
    )


def _preferences(used: BuildConfiguration, profile: Profile, here: frozenset[str]) -> Preferences:
    execution, resources = used.execution, used.resources
    cores = {
        one.node_id: one.cores or len(one.specific_cores)
        for one in resources.cpu.node_allocations
        if one.node_id not in here | {LOCAL}
    }
    preferred = execution.preferred_node
    return Preferences(
        strategy=execution.strategy or profile.strategy,
        weights=_weights(profile),
        max_nodes=execution.max_nodes,
        cores=cores,
        memory={
            one.node_id: int(one.gb * GIB)
            for one in resources.memory.node_allocations
            if one.node_id not in here | {LOCAL}
        },
        # What is left over of the cores may come from anywhere.
        only_named=used.only_named and bool(cores or used.nodes_of_memory_alone - here),
        labels=frozenset(resources.labels),
        programs=(*resources.tools, *resources.runtimes),
        preferred_node=None if preferred in here | {LOCAL} else preferred,
        prefer_local=execution.prefer_local or preferred in here | {LOCAL},
        max_latency_ms=execution.max_latency_ms,
        min_class=resources.storage.min_class,
        min_free_bytes=int(resources.storage.min_free_gb * GIB),
    )


def _weights(profile: Profile) -> Weights:
    if profile.network_preference != "minimize_transfer":
        return profile.weights
    return profile.weights.model_copy(update={"locality": 2 * profile.weights.locality})
