"""The member log: what is final stays final, whatever is lost, shuffled or crashes."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.mesh.member_network import Network

from buildnet.mesh.changes import Rename, SetPriority


def test_a_change_becomes_final_everywhere() -> None:
    network = Network(1, hosts=3)
    network.elect(network.founder)
    network.settle(2)
    keys = sorted(network.hosts)
    change = network.propose(keys[0], Rename(None, "renamed"))
    network.settle(2)
    (done,) = network.done[change.id]
    assert done.error is None
    assert {host.log.committed.cluster_name for host in network.hosts.values()} == {"renamed"}
    assert len(network.hosts[network.founder].log.committed.voters) == 3


@pytest.mark.parametrize("seed", range(40))
def test_chaos(seed: int) -> None:
    network = Network(seed, hosts=3 + seed % 4, careful=seed % 2 == 0)
    network.elect(network.founder)
    network.settle(8)
    network.lossy = True
    chance = network.random
    keys = sorted(network.hosts)
    proposed = []
    for step in range(1500):
        key = chance.choice(keys)
        host = network.hosts[key]
        dice = chance.random()
        if dice < 0.55:
            network.deliver()
        elif dice < 0.80:
            network.sync(key)
        elif dice < 0.90:
            network.pass_time(0.1)
        elif dice < 0.93:
            if host.up:
                what = SetPriority(chance.choice(keys), step % 1000)
                proposed.append(network.propose(key, what).id)
        elif dice < 0.96:
            network.elect(key)
        elif dice < 0.975:
            if host.up:
                network.crash(key)
            else:
                network.restart(key)
        else:
            other = chance.choice(keys)
            pair = frozenset((key, other))
            if pair in network.cut:
                network.cut.discard(pair)
                network.link(key, other)
            elif key != other:
                network.cut.add(pair)
                network.unlink(key, other)
    network.lossy = False
    network.cut.clear()
    for key in keys:
        if not network.hosts[key].up:
            network.restart(key)
        for other in keys:
            if other not in network.hosts[key].local.links and other != key:
                network.link(key, other)
    network.settle()
    for key in keys:
        if network.elect(key):
            network.settle(1)
    network.settle(10)
    heads = {host.log.committed.head for host in network.hosts.values()}
    assert len(heads) == 1
    entries = network.hosts[keys[0]].log.entries
    assert {entry.version: entry.hash for entry in entries}.items() >= network.final.items()
    ids = [entry.change.id for entry in entries]
    assert len(ids) == len(set(ids)), "a change was made twice"
    for change_id, outcomes in network.done.items():
        if any(done.error is None for done in outcomes):
            assert change_id in ids
    voters = [network.hosts[keys[0]].log._chain.at(version).voters for version in range(len(ids))]
    for before, after in pairwise(voters):
        assert len(set(before) ^ set(after)) <= 1
