"""Clusters whose nodes keep a member log each, and what came of a change."""

from __future__ import annotations

from tests.mesh.member_network import Network

from buildnet.mesh.members.changes import Change
from buildnet.mesh.members.member_list import Refused


def cluster(hosts: int, seed: int = 1, *, newcomers: int = 0) -> Network:
    """A cluster whose founder coordinates and whose voters are right; the last hosts are down."""
    network = Network(seed, hosts=hosts)
    for key in list(network.hosts)[hosts - newcomers :]:
        network.crash(key)
    network.elect(network.founder)
    network.settle(18)
    return network


def others(network: Network) -> list[bytes]:
    return [key for key in sorted(network.hosts) if key != network.founder]


def outcome(network: Network, change: Change) -> str:
    (done,) = network.done[change.id]
    error = done.error
    if error is None:
        return "done"
    return error.reason if isinstance(error, Refused) else error.code


def names(network: Network) -> set[str]:
    return {host.log.committed.cluster_name for host in network.hosts.values()}
