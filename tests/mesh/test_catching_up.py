"""Catching up with what is final: nobody is kept from it, and nobody makes it dear."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.mesh.member_network import Network

from buildnet.mesh.events import Received
from buildnet.mesh.members.changes import SetPriority
from buildnet.mesh.members.entry import CommitProof, sign_entry
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import Entries, LogHead
from buildnet.mesh.testing import CheapSignatures


def cluster(*, changes: int, away: bool = False) -> tuple[Network, bytes, bytes]:
    """A cluster of five, its chain, a node (that ``away`` left far behind) and a hostile one."""
    network = Network(1, hosts=5)
    network.elect(network.founder)
    network.settle(5)
    node, hostile = [key for key in sorted(network.hosts) if key != network.founder][:2]
    if away:
        network.split((node,), [key for key in network.hosts if key != node])
    for number in range(changes):
        network.propose(network.founder, SetPriority(network.founder, number))
        network.settle()
    return network, node, hostile


def link_again(network: Network, node: bytes) -> None:
    for key in network.hosts:
        if key != node:
            network.link(node, key)


def behind(network: Network, node: bytes) -> int:
    hosts = network.hosts
    return hosts[network.founder].log.committed.version - hosts[node].log.committed.version


@pytest.fixture
def applied(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Versions that were applied since."""
    versions: list[int] = []
    apply = MemberList.apply

    def counted(self: MemberList, *given: object) -> MemberList:
        versions.append(self.version)
        return apply(self, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(MemberList, "apply", counted)
    return versions


def test_nothing_new_costs_nothing(applied: list[int]) -> None:
    network, node, hostile = cluster(changes=30)
    log = network.hosts[network.founder].log
    applied.clear()
    for entries in ((), log.entries[3:6]):
        previous = log.entries[3].previous
        network.tell(node, Received(hostile, Entries(False, 3, previous, entries, log.proof)))
        past = replace(log.proof, version=3, head=previous)
        network.tell(node, Received(hostile, Entries(False, 3, previous, entries, past)))
    assert not applied


def test_other_entries_below_what_is_final_cost_nothing(applied: list[int]) -> None:
    network, node, hostile = cluster(changes=30)
    log = network.hosts[network.founder].log
    old = log.entries[20]
    entry = sign_entry(
        network.change(hostile, SetPriority(hostile, 9)),
        cluster_id=log.committed.cluster_id,
        version=old.version,
        previous=old.previous,
        ballot=old.ballot,
        hlc=old.hlc,
        votes=(),
        sign=CheapSignatures(hostile).sign,
    )
    applied.clear()
    said = Entries(False, old.version - 1, old.previous, (entry,), log.proof)
    network.tell(node, Received(hostile, said))
    assert not applied
    assert network.notes[-1].reason == "member log: contradicts what is final"


def invented(network: Network) -> list[Message]:
    log = network.hosts[network.founder].log
    head = LogHead(10**9, bytes(32), 1, bytes(32))
    proof = CommitProof(9, bytes(32), 10**9, bytes(32), ())
    start = log.committed.version - 250
    after = log.entries[start : start + 3]
    return [head, Entries(False, start, after[0].previous, after, proof)]


@pytest.mark.parametrize("which", [0, 1])
def test_nobody_is_kept_from_catching_up_by_what_another_one_says(which: int) -> None:
    network, node, hostile = cluster(changes=300, away=True)
    link_again(network, node)
    said = invented(network)[which]
    for _ in range(100):
        network.tell(node, Received(hostile, said))
        for _ in range(4):
            network.deliver()
        for key in network.hosts:
            network.sync(key)
    assert behind(network, node) == 0


def test_what_another_sender_handed_over_is_checked_once(applied: list[int]) -> None:
    network, node, _ = cluster(changes=200, away=True)
    applied.clear()
    first = network.hosts[node].log.committed.version
    link_again(network, node)
    network.settle()
    assert behind(network, node) == 0
    assert sorted(applied) == list(range(first, first + 200))
