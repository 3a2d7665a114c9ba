"""The cluster is recovered without a majority: whose seals count, what becomes of the others."""

from __future__ import annotations

import pytest
from tests.ledger.core_network import Network, Node

from buildnet.ledger.events import DamagedSeals, Rewound
from buildnet.ledger.messages import Equivocation, SealCosign, Seals, SealsAsk
from buildnet.ledger.seal import SealValue
from buildnet.mesh.events import MembersChanged, Received
from buildnet.mesh.members.changes import SetVoters, sign_change
from buildnet.mesh.members.entry import (
    CommitProof,
    Vote,
    accepted_statement,
    ballot_statement,
    sign_entry,
)
from buildnet.mesh.members.facts import facts_of
from buildnet.mesh.messages.member_log import EntriesAsk
from buildnet.mesh.testing import CheapSignatures, key_number

_CLUSTER_KEY = CheapSignatures(key_number(1_000_000).public_key)


def row(node: Node) -> list[bytes]:
    """The hashes of a node's final seals."""
    seals = [node.store.seal(height) for height in sorted(node.store.image.seals)]
    return [seal.hash for seal in seals if seal is not None]


def divided() -> tuple[Network, Node, Node, Node]:
    """Two nodes go on sealing without the third one."""
    network = Network(3)
    first, second, left = network.nodes
    network.office(first, 5)
    network.append(first, 3)
    network.settle(0.5)
    assert row(left) == row(first)
    network.cut(first, left)
    network.cut(second, left)
    network.append(second, 2)
    network.append(first, 2)
    network.settle(0.5)
    assert len(row(first)) > len(row(left))
    return network, first, second, left


def recover(network: Network, node: Node, voters: tuple[Node, ...] = ()) -> None:
    """Let a node begin an epoch, of its own or of some voters, and seal in a term that is over in
    the old one."""
    change = sign_change(
        node.log.recovery([one.key for one in voters or (node,)]),
        cluster_id=node.local.members.cluster_id,
        author=_CLUSTER_KEY.public_key,
        hlc=node.local.date(),
        sign=_CLUSTER_KEY.sign,
    )
    node.log.propose(change, network.now)
    node.local.members = node.log.committed
    assert node.log.committed.epoch == 1
    network.tell(node, MembersChanged())
    network.office(node, 1, at=[node])
    network.settle(1.0)


def come_back(network: Network, node: Node, to: Node) -> None:
    """Let a lost node start again; it learns the member list, then the ledger."""
    node.facts = list(facts_of(to.log.genesis, to.log.entries, to.log.proof))
    node.start()
    node.local.heard[to.key] = network.clock.milliseconds << 16
    node.local.office = to.local.office
    network.link(node, to)


def take_out(network: Network, first: Node, second: Node, gone: Node) -> None:
    """Let two voters make it final that a third one is none any more; they start again with it."""
    log, sign = first.log, first.signatures.sign
    members, ballot = log.committed, (6, first.key)
    change = sign_change(
        SetVoters(None, gone.key),
        cluster_id=members.cluster_id,
        author=first.key,
        hlc=first.local.date(),
        sign=sign,
    )

    def votes(statement: bytes) -> tuple[Vote, ...]:
        voters = sorted((first, second), key=lambda one: one.key)
        return tuple(Vote(one.key, one.signatures.sign(statement)) for one in voters)

    entry = sign_entry(
        change,
        cluster_id=members.cluster_id,
        version=members.version + 1,
        previous=members.head,
        ballot=ballot,
        hlc=members.hlc + 1,
        votes=votes(ballot_statement(members.cluster_id, members.lineage, ballot)),
        sign=sign,
    )
    final = accepted_statement(members.cluster_id, ballot, entry.version, entry.hash)
    proof = CommitProof(*ballot, entry.version, entry.hash, votes(final))
    for node in (first, second):
        links = node.local.links
        node.facts = list(facts_of(log.genesis, (*log.entries, entry), proof))
        node.start()
        node.local.links.update(links)
        node.local.heard[first.key] = network.clock.milliseconds << 16
        node.local.heard[second.key] = network.clock.milliseconds << 16


