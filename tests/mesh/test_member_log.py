"""The member log: what is final stays final, whatever is lost, shuffled or crashes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.mesh.member_logs import cluster, names, others, outcome
from tests.mesh.member_network import CLUSTER, CheapSigner, Network

from buildnet.mesh.events import Office, Received
from buildnet.mesh.members import member_chain
from buildnet.mesh.members.changes import (
    Admit,
    Change,
    Leave,
    Remove,
    Rename,
    Revoke,
    SetPriority,
    SetRights,
    rotate,
)
from buildnet.mesh.members.facts import LogFact
from buildnet.mesh.members.log import MemberLog
from buildnet.mesh.members.member_list import Refused, Rights, Role
from buildnet.mesh.messages.member_log import Append, LogHead, Revocations
from buildnet.mesh.testing import key_number

# --- changes -----------------------------------------------------------------------------


def test_change_proposed_anywhere_is_final_everywhere() -> None:
    network = cluster(3)
    for number, key in enumerate(sorted(network.hosts)):
        change = network.propose(key, Rename(None, f"name-{number}"))
        network.settle(1)
        assert outcome(network, change) == "done"
        assert names(network) == {f"name-{number}"}


def test_refused_change_tells_who_asked_why() -> None:
    network = cluster(3)
    for key in (network.founder, others(network)[0]):
        builder = others(network)[1]
        change = network.propose(key, Rename(None, f"x{key[0]}"), author=builder)
        network.settle(1)
        assert outcome(network, change) == "no admin"


def test_same_change_twice_happens_once() -> None:
    network = cluster(3)
    change = network.propose(network.founder, SetPriority(network.founder, 3))
    for key in (network.founder, *others(network)):
        network.perform(key, network.hosts[key].log.propose(change, network.now))
    network.settle(2)
    assert all(done.error is None for done in network.done[change.id])
    entries = network.hosts[network.founder].log.entries
    assert sum(entry.change.id == change.id for entry in entries) == 1
    network.perform(network.founder, network.hosts[network.founder].log.propose(change, 0.0))
    assert len(network.done[change.id]) == 4


def test_without_a_majority_nothing_changes_and_it_is_told() -> None:
    network = cluster(3)
    first, second = others(network)
    network.crash(first)
    network.crash(second)
    founder = network.hosts[network.founder]
    founder.local.office = Office(network.founder, network.counter, granted=True, quorum=False)
    change = network.propose(network.founder, Rename(None, "alone"))
    network.settle(5)
    assert outcome(network, change) == "NO_QUORUM"
    assert "test" in names(network)
    assert "alone" not in names(network)


def test_chain_longer_than_a_message_reaches_who_was_away() -> None:
    network = cluster(3)
    away, there = others(network)
    network.crash(away)
    for number in range(150):
        network.propose(network.founder, SetPriority(there, number))
        network.settle()
    network.restart(away)
    network.unlink(away, network.founder)  # any member can hand it on
    network.settle(1)
    assert network.hosts[away].log.head == network.hosts[network.founder].log.head
    assert network.hosts[away].local.members.members[there].priority == 149


def test_entries_said_twice_come_to_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    network = cluster(3)
    away, there = others(network)
    network.crash(away)
    for number in range(9):
        network.propose(network.founder, SetPriority(there, number))
    network.settle(1)
    monkeypatch.setattr(member_chain, "MAX_ENTRIES", 1)
    network.restart(away)
    network.unlink(away, there)
    network.elect(network.founder)
    while not any(isinstance(said, Append) and to == away for _, to, said in network.flying):
        network.flying = [one for one in network.flying if not isinstance(one[2], LogHead)]
        network.deliver()
        for key in network.hosts:
            network.sync(key)
    for _ in range(2):
        network.flying += [one for one in network.flying if one[1] == away]
        network.deliver()
    network.settle(1)
    assert network.hosts[away].log.head == network.hosts[network.founder].log.head


def test_state_survives_a_restart_and_damage_is_noticed() -> None:
    network = cluster(3)
    host = network.hosts[others(network)[0]]
    before = host.log
    network.crash(host.key)
    network.restart(host.key)
    after = network.hosts[host.key].log
    assert (after.committed, after.accepted, after.voters) == (
        before.committed,
        before.accepted,
        before.voters,
    )
    facts = list(host.disk.values())
    missing = [fact for fact in facts if not fact.name().endswith("0002")]
    with pytest.raises(Refused, match="damaged"):
        MemberLog(host.local, facts=missing)
    wrong = [replace(fact, head=bytes(32)) if isinstance(fact, LogFact) else fact for fact in facts]
    with pytest.raises(Refused, match="damaged"):
        MemberLog(host.local, facts=wrong)


# --- voters ------------------------------------------------------------------------------


def test_coordinator_that_is_no_voter_yet_becomes_one() -> None:
    network = cluster(3)
    lost = next(key for key in others(network) if key in network.hosts[network.founder].log.voters)
    network.propose(network.founder, Remove(lost))
    network.settle(5)
    (other,) = (key for key in others(network) if key != lost)
    assert network.hosts[network.founder].log.committed.voters == (network.founder,)
    assert network.elect(other)
    network.settle(1)
    network.propose(other, Admit(lost, "again", Role.WORKER.value, Rights.BUILDER.value))
    network.settle(1)
    network.heal()
    network.settle(10)
    assert set(network.hosts[other].log.committed.voters) == set(network.hosts)


def test_removed_voter_is_replaced_at_once() -> None:
    network = cluster(4)
    log = network.hosts[network.founder].log
    gone = next(key for key in log.committed.voters if key != network.founder)
    network.propose(network.founder, Remove(gone))
    network.settle(4)
    assert gone not in log.committed.voters
    assert len(log.committed.voters) == 3
    assert gone not in network.hosts[network.founder].local.links


def test_last_voter_may_leave_after_another_was_added() -> None:
    network = cluster(2)
    (other,) = others(network)
    network.propose(network.founder, Admit(*new_admin(9)))
    network.settle(1)
    change = network.propose(network.founder, Leave())
    network.settle(2)
    assert outcome(network, change) == "done"
    assert network.hosts[other].log.committed.voters == (other,)


def test_what_is_asked_of_a_coordinator_that_leaves_its_successor_does() -> None:
    network = cluster(3)
    one, _ = others(network)
    network.propose(network.founder, SetRights(one, Rights.ADMIN.value))
    network.settle(1)
    network.propose(network.founder, Leave())
    change = network.propose(one, Rename(None, "another"), author=one)
    network.settle(0.5)
    assert change.id not in network.done
    assert network.elect(one)
    network.settle(5)
    assert outcome(network, change) == "done"


def test_voters_wait_until_the_room_above_has_settled_on_the_present_ones() -> None:
    network = cluster(4)
    local = network.hosts[network.founder].local
    log = network.hosts[network.founder].log
    local.may_change_voters = lambda: False
    gone = next(key for key in log.committed.voters if key != network.founder)
    waits = network.propose(network.founder, Remove(gone))
    goes_on = network.propose(network.founder, Admit(*new_admin(9)))
    network.settle(3)
    assert waits.id not in network.done
    assert outcome(network, goes_on) == "done"
    assert gone in log.committed.voters
    local.may_change_voters = lambda: True
    network.settle(4)
    assert outcome(network, waits) == "done"
    assert gone not in log.committed.voters


def new_admin(number: int) -> tuple[bytes, str, str, str]:
    return (key_number(number).public_key, "admin", Role.OBSERVER.value, Rights.ADMIN.value)


def test_sole_voter_rotates_its_key() -> None:
    network = cluster(1)
    host = network.hosts[network.founder]
    new = CheapSigner(key_number(70).public_key)
    change = network.propose(
        network.founder, rotate(host.log.genesis.cluster_id, network.founder, new)
    )
    network.settle(1)
    assert outcome(network, change) == "done"
    assert host.log.committed.voters == (new.public_key,)
    assert host.log.committed.is_committed(host.log.proof, host.local.signatures)


# --- revocations ----------------------------------------------------------------------------


def test_revocation_counts_where_it_is_held_and_is_sequenced_later() -> None:
    network = cluster(4)
    bad, friend, third = others(network)
    network.split([network.founder, third], [bad, friend])
    revoke = Revoke(bad, "stolen")
    # At a node that reaches no coordinator, signed by the founder's key.
    change = network.propose(friend, revoke)
    assert not network.hosts[friend].local.members.is_member(bad)
    assert bad not in network.hosts[friend].local.links
    network.settle(1)
    network.crash(friend)
    network.restart(friend)
    assert not network.hosts[friend].local.members.is_member(bad)
    network.link(friend, network.founder)
    network.elect(network.founder)
    network.settle(3)
    founder = network.hosts[network.founder]
    assert bad in founder.log.committed.revoked
    assert bad not in founder.local.links
    assert not any("revocation" in name for name in network.hosts[friend].disk)
    assert change.id in founder.log.committed.recent


def test_two_admins_that_revoke_each_other_end_equal_everywhere() -> None:
    network = cluster(5)
    rival = key_number(9).public_key
    network.propose(network.founder, Admit(*new_admin(9)))
    network.settle(1)
    left, right, *_ = others(network)
    network.propose(left, Revoke(rival, "x"))
    network.propose(right, Revoke(network.founder, "y"), author=rival)
    network.settle()
    assert not network.hosts[left].local.members.is_member(rival)
    assert not network.hosts[right].local.members.is_member(network.founder)
    network.heal()
    network.elect(left)
    network.settle(3)
    network.heal()
    network.settle(8)
    lists = [network.hosts[key].local.members for key in others(network)]
    assert len({tuple(sorted(members.revoked)) for members in lists}) == 1
    assert len(lists[0].revoked) == 1


def test_forged_revocations_are_not_held() -> None:
    network = cluster(3)
    victim, liar = others(network)
    host = network.hosts[network.founder]
    by_builder = network.change(liar, Revoke(victim, "x"))
    forged = replace(by_builder, author=network.founder)
    network.tell(network.founder, Received(liar, Revocations((by_builder, forged))))
    assert host.local.members.is_member(victim)


# --- recovery -----------------------------------------------------------------------------------


def recover(network: Network, key: bytes, author: CheapSigner, voters: Iterable[bytes]) -> Change:
    what = network.hosts[key].log.recovery(voters)
    return network.propose(key, what, author=author.public_key)


def test_recovery_reopens_a_cluster_whose_majority_is_gone() -> None:
    network = cluster(3)
    survivor, gone = others(network)
    for key in (network.founder, gone):
        network.crash(key)
    assert not network.elect(survivor)
    change = recover(network, survivor, CLUSTER, [survivor])
    assert outcome(network, change) == "done"
    assert network.elect(survivor)
    network.settle(1)
    renamed = network.propose(survivor, Rename(None, "again"))
    network.settle(1)
    assert outcome(network, renamed) == "done"
    network.heal()  # who comes back follows
    network.settle(8)
    assert names(network) == {"again"}
    assert {host.log.committed.epoch for host in network.hosts.values()} == {1}


@pytest.mark.parametrize("by_cluster_key", [True, False])
def test_recovery_takes_back_what_is_final_by_the_cluster_key_only(by_cluster_key: bool) -> None:
    network = cluster(3)
    survivor, gone = others(network)
    network.crash(survivor)
    network.propose(network.founder, Rename(None, "unseen"))
    network.settle(1)
    network.crash(network.founder)
    network.crash(gone)
    network.restart(survivor)
    author = CLUSTER if by_cluster_key else CheapSigner(network.founder)
    network.watched = False
    recover(network, survivor, author, [survivor])
    network.elect(survivor)
    network.heal()
    network.settle(10)
    assert (names(network) == {"test"}) is by_cluster_key
    reasons = {note.reason for note in network.notes}
    assert ("member log: recovery takes back" in reasons) is not by_cluster_key


def test_recovery_at_two_places_ends_in_one_lineage() -> None:
    network = cluster(5)
    left, right, *rest = others(network)
    for key in (network.founder, *rest):
        network.crash(key)
    network.unlink(left, right)
    network.watched = False
    recover(network, left, CLUSTER, [left])
    recover(network, right, CLUSTER, [right])
    network.heal()
    network.settle(10)
    assert len({host.log.committed.head for host in network.hosts.values()}) == 1
