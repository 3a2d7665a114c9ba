"""The member list goes on, whichever clock is wrong."""

from __future__ import annotations

import pytest
from tests.mesh.member_logs import cluster, names, others, outcome

from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.members.changes import Rename, SetRights
from buildnet.mesh.members.member_list import MAX_AHEAD_S, Rights
from buildnet.mesh.members.voters import ABSENT_S


@pytest.mark.parametrize("ahead_ms", [3_600_000, -3_600_000])
def test_wrong_clock_of_the_coordinator_stops_no_change_of_others(ahead_ms: int) -> None:
    network = cluster(6)
    ben = others(network)[0]
    network.propose(network.founder, SetRights(ben, Rights.ADMIN.value))
    network.settle(1)
    network.ahead_ms[network.founder] = ahead_ms
    renamed = network.propose(ben, Rename(None, "x"), author=ben)
    network.settle(1)
    assert outcome(network, renamed) == "done"
    voters = network.hosts[ben].log.voters
    lost = next(key for key in voters if key not in (ben, network.founder))
    network.crash(lost)
    network.settle(ABSENT_S + 5)
    newest = network.hosts[ben].log.committed
    assert lost not in newest.voters
    ahead_s = milliseconds_of(newest.hlc - network.hosts[ben].local.clock.now()) / 1000
    assert abs(ahead_s) < MAX_AHEAD_S


def test_clocks_set_back_while_an_entry_is_on_its_way_stop_nothing() -> None:
    network = cluster(3)
    network.ahead_ms = dict.fromkeys(network.hosts, 3_600_000)
    network.settle(5)
    renamed = network.propose(network.founder, Rename(None, "x"))
    network.ahead_ms = {}
    network.settle(1)
    assert outcome(network, renamed) == "done"


def test_chain_from_the_future_goes_on() -> None:
    network = cluster(3)
    days_ms = 2 * 24 * 3_600_000
    network.ahead_ms = dict.fromkeys(network.hosts, days_ms)
    network.settle(5)  # they hear of each other's clocks
    network.propose(network.founder, Rename(None, "ahead"))
    network.settle(1)
    network.ahead_ms = {}
    for coordinator in (network.founder, *others(network)):
        for key in network.hosts:
            network.crash(key)
        for key in network.hosts:
            network.restart(key)
        network.elect(coordinator)
        network.settle(1)
        for name in ("one", "two", "three"):
            renamed = network.propose(others(network)[0], Rename(None, name))
            network.settle(1)
            assert outcome(network, renamed) == "done"
            assert names(network) == {name}
    ahead = network.hosts[network.founder].log.committed.hlc - (network.wall() << 16)
    assert milliseconds_of(ahead) > days_ms - 60_000