def hear_of_recovery(network: Network, node: Node, other: Node) -> None:
    """Let a node that runs take over the member list of another one."""
    said = other.log._catching_up.serve(EntriesAsk(False, ()))
    node.log.handle(Received(other.key, said), network.now)
    assert node.log.committed == other.log.committed
    node.local.members = node.log.committed
    network.tell(node, MembersChanged())


def test_who_is_left_seals_in_a_lower_term_of_a_new_epoch() -> None:
    network, _, _, left = divided()
    before = row(left)
    network.append(left, 2)
    recover(network, left)
    assert left.core.last is not None
    assert left.core.last.value.voters == (left.key,)
    assert (left.core.last.value.epoch, left.core.last.record.term) == (1, 1)
    assert row(left)[: len(before)] == before
    assert left.core.frontier.sequence(left.chain) == left.tip.sequence
    assert left.core.may_change_voters()


def test_seals_of_those_who_were_lost_are_superseded_and_their_entries_sealed_again() -> None:
    network, first, second, left = divided()
    old = row(first)
    network.append(left, 2)
    recover(network, left)
    for node in (first, second):
        come_back(network, node, left)
    network.settle(30.0)
    assert row(first) == row(second) == row(left)
    assert row(first)[: len(old)] != old
    assert "ledger: seals superseded" in first.notes
    for node in network.nodes:
        assert node.core.heads == left.core.heads
        assert node.core.frontier == left.core.frontier
        for chain, head in node.core.heads.items():
            assert node.core.frontier.sequence(chain) == head.sequence
        assert node.store.restored().sealed == dict(node.core.frontier)


@pytest.mark.parametrize("runs", [True, False])
def test_seals_of_voters_that_the_recovery_never_heard_of_are_set_aside(runs: bool) -> None:
    network, first, second, left = divided()
    take_out(network, first, second, left)
    network.office(first, 7, at=[first, second])
    before = row(first)
    for _ in range(3):
        network.append(second, 2)
        network.settle(0.5)
    last = first.core.last
    assert last is not None
    assert last.value.voters == tuple(sorted((first.key, second.key)))
    assert len(row(first)) >= len(before) + 3
    recover(network, left, (left, first))
    if runs:
        hear_of_recovery(network, first, left)
        network.link(first, left)
    else:
        come_back(network, first, left)
    left.local.heard[first.key] = network.clock.milliseconds << 16
    network.office(first, 8, at=[first, left])
    network.settle(5.0)
    assert row(first) == row(left)
    assert row(first)[: len(before)] == before
    assert first.core.frontier == left.core.frontier
    assert first.core.frontier.sequence(second.chain) == second.tip.sequence
    assert first.core.last is not None
    assert first.core.last.value.voters == tuple(sorted((first.key, left.key)))


def test_a_superseded_row_is_left_where_it_parts_however_far_back_that_is() -> None:
    network, first, _, left = divided()
    for _ in range(12):
        network.append(first, 1)
        network.settle(0.5)
    common = len(row(left))
    assert len(row(first)) >= common + 12
    for _ in range(30):
        network.append(left, 1)
    recover(network, left)
    for _ in range(20):
        network.append(left, 1)
        network.settle(0.5)
    come_back(network, first, left)
    network.settle(30.0)
    assert row(first) == row(left)


def test_a_value_that_was_accepted_before_the_recovery_binds_nobody_after_it() -> None:
    network = Network(3)
    first, second, left = network.nodes
    network.office(first, 5)
    network.settle(0.5)
    network.lost = {SealCosign}
    network.append(second, 1)
    network.settle(0.1)
    accepted = left.store.image.accepted
    assert accepted is not None
    assert left.core.last is not None
    assert accepted.height == left.core.last.height + 1
    network.cut(first, left)
    network.cut(second, left)
    network.lost = set()
    recover(network, left)
    assert left.core.last.height >= accepted.height
    decided = left.store.seal(accepted.height)
    assert decided is not None
    assert decided.value.epoch == 1


