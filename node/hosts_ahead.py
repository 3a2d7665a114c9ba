"""On which other hosts a build would have slots, as far as that can be told before it asks."""

from __future__ import annotations

from collections.abc import Mapping

from buildnet.node.sharing.known_hosts import KnownHosts
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.placement import Case, Needs, Preferences, objection, ranked


def hosts_ahead(
    known: KnownHosts, preferences: Preferences, taken: Mapping[str, int], most: int | None
) -> list[tuple[str, SimulatedHost]]:
    """Return them with their ids, the best first. Only slots count that have nothing to do, and
    those that the build has.

    Args:
        taken: how many commands of the build run already, by the id of their node.
        most: so many of them may run elsewhere at once; None: no bound.
    """
    here = known.here
    fit = [host for host in known.others if objection(host, Needs(), preferences, here) is None]
    found: list[tuple[str, SimulatedHost]] = []
    left = most
    for host in ranked(fit, Case(), preferences, known.experience):
        free = host.free if host.free is not None else host.slots
        slots = (free or 0) + taken.get(host.node_id, 0)
        bounds = (slots, left, preferences.most_on(host))
        slots = min(one for one in bounds if one is not None)
        if slots < 1 or (
            preferences.max_nodes is not None and len(found) + 1 >= preferences.max_nodes
        ):
            continue
        if left is not None:
            left -= slots
        speed = host.speed / here.speed if host.speed and here.speed else 1.0
        found.append((host.node_id, SimulatedHost(slots, speed, host.name)))
    return found
