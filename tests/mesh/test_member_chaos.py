"""The member log when everything goes wrong at random: a run is a function of its seed."""

from __future__ import annotations

from itertools import pairwise

import pytest
from tests.mesh.member_network import Network

from buildnet.mesh.members import member_chain
from buildnet.mesh.members.changes import Admit, ChangeBody, Remove, SetPriority, SetVoters
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.members.member_list import Rights, Role
from buildnet.mesh.testing import CheapSignatures


def churn(network: Network, step: int) -> ChangeBody:
    chance = network.random
    key = chance.choice([key for key in sorted(network.hosts) if key != network.founder])
    dice = chance.random()
    if dice < 0.7:
        return SetPriority(key, step % 1000)
    if dice < 0.85:
        return Remove(key)
    return Admit(key, "back", Role.WORKER.value, Rights.BUILDER.value)


def crumble(network: Network, steps: int) -> None:
    """Small faults, one after the other."""
    chance = network.random
    keys = sorted(network.hosts)
    for step in range(steps):
        key = chance.choice(keys)
        host = network.hosts[key]
        dice = chance.random()
        if dice < 0.55:
            network.deliver()
        elif dice < 0.80:
            network.sync(key)
        elif dice < 0.90:
            network.pass_time(chance.choice((0.1, 0.1, 1.0)))
        elif dice < 0.93:
            if host.up:
                network.propose(key, churn(network, step))
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


def shake(network: Network, rounds: int) -> None:
    """Round by round another partition, another coordinator, changes that get halfway."""
    chance = network.random
    keys = sorted(network.hosts)
    for number in range(rounds):
        for key in keys:
            if not network.hosts[key].up and chance.random() < 0.6:
                network.restart(key)
        side = {key: chance.random() < 0.35 for key in keys}
        for key in keys:
            for other in keys:
                if key < other and side[key] != side[other]:
                    network.unlink(key, other)
                elif key < other and other not in network.hosts[key].local.links:
                    network.link(key, other)
        chosen = chance.choice(keys)
        network.elect(chosen)
        stir(network, chance.choice((0, 20, 60)))
        log = network.hosts[chosen].log
        for part in range(chance.choice((0, 1, 1, 2))):
            if not network.hosts[chosen].up:
                break
            if chance.random() < 0.5:
                network.propose(chosen, churn(network, 10 * number + part))
            else:
                voter = chance.choice(keys)
                what = SetVoters(None, voter) if voter in log.voters else SetVoters(voter, None)
                network.propose(chosen, what, author=chosen)
        stir(network, chance.choice((0, 10, 25, 60)))
        if chance.random() < 0.2:
            network.crash(chance.choice(keys))


def stir(network: Network, steps: int) -> None:
    """Deliver some messages, write some writes."""
    for _ in range(steps):
        dice = network.random.random()
        if dice < 0.6:
            network.deliver()
        elif dice < 0.98:
            network.sync(network.random.choice(sorted(network.hosts)))
        else:
            network.pass_time(0.3)


def finish(network: Network) -> None:
    """Heal everything; then all is as it must be."""
    network.heal()
    network.settle()
    for _ in range(2):
        for key in sorted(network.hosts, key=lambda one: one != network.founder):
            if network.elect(key):
                network.settle(2)
                network.heal()
    network.settle(12)
    best = max(network.hosts.values(), key=lambda host: host.log.committed.version).log
    for host in network.hosts.values():
        if best.committed.is_member(host.key):
            assert host.log.committed.head == best.committed.head
    hashes = {entry.version: entry.hash for entry in best.entries}
    assert hashes.items() >= network.final.items(), "a final entry was lost"
    ids = [entry.change.id for entry in best.entries]
    assert len(ids) == len(set(ids)), "a change was made twice"
    for change_id, outcomes in network.done.items():
        if any(done.error is None for done in outcomes):
            assert change_id in ids
    check_voters(network, best)


def check_voters(network: Network, log: MemberLog) -> None:
    """Along the chain, one voter at a time."""
    signatures = CheapSignatures(network.founder)
    members = type(log.committed).of(log.genesis, signatures)
    chain = [members]
    for entry in log.entries:
        members = members.apply(entry, signatures)
        chain.append(members)
    for before, after in pairwise(chain):
        assert len(set(before.voters) ^ set(after.voters)) <= 1
    assert members == log.committed


@pytest.mark.parametrize("seed", range(12))
def test_what_is_final_stays_final_under_small_faults(seed: int) -> None:
    network = Network(seed, hosts=3 + seed % 4, careful=seed % 3 != 0)
    network.elect(network.founder)
    network.settle(8)
    network.lossy = True
    crumble(network, 1500)
    finish(network)


@pytest.mark.parametrize("seed", range(32))
def test_what_is_final_stays_final_under_partitions(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the election chooses whoever it likes, whatever its chain, and where a message
    holds so little that a chain takes many."""
    if seed % 2:
        monkeypatch.setattr(member_chain, "MAX_ENTRIES", 1)
    network = Network(seed, hosts=3 + seed % 3, careful=seed % 3 == 0)
    network.elect(network.founder)
    network.settle(seed % 8)
    network.lossy = True
    shake(network, 60)
    finish(network)