def test_damaged_seals_come_back_from_a_peer() -> None:
    network = Network(3)
    first, second, third = network.nodes
    network.office(first, 1)
    for _ in range(5):
        network.append(second, 1)
        network.settle(0.5)
    third.store.image.rotten_seals = {2, 4}
    network.lost = {SealsAsk}
    network.tell(third, DamagedSeals((2, 4, 999)))
    network.settle(0.1)
    assert third.store.image.rotten_seals == {2, 4}
    network.lost = set()
    network.settle(11.0)  # it asks again
    assert third.store.image.rotten_seals == set()


def test_who_coordinates_after_seals_that_do_not_count_goes_on_where_the_others_are() -> None:
    network, first, _, left = divided()
    for _ in range(5):
        network.append(first, 1)
        network.settle(0.5)
    recover(network, left)
    network.append(left, 1)
    network.settle(0.5)
    assert left.core.last is not None
    assert first.core.last is not None
    assert first.core.last.height > left.core.last.height
    come_back(network, first, left)
    first.local.heard[left.key] = left.local.heard[first.key] = network.clock.milliseconds << 16
    network.office(first, 9, at=[first, left])  # before it heard of the newer epoch's seals
    network.append(first, 1)
    network.settle(30.0)
    assert row(first) == row(left)
    assert first.core.frontier.sequence(first.chain) == first.tip.sequence


def test_what_comes_while_seals_are_set_aside_is_not_forgotten() -> None:
    network, first, second, left = divided()
    recover(network, left)
    one, other = second.make("one"), second.make("other")
    come_back(network, first, left)
    finals = first.core._sealing._finals
    while not finals.rewinding:
        network.deliver()
        network.write(left)
        while first.writes and not finals.rewinding:
            event = first.writes.popleft()()
            if event is not None:
                network.tell(first, event)
    told = [event for write in first.writes if (event := write()) is not None]
    first.writes.clear()
    assert any(isinstance(event, Rewound) for event in told)
    network.append(first, 2)
    network.tell(first, Received(left.key, Equivocation(one.signed, other.signed)))
    for event in told:
        network.tell(first, event)
    network.append(first, 1)
    network.settle(5.0)
    assert first.core.holding.chains[second.chain].quarantined == one.body.sequence
    assert left.core.frontier.sequence(first.chain) == first.tip.sequence
    assert row(first) == row(left)
    again = first.store.restored()
    assert {chain: head for chain, (head, _) in again.heads.items()} == first.core.heads


def kept(node: Node) -> list[SealValue]:
    """The values of a node's final seals."""
    seals = [node.store.seal(height) for height in sorted(node.store.image.seals)]
    return [seal.value for seal in seals if seal is not None]


def test_what_was_accepted_first_in_an_epoch_is_not_passed_over_for_an_older_longer_row() -> None:
    network = Network(5)
    a, b, c, d, e = network.nodes
    network.office(d, 5)
    network.append(d, 2)
    network.settle(0.5)
    for one in (a, b):
        for other in (c, d, e):
            network.cut(one, other)
    for _ in range(4):
        network.append(c, 1)
        network.settle(0.5)
    assert len(row(c)) > len(row(a))
    for gone in (d, e):
        network.cut(c, gone)
    recover(network, a, (a, b, c))
    hear_of_recovery(network, b, a)
    hear_of_recovery(network, c, a)
    network.append(a, 1)
    network.lost = {Seals}  # only the coordinator learns that it is final
    network.office(a, 8, at=[a, b])
    network.settle(2.0)
    assert a.core.last is not None
    assert a.core.last.value.epoch == 1
    first = a.core.last
    assert b.core.last is None or b.core.last.value.epoch == 0
    network.cut(a, b)
    network.lost = set()
    network.link(b, c)
    network.office(c, 9, at=[b, c])
    network.append(c, 1)
    network.settle(5.0)
    for node in (b, c):
        assert not any(seal.epoch == 1 and seal.height != first.height for seal in kept(node))
    network.link(a, c)
    network.settle(30.0)
    assert row(a) == row(b) == row(c)
    assert first.hash in row(c)
    assert c.core.frontier.sequence(c.chain) == c.tip.sequence
