"""Who votes, and when that changes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from tests.mesh.member_changes import FOUNDER, admit, after, beginning
from tests.mesh.member_logs import cluster, outcome
from tests.mesh.member_network import CLUSTER, CheapSigner

from buildnet.mesh.members.changes import Leave, Rename
from buildnet.mesh.members.member_list import MemberList
from buildnet.mesh.members.voters import ABSENT_S, STABLE_S, next_voters, wanted_voters
from buildnet.mesh.testing import key_number

# --- which step comes next ---------------------------------------------------------------


@pytest.mark.parametrize("workers", range(2, 10))
def test_an_absent_voter_is_replaced_as_the_rules_allow(workers: int) -> None:
    team_of = [FOUNDER, *(CheapSigner(key_number(10 + n).public_key) for n in range(1, workers))]
    members = beginning()
    for who in team_of[1:]:
        members = after(members, FOUNDER, admit(who))
    keys = [who.public_key for who in team_of]
    replaced = 0
    for lost in ([], *([key] for key in keys[1:])):
        present = [key for key in keys if key not in lost]
        while True:
            step = next_voters(
                members,
                coordinator=keys[0],
                present=present,
                heard=present,
                stable=present,
                lost=lost,
            )
            if step is None:
                break
            members = after(members, FOUNDER, step)
            replaced += step.removed is not None
        assert len(members.voters) == wanted_voters(workers)
        if len(present) >= wanted_voters(workers):
            assert not set(lost) & set(members.voters)
    assert replaced > 0 or workers in (2, 3, 5, 7)


def workers_of(count: int, *, voters: Iterable[int]) -> tuple[MemberList, list[bytes]]:
    """Workers in the order of their ranks; the founder coordinates."""
    signers = [FOUNDER, *(CheapSigner(key_number(10 + n).public_key) for n in range(1, count))]
    members = beginning()
    for signer in signers[1:]:
        members = after(members, FOUNDER, admit(signer))
    keys = [signer.public_key for signer in signers]
    return replace(members, voters=tuple(sorted(keys[voter] for voter in voters))), keys


def step_of(
    members: MemberList,
    keys: list[bytes],
    *,
    away: Iterable[int] = (),
    new: Iterable[int] = (),
    lost: Iterable[int] = (),
    silent: Iterable[int] = (),
) -> tuple[str, int] | None:
    """``away``: who is not there; ``new``: who is, not for long; ``lost``: who is away for long;
    ``silent``: whose link stands, though nothing was heard of it."""
    absent = {keys[number] for number in (*away, *lost)}
    present = [key for key in keys if key not in absent]
    stable = [key for key in present if key not in {keys[number] for number in new}]
    gone = [keys[number] for number in lost]
    step = next_voters(
        members,
        coordinator=keys[0],
        present=present,
        heard=[key for key in present if key not in {keys[number] for number in silent}],
        stable=stable,
        lost=gone,
    )
    if step is None:
        return None
    if step.added is not None:
        return ("in", keys.index(step.added))
    assert step.removed is not None
    return ("out", keys.index(step.removed))


def test_nobody_becomes_voter_while_a_voter_is_absent() -> None:
    members, keys = workers_of(5, voters=(0, 2, 3))
    assert step_of(members, keys, away=(3,)) is None
    assert step_of(members, keys, lost=(3,)) == ("out", 3)  # then another one comes in
    members, keys = workers_of(5, voters=(0, 2))
    assert step_of(members, keys, away=(3,)) == ("in", 1)
    members, keys = workers_of(5, voters=(0, 1, 2))
    assert step_of(members, keys, away=(3,)) is None  # two can't be added


def test_newcomer_votes_once_it_is_stable_and_voters_grow_in_pairs() -> None:
    members, keys = workers_of(5, voters=(0, 1, 2))
    assert step_of(members, keys, new=(4,)) is None
    assert step_of(members, keys) == ("in", 3)
    members, keys = workers_of(5, voters=(0, 1, 2, 3))
    assert step_of(members, keys) == ("in", 4)
    # An even number may grow whoever is absent: as many as before decide.
    assert step_of(members, keys, away=(1,)) == ("in", 4)
    members, keys = workers_of(3, voters=(0,))
    assert step_of(members, keys, away=(2,)) is None
    assert step_of(members, keys, new=(1, 2)) == ("in", 1)
    members, keys = workers_of(3, voters=(0, 1))
    assert step_of(members, keys, new=(2,)) == ("in", 2)


def test_who_was_not_heard_of_lately_does_not_become_the_second_voter() -> None:
    members, keys = workers_of(3, voters=(0,))
    assert step_of(members, keys, silent=(1, 2)) is None
    members, keys = workers_of(4, voters=(0, 1))
    assert step_of(members, keys, silent=(2,)) == ("in", 3)


@pytest.mark.parametrize("absent", [1, 2, 3])
def test_absent_voters_lose_their_vote_first_whatever_their_rank(absent: int) -> None:
    members, keys = workers_of(4, voters=(0, 1, 2, 3))
    assert step_of(members, keys, away=(absent,)) == ("out", absent)
    assert step_of(members, keys) == ("out", 3)


def test_no_step_makes_the_voters_that_are_present_a_minority() -> None:
    members, keys = workers_of(6, voters=(0, 1, 2, 3))
    assert step_of(members, keys, lost=(1, 2, 3)) is None
    members, keys = workers_of(4, voters=(0, 1, 2, 3))
    assert step_of(members, keys, away=(1, 2, 3)) is None


# --- what a coordinator does -------------------------------------------------------------


@pytest.mark.parametrize(("hosts", "voters"), [(1, 1), (2, 1), (3, 3), (4, 3), (5, 5), (6, 5)])
def test_voters_are_an_odd_number(hosts: int, voters: int) -> None:
    network = cluster(hosts)
    assert len(network.hosts[network.founder].log.committed.voters) == voters


def test_voter_that_is_away_for_long_is_replaced() -> None:
    network = cluster(4)
    log = network.hosts[network.founder].log
    away = next(key for key in log.committed.voters if key != network.founder)
    network.crash(away)
    network.settle(ABSENT_S - 30)
    assert away in log.committed.voters
    network.settle(60)
    assert away not in log.committed.voters
    assert len(log.committed.voters) == 3


def test_join_while_a_voter_is_away_costs_no_majority() -> None:
    network = cluster(5, newcomers=1)
    log = network.hosts[network.founder].log
    before = log.committed.voters
    newcomer = max(network.hosts, key=lambda key: log.committed.members[key].seniority)
    away = next(key for key in before if key != network.founder)
    network.crash(away)
    network.settle(2)
    network.restart(newcomer)
    network.settle(ABSENT_S - 10)
    assert log.committed.voters == before
    network.settle(20)
    assert away not in log.committed.voters
    assert len(log.committed.voters) == 3
    spare = next(key for key in log.committed.voters if key != network.founder)
    network.crash(spare)
    change = network.propose(network.founder, Rename(None, "goes on"))
    network.settle(2)
    assert outcome(network, change) == "done"


def test_newcomers_become_voters_once_they_were_there_for_a_while() -> None:
    network = cluster(5, newcomers=2)
    log = network.hosts[network.founder].log
    assert len(log.committed.voters) == 3
    for key in network.hosts:
        if not network.hosts[key].up:
            network.restart(key)
            network.hosts[key].local.office = network.hosts[network.founder].local.office
    network.settle(STABLE_S - 1)
    assert len(log.voters) == 3
    network.settle(8)
    assert len(log.committed.voters) == 5


def test_after_a_recovery_only_who_heard_of_it_becomes_a_voter() -> None:
    network = cluster(4)
    host = network.hosts[network.founder]
    gone = [key for key in network.hosts if key != network.founder]
    for key in gone:  # their links stand, but nothing comes of them any more
        network.hosts[key].up = False
    network.propose(
        network.founder, host.log.recovery([network.founder]), author=CLUSTER.public_key
    )
    assert host.log.committed.epoch == 1
    assert network.elect(network.founder)
    network.settle(20)
    assert host.log.voters == (network.founder,)
    for key in gone:
        network.hosts[key].up = True
        network.restart(key)
        network.hosts[key].local.office = host.local.office
    network.settle(20)
    assert len(host.log.committed.voters) == 3


def test_no_voter_leaves_while_too_few_of_the_others_are_there() -> None:
    network = cluster(3)
    one, other = (key for key in network.hosts if key != network.founder)
    log = network.hosts[network.founder].log
    before = log.voters
    assert len(before) == 3
    network.crash(one)
    leaves = network.propose(network.founder, Leave(), author=other)
    network.settle(3)
    assert leaves.id not in network.done
    assert log.voters == before
    network.restart(one)
    network.hosts[one].local.office = network.hosts[network.founder].local.office
    network.settle(3)
    assert outcome(network, leaves) == "done"
    assert other not in log.committed.voters
