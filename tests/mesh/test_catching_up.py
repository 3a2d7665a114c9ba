"""Catching up with what is final: at once, nobody is kept from it, and nobody makes it dear."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.mesh.member_network import Network

from buildnet.mesh.events import Received
from buildnet.mesh.members.catching_up import ASK_AGAIN_S
from buildnet.mesh.members.changes import SetPriority
from buildnet.mesh.members.entry import CommitProof, sign_entry
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.messages.election import Coordinator, Heartbeat
from buildnet.mesh.messages.kinds import Message
from buildnet.mesh.messages.member_log import Entries, EntriesAsk, LogHead
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


# --- what the coordinator says of its list --------------------------------------------------------


def unaware(changes: int) -> tuple[Network, bytes, bytes]:
    """A cluster, a node that is linked to all and was told nothing of ``changes``, another one."""
    network, node, other = cluster(changes=0)
    links = [host.local.links for key, host in network.hosts.items() if key != node]
    cut = [known.pop(node) for known in links]
    for number in range(changes):
        network.propose(network.founder, SetPriority(network.founder, number))
        network.settle()
    for known, link in zip(links, cut, strict=True):
        known[node] = link
    assert behind(network, node) == changes
    return network, node, other


def heartbeat(network: Network, *, version: int = 0, head: bytes = b"") -> Heartbeat:
    """What the coordinator says every 200 ms; ``version``, ``head``: what it says instead."""
    final = network.hosts[network.founder].log.committed
    told = (version or final.version, head or final.head[:8])
    return Heartbeat(network.counter, True, True, 1, *told, 5)


def announcement(network: Network) -> Coordinator:
    final = network.hosts[network.founder].log.committed
    return Coordinator(network.founder, network.counter + 1, True, True, 1, final.version, (), None)


def asked(network: Network, node: bytes) -> list[tuple[bytes, type[Message]]]:
    """Whom the node asked for what, since it was last delivered."""
    kinds = (EntriesAsk, LogHead)
    return [
        (to, type(said)) for who, to, said in network.flying if who == node and type(said) in kinds
    ]


@pytest.mark.parametrize("say", [heartbeat, announcement])
def test_who_lacks_what_the_coordinator_names_asks_for_it_at_once(
    say: Callable[[Network], Message],
) -> None:
    network, node, _ = unaware(changes=200)
    network.tell(node, Received(network.founder, say(network)))
    network.settle()
    assert behind(network, node) == 0


def test_nothing_is_asked_twice_while_an_answer_is_under_way() -> None:
    network, node, _ = unaware(changes=200)
    said = Received(network.founder, heartbeat(network))
    steps = 0
    while behind(network, node):
        steps += 1
        assert steps < 50
        network.tell(node, said)
        assert asked(network, node) in ([], [(network.founder, EntriesAsk)])
        network.now += 0.9 * ASK_AGAIN_S  # each answer brings something: the next may take as long
        network.deliver()
        network.sync(node)
    network.tell(node, said)
    assert asked(network, node) == []


def test_what_is_not_answered_is_asked_again_after_a_while() -> None:
    network, node, _ = unaware(changes=3)
    said = Received(network.founder, heartbeat(network))
    network.tell(node, said)
    network.flying.clear()
    network.now += 0.9 * ASK_AGAIN_S
    network.tell(node, said)
    assert asked(network, node) == []
    network.now += 0.2 * ASK_AGAIN_S
    network.tell(node, said)
    network.settle()
    assert behind(network, node) == 0


def test_what_became_final_meanwhile_is_asked_for_at_once_too() -> None:
    network, node, _ = unaware(changes=3)
    network.tell(node, Received(network.founder, heartbeat(network)))
    network.settle()
    assert behind(network, node) == 0
    known = network.hosts[network.founder].local.links
    link = known.pop(node)
    network.propose(network.founder, SetPriority(network.founder, 77))
    network.settle()
    known[node] = link
    assert behind(network, node) == 1
    network.tell(node, Received(network.founder, heartbeat(network)))
    network.settle()
    assert behind(network, node) == 0


def test_another_one_that_is_not_in_office_is_not_asked() -> None:
    network, node, other = unaware(changes=3)
    network.tell(node, Received(other, heartbeat(network)))
    told = replace(announcement(network), coordinator=network.founder)
    network.tell(node, Received(other, told))
    assert asked(network, node) == []


def test_a_coordinator_of_another_list_is_compared_with() -> None:
    network, node, _ = cluster(changes=3)
    version = network.hosts[node].log.committed.version
    network.tell(node, Received(network.founder, heartbeat(network)))
    older = network.hosts[node].log.entries[version - 2].hash[:8]
    network.tell(
        node, Received(network.founder, heartbeat(network, version=version - 1, head=older))
    )
    assert asked(network, node) == []
    for named in (version, version - 1):
        network.now += 2 * ASK_AGAIN_S
        for _ in range(3):
            other = heartbeat(network, version=named, head=b"another!")
            network.tell(node, Received(network.founder, other))
        assert asked(network, node) == [(network.founder, LogHead)]
        network.settle()
    assert behind(network, node) == 0
