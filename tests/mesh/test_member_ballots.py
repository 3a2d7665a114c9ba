"""Ballots of the member log: no voter's claim holds it up, and voters enforce its rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.mesh.member_network import Host, Network

from buildnet.mesh.events import Received, Send
from buildnet.mesh.members.changes import Rename, SetPriority, SetVoters
from buildnet.mesh.members.entry import Entry, ballot_statement, sign_entry
from buildnet.mesh.members.sequencing import Sequencing
from buildnet.mesh.messages.member_log import Append, AppendAnswer, BallotAnswer, LogHead
from buildnet.mesh.testing import CheapSignatures


def cluster(hosts: int) -> Network:
    network = Network(1, hosts=hosts)
    network.elect(network.founder)
    network.settle(20)
    return network


def others(network: Network) -> list[bytes]:
    return [key for key in sorted(network.hosts) if key != network.founder]


def claim(network: Network, voter: bytes, at: Host, *, signer: bytes | None = None) -> BallotAnswer:
    """A vote for the present term that names a chain which nobody has."""
    members = at.local.members
    said = ballot_statement(members.cluster_id, members.lineage, (network.counter, at.key))
    sign = CheapSignatures(signer or voter).sign
    return BallotAnswer(network.counter, 2**62, voter, 10**6, bytes(32), 0, sign(said))


def works(network: Network, key: bytes) -> bool:
    change = network.propose(key, Rename(None, "works"))
    network.settle(10)
    return network.done[change.id][0].error is None


def fresh_ballot(network: Network, key: bytes) -> Sequencing:
    """The ballot of a new coordinator that nobody answered yet."""
    assert network.elect(key)
    term = network.hosts[key].log._coordinating.active()
    assert term is not None
    return term.sequencing


def test_votes_of_strangers_and_forged_ones_are_refused() -> None:
    network = cluster(4)  # three of them vote
    host = network.hosts[network.founder]
    ballot = fresh_ballot(network, network.founder)
    watcher = next(key for key in network.hosts if key not in host.log.voters)
    voter = next(key for key in host.log.voters if key != network.founder)
    assert not ballot.vote(watcher, claim(network, watcher, host))
    assert not ballot.vote(voter, claim(network, voter, host, signer=watcher))
    assert ballot.vote(voter, claim(network, voter, host))


@pytest.mark.parametrize("liars", [1, 2])
def test_claims_of_a_minority_do_not_stop_the_list(liars: int) -> None:
    network = cluster(5)
    new, *lying = others(network)[: liars + 1]
    host = network.hosts[new]
    fresh_ballot(network, new)
    for liar in lying:
        network.tell(new, Received(liar, claim(network, liar, host)))
    network.settle(3)
    assert works(network, new)


def test_voter_that_died_with_a_newer_chain_is_not_waited_for() -> None:
    network = cluster(5)
    ahead, new, *rest = others(network)
    network.split([network.founder, ahead], [new, *rest])
    network.propose(network.founder, SetPriority(new, 3))
    network.settle(1)
    network.crash(network.founder)
    host = network.hosts[new]
    fresh_ballot(network, new)
    answer = replace(claim(network, ahead, host), accepted_term=network.counter - 1)
    network.tell(new, Received(ahead, answer))
    network.crash(ahead)
    network.settle(3)
    term = host.log._coordinating.active()
    assert term is not None
    assert term.sequencing.opened


def test_another_voter_is_asked_if_one_does_not_hand_its_chain_over() -> None:
    network = cluster(3)
    one, other = others(network)
    ballot = fresh_ballot(network, network.founder)
    host = network.hosts[network.founder]
    network.sync(network.founder)
    for number, voter in enumerate((one, other)):
        later = replace(claim(network, voter, host), version=10**6 + number)
        assert ballot.vote(voter, later)
    asked = []
    for _ in range(3):
        newer = ballot.newer()
        assert newer is not None
        asked.append(newer[0])
        ballot.give_up(newer[0])
    assert asked == [one, other, one]


# --- what voters enforce ------------------------------------------------------------------------


def test_coordinator_puts_one_change_of_voters_at_a_time() -> None:
    network = cluster(3)
    host = network.hosts[network.founder]
    term = host.log._coordinating.active()
    assert term is not None
    ballot = term.sequencing
    one, _ = others(network)
    assert ballot.put(network.change(network.founder, SetVoters(None, one))) is not None
    assert ballot.put(network.change(network.founder, SetVoters(one, None))) is None
    assert ballot.put(network.change(network.founder, Rename(None, "x"))) is not None


def entries(network: Network, *changes: Rename | SetVoters) -> tuple[Entry, ...]:
    """What a hostile founder, in office, puts after what is final."""
    at = network.hosts[network.founder].log.committed
    made = []
    for what in changes:
        entry = sign_entry(
            network.change(network.founder, what),
            cluster_id=at.cluster_id,
            version=at.version + 1,
            previous=at.head,
            ballot=at.ballot,
            hlc=at.hlc + 1,
            votes=(),
            sign=CheapSignatures(network.founder).sign,
        )
        at = at.apply(entry, CheapSignatures(network.founder))
        made.append(entry)
    return tuple(made)


def append(network: Network, *put: Entry) -> Append:
    at = network.hosts[network.founder].log.committed
    return Append(
        network.counter,
        *at.lineage,
        base=at.version,
        base_head=at.head,
        previous=at.version,
        previous_head=at.head,
        entries=put,
    )


def test_voter_takes_one_change_of_voters_beyond_what_is_final() -> None:
    network = cluster(3)
    voter, other = others(network)
    host = network.hosts[voter]
    two = entries(network, SetVoters(None, other), SetVoters(other, None))
    answer = host.log.handle(Received(network.founder, append(network, *two)), network.now)
    assert [type(one.message) for one in answer if isinstance(one, Send)] == [LogHead]
    assert host.log.head == host.log.committed.head
    network.tell(voter, Received(network.founder, append(network, two[0])))
    assert host.log.head == two[0].hash
    network.tell(voter, Received(network.founder, append(network, *two)))
    assert host.log.head == two[0].hash


def test_voter_takes_one_chain_in_a_ballot() -> None:
    network = cluster(3)
    voter, _ = others(network)
    host = network.hosts[voter]
    (one,) = entries(network, Rename(None, "one"))
    (other,) = entries(network, Rename(None, "other"))
    network.tell(voter, Received(network.founder, append(network, one)))
    said = host.log.handle(Received(network.founder, append(network, other)), network.now)
    assert not any(isinstance(each, Send | AppendAnswer) for each in said)
    assert host.log.head == one.hash
    assert "member log: two chains in one ballot" in [each.reason for each in said]  # type: ignore[union-attr]
