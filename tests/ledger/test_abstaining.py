"""A voter whose disk went back says nothing that contradicts what it said before."""

from __future__ import annotations

from tests.ledger.core_network import Network, Node

from buildnet.ledger.events import MaybeSetBack, SetBack
from buildnet.ledger.messages import SealCosign, SealPromise, Seals
from buildnet.ledger.sealing.core import DOUBT_S
from buildnet.ledger.sealing.proposing import RESEND_S
from buildnet.ledger.simulation.store import Image


def disk_of(node: Node) -> Image:
    return node.store.image.copy()


def set_back(network: Network, node: Node, disk: Image) -> None:
    """Let a node begin anew with an older disk, as the fence finds it."""
    for other in network.nodes:
        network.cut(node, other) if other is not node else None
    node.store.image = disk
    node.store.image.abstains = True
    office = node.local.office
    node.start()
    node.local.office = office


def link_all(network: Network, node: Node) -> None:
    for other in network.nodes:
        if other is not node:
            node.local.heard[other.key] = network.clock.milliseconds << 16
            network.link(node, other)


def sealing() -> tuple[Network, Node, Node, Node]:
    network = Network(3)
    one, other, third = network.nodes
    network.greet()
    network.office(one, 1)
    network.append(one)
    network.settle(0.5)
    return network, one, other, third


def test_no_second_value_is_sealed_where_a_voter_forgot_what_it_accepted() -> None:
    network, one, other, third = sealing()
    old = disk_of(other)
    network.cut(one, third)
    network.cut(other, third)
    network.append(one)
    network.settle(0.5)  # final by one and other; third knows nothing of it
    assert one.core.last is not None
    final = one.core.last
    set_back(network, other, old)
    network.cut(one, other)
    network.cut(one, third)
    network.link(other, third)
    network.office(third, 2, at=[other, third])
    network.append(third)
    network.settle(2.0)
    assert third.core.last is not None
    assert third.core.last.height < final.height
    assert other.core.abstention.active


def test_it_votes_again_once_the_others_have_decided_what_it_may_have_accepted() -> None:
    network, one, other, third = sealing()
    old = disk_of(other)
    network.append(one)
    network.settle(0.5)
    assert one.core.last is not None
    height = one.core.last.height
    set_back(network, other, old)
    assert other.core.abstention.missing == tuple(sorted((one.key, third.key)))
    link_all(network, other)
    network.settle(0.5)
    assert other.core.abstention.until == height + 2
    assert other.core.abstention.active
    for _ in range(2):
        network.append(one)
        network.settle(0.5)
    assert other.core.last == one.core.last
    assert not other.core.abstention.active
    assert not other.store.image.abstains
    assert other.store.image.promise == 1
    network.cut(one, third)
    network.append(one)
    network.settle(0.5)
    assert one.core.last is not None
    assert one.core.last.height == height + 3  # by one and other


def test_nothing_is_said_meanwhile() -> None:
    network, one, other, _ = sealing()
    set_back(network, other, disk_of(other))
    link_all(network, other)
    network.lost.add(Seals)
    network.append(one)
    network.settle(0.5)
    said = [kind for kind in (SealPromise, SealCosign) for key, _, _ in network.sent(kind)]
    assert said == []
    assert other.core.abstention.active


def test_a_node_alone_goes_on_at_once() -> None:
    network = Network(1)
    (one,) = network.nodes
    one.store.image.abstains = True
    one.start()
    network.office(one, 1)
    network.append(one)
    network.settle(0.5)
    assert one.core.last is not None
    assert not one.store.image.abstains


def test_what_a_peer_only_says_is_waited_for_once_and_no_longer() -> None:
    network, one, other, third = sealing()
    network.settle(1.0)
    network.cut(one, third)
    network.cut(other, third)
    before = other.core.last
    network.tell(other, MaybeSetBack())
    network.append(one)
    network.settle(DOUBT_S - 1.0)
    assert other.core.last == one.core.last == before
    network.tell(other, MaybeSetBack())
    network.settle(1.0 + RESEND_S[1])
    assert other.core.last == one.core.last != before
    assert not other.store.image.abstains


def test_it_abstains_once_a_peer_knows_more_of_it_than_its_disk() -> None:
    network, _, other, _ = sealing()
    network.tell(other, SetBack())
    network.settle(0.1)
    assert other.store.image.abstains
    assert other.core.abstention.active
