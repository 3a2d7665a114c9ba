"""Revocations: who can't be revoked, and that a revoked key is left no way to go on."""

from __future__ import annotations

import pytest
from tests.mesh.member_changes import (
    BEN,
    CARA,
    CHECK,
    EVE,
    FOUNDER,
    admit,
    after,
    denied,
    recover,
    team,
)
from tests.mesh.member_network import CheapSigner, Network

from buildnet.mesh.election.promise import Certificate, promise_statement
from buildnet.mesh.events import Received
from buildnet.mesh.members.changes import (
    Admit,
    Change,
    Revoke,
    SetPriority,
    SetVoters,
    rotate,
)
from buildnet.mesh.members.entry import CommitProof, Vote, accepted_statement, ballot_statement
from buildnet.mesh.members.member_list import MemberList, Refused, Revocation, Rights, Role
from buildnet.mesh.messages.member_log import BallotAnswer, ChangeAsk, Revocations
from buildnet.mesh.testing import CheapSignatures, key_number

ADMIN = CheapSigner(key_number(9).public_key)
THIEF = CheapSigner(key_number(555).public_key)


def cluster(hosts: int) -> Network:
    """A cluster with a second admin, who has no node here; the founder coordinates."""
    network = Network(1, hosts=hosts)
    network.elect(network.founder)
    network.settle(10)
    network.propose(
        network.founder,
        Admit(ADMIN.public_key, "admin", Role.OBSERVER.value, Rights.ADMIN.value),
    )
    network.settle(1)
    return network


def others(network: Network) -> list[bytes]:
    return [key for key in sorted(network.hosts) if key != network.founder]


def refusal(network: Network, change: Change) -> str:
    (done,) = network.done[change.id]
    assert isinstance(done.error, Refused)
    return done.error.reason


def test_nobody_revokes_itself_nor_the_last_admin() -> None:
    assert denied(team(), CARA, Revoke(CARA.public_key, "x")) == "own key"
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    members = after(members, CARA, rotate(members.cluster_id, CARA.public_key, EVE))
    assert denied(members, EVE, Revoke(CARA.public_key, "x")) == "own key"


def test_revocation_that_the_list_refuses_is_held_nowhere() -> None:
    network = cluster(3)
    one, other = others(network)
    network.split([network.founder], [one, other])
    change = network.propose(network.founder, Revoke(network.founder, "x"))
    assert refusal(network, change) == "own key"
    assert network.hosts[network.founder].local.members.is_admin(network.founder)
    by_itself = network.change(network.founder, Revoke(network.founder, "x"))
    network.tell(one, Received(other, Revocations((by_itself,))))
    assert network.hosts[one].local.members.is_admin(network.founder)


def test_revocations_that_are_held_leave_an_admin() -> None:
    network = cluster(3)
    one, other = others(network)
    network.split([network.founder], [one], [other])
    network.propose(one, Revoke(ADMIN.public_key, "x"))
    back = network.change(ADMIN.public_key, Revoke(network.founder, "y"))
    network.tell(one, Received(other, Revocations((back,))))
    members = network.hosts[one].local.members
    assert members.is_admin(network.founder)
    assert not members.is_member(ADMIN.public_key)


def test_revoking_a_key_revokes_what_it_was_rotated_to() -> None:
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    members = after(members, CARA, rotate(members.cluster_id, CARA.public_key, THIEF))
    members = after(members, THIEF, rotate(members.cluster_id, THIEF.public_key, EVE))
    members = after(members, FOUNDER, Revoke(CARA.public_key, "stolen"))
    for key in (CARA, THIEF, EVE):
        assert key.public_key in members.revoked
        assert not members.is_member(key.public_key)
    assert denied(members, FOUNDER, admit(EVE)) == "revoked"


def test_thief_that_rotates_before_the_revocation_is_heard_of_is_out() -> None:
    network = cluster(5)
    stolen, friend, *rest = others(network)
    host = network.hosts[network.founder]
    network.split([friend], [network.founder, stolen, *rest])
    revoke = network.propose(friend, Revoke(stolen, "stolen"))
    cluster_id = host.log.genesis.cluster_id
    network.propose(stolen, rotate(cluster_id, stolen, THIEF), author=stolen)
    network.settle(2)
    assert host.local.members.is_member(THIEF.public_key)
    network.tell(network.founder, Received(friend, Revocations((revoke,))))
    assert not host.local.members.is_member(THIEF.public_key)  # held only
    network.link(friend, network.founder)
    network.settle(8)
    assert THIEF.public_key in host.log.committed.revoked


def test_nothing_of_a_revoked_key_is_sequenced_once_the_revocation_is_held() -> None:
    network = cluster(3)
    passing, _ = others(network)
    host = network.hosts[network.founder]
    new = Admit(THIEF.public_key, "thief", Role.WORKER.value, Rights.ADMIN.value)
    before = network.change(ADMIN.public_key, new)
    revoke = network.change(network.founder, Revoke(ADMIN.public_key, "stolen"))
    network.tell(network.founder, Received(passing, Revocations((revoke,))))
    network.tell(network.founder, Received(passing, ChangeAsk(before)))
    network.settle(5)
    assert ADMIN.public_key in host.log.committed.revoked
    assert not host.local.members.is_member(THIEF.public_key)


