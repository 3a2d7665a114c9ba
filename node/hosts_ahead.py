"""On which hosts a build would have slots, as far as that can be told before it asks."""

from __future__ import annotations

from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.placement import Case, Host, Needs, objection, ranked
from buildnet.pool.rehearsal import Stage


def hosts_ahead(stage: Stage, node_id: str) -> list[tuple[str, SimulatedHost]]:
    """Return them with their ids, this node (``node_id``) first, then the best. Only slots count
    that have nothing to do, and those that this node has."""
    here, said = stage.here, stage.preferences
    found = [(node_id, SimulatedHost(stage.slots, name=here.name))]
    fit = [host for host in stage.others if objection(host, Needs(), said, here) is None]
    left = stage.most
    for host in ranked(fit, Case(), said, stage.experience):
        if said.max_nodes is not None and len(found) >= said.max_nodes:
            break
        bounds = (_slots(host), left, said.most_on(host))
        slots = min(one for one in bounds if one is not None)
        if slots < 1:
            continue
        if left is not None:
            left -= slots
        speed = host.speed / here.speed if host.speed and here.speed else 1.0
        found.append((host.node_id, SimulatedHost(slots, speed, host.name)))
    return found


def _slots(host: Host) -> int:
    """Return how many slots a host would give, by what it told last."""
    if host.slots is None:
        return 0
    free = host.slots if host.free is None else host.free
    return min(host.slots, free + host.lent_here)