def test_promises_of_revoked_voters_prove_no_term() -> None:
    network = cluster(5)
    *bad, honest = others(network)[:4]
    host = network.hosts[honest]
    voters = host.log.voters
    assert len(voters) == 5
    counter = network.counter + 1
    promise = promise_statement(host.local, counter, bad[0], 1)
    votes = {key: CheapSignatures(key).sign(promise) for key in bad}
    certificate = Certificate.of(counter, bad[0], 1, votes)
    assert certificate.is_of_majority(host.local, voters)
    network.split([honest], [key for key in network.hosts if key != honest])
    revocations = tuple(network.change(network.founder, Revoke(key, "x")) for key in bad)
    network.tell(honest, Received(network.founder, Revocations(revocations)))
    assert not certificate.is_of_majority(host.local, voters)


def test_a_term_that_revoked_voters_granted_may_be_named_but_is_not_proven() -> None:
    network = cluster(5)
    bad, *good, honest = others(network)[:4]
    host = network.hosts[honest]
    voters = host.log.voters
    counter = network.counter + 1
    promise = promise_statement(host.local, counter, good[0], 1)
    votes = {key: CheapSignatures(key).sign(promise) for key in (bad, *good)}
    certificate = Certificate.of(counter, good[0], 1, votes)
    network.split([honest], [key for key in network.hosts if key != honest])
    revocation = network.change(network.founder, Revoke(bad, "x"))
    network.tell(honest, Received(network.founder, Revocations((revocation,))))
    assert not certificate.is_of_majority(host.local, voters)
    assert certificate.may_be_named(host.local, voters)
    forged = Certificate.of(counter, good[0], 1, {**votes, good[0]: votes[bad]})
    assert not forged.may_be_named(host.local, voters)
    revocations = tuple(network.change(network.founder, Revoke(key, "x")) for key in good)
    network.tell(honest, Received(network.founder, Revocations(revocations)))
    assert not certificate.may_be_named(host.local, voters)  # a thief of their keys could sign it


def test_votes_of_revoked_voters_open_no_ballot() -> None:
    network = cluster(5)
    *bad, friend = others(network)[:3]
    host = network.hosts[network.founder]
    assert network.elect(network.founder)
    term = host.log._coordinating.active()
    assert term is not None
    ballot = term.sequencing
    members = host.local.members
    said = ballot_statement(members.cluster_id, members.lineage, ballot.ballot)
    newest = host.log.committed
    for key in (*bad, network.founder):
        vote = CheapSignatures(key).sign(said)
        claim = (0, bytes(32), newest.version, newest.head, newest.version)
        assert ballot.vote(key, BallotAnswer(network.counter, *claim, vote))
    revocations = tuple(network.change(network.founder, Revoke(key, "x")) for key in bad)
    network.tell(network.founder, Received(friend, Revocations(revocations)))
    assert not ballot.begin()


# --- proofs that a version is final ---------------------------------------------------------------


def proof(members: MemberList, *voters: CheapSigner) -> CommitProof:
    """That ``members`` is final, signed by ``voters``."""
    statement = accepted_statement(
        members.cluster_id, members.ballot, members.version, members.head
    )
    votes = tuple(Vote(one.public_key, one.sign(statement)) for one in voters)
    return CommitProof(*members.ballot, members.version, members.head, votes)


def three_voters() -> MemberList:
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    return after(members, FOUNDER, SetVoters(CARA.public_key, None))


def test_what_a_voter_signed_before_its_revocation_stays_proven() -> None:
    before = three_voters()
    signed = proof(before, BEN, CARA)
    assert before.is_committed(signed, CHECK)
    revoked = after(before, FOUNDER, Revoke(BEN.public_key, "stolen"))
    assert revoked.version > before.version
    assert before.is_committed(signed, CHECK)
    # Held here, and in no version yet: whoever signed had not heard of it.
    held = Revocation(BEN.public_key, FOUNDER.public_key, "stolen", None)
    assert before.with_revocations([held]).is_committed(signed, CHECK)


@pytest.mark.parametrize("later", [0, 1], ids=["the version that revokes it", "a later one"])
def test_a_voter_proves_nothing_from_the_version_on_that_revokes_it(later: int) -> None:
    members = after(three_voters(), FOUNDER, Revoke(BEN.public_key, "stolen"))
    for number in range(later):
        members = after(members, FOUNDER, SetPriority(CARA.public_key, number + 1))
    assert not members.is_committed(proof(members, BEN, CARA), CHECK)
    assert not members.is_committed(proof(members, BEN, CARA, FOUNDER), CHECK)
    assert members.is_committed(proof(members, CARA, FOUNDER), CHECK)


def test_the_key_that_a_revoked_voter_was_rotated_to_proves_nothing() -> None:
    members = three_voters()
    members = after(members, BEN, rotate(members.cluster_id, BEN.public_key, EVE))
    members = after(members, FOUNDER, SetVoters(EVE.public_key, None))
    assert members.is_committed(proof(members, EVE, CARA), CHECK)
    members = after(members, FOUNDER, Revoke(BEN.public_key, "stolen"))
    assert not members.is_committed(proof(members, EVE, CARA), CHECK)
    assert members.is_committed(proof(members, CARA, FOUNDER), CHECK)
    # Nor does it come back as a voter, in a recovery neither.
    again = SetVoters(EVE.public_key, None)
    assert denied(members, FOUNDER, again) == "no new voter"
    assert denied(members, FOUNDER, recover(members, EVE, at=FOUNDER)) == "no new voter"
