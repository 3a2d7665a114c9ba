"""On which hosts a build is expected to have slots."""

from __future__ import annotations

from dataclasses import replace

from buildnet.node.hosts_ahead import hosts_ahead
from buildnet.pool.advertisement import Lent, Load, Profile
from buildnet.pool.estimation.simulation import SimulatedHost
from buildnet.pool.known_host import host_of
from buildnet.pool.placement import Host, Preferences
from buildnet.pool.rehearsal import Stage

HERE = Host(b"h", "here", "h", slots=4, free=4, speed=100.0, is_here=True)


def other(name: str, slots: int | None = 4, free: int | None = 4) -> Host:
    return Host(name.encode(), name, name, slots=slots, free=free, speed=100.0)


def slots_of(stage: Stage) -> dict[str, int]:
    return {node: host.slots for node, host in hosts_ahead(stage, "h")}


def test_only_slots_count_that_are_free_or_lent_to_this_node() -> None:
    others = [
        other("free"),
        other("busy", free=0),
        replace(other("ours", free=0), lent_here=3),
        replace(other("told-late"), lent_here=3),
        other("unknown", slots=None, free=None),
        replace(other("closed"), lends_nothing="it is drained"),
    ]
    assert slots_of(Stage(HERE, 4, others)) == {"h": 4, "free": 4, "ours": 3, "told-late": 4}


def test_the_build_has_no_more_than_it_asks_for() -> None:
    others = [other("a"), other("b"), other("c")]
    assert slots_of(Stage(HERE, 2, others, most=5)) == {"h": 2, "a": 4, "b": 1}
    two = Preferences(max_nodes=2)
    assert slots_of(Stage(HERE, 4, others, two)) == {"h": 4, "a": 4}
    named = Preferences(cores={"b": 3}, only_named=True)
    assert slots_of(Stage(HERE, 4, others, named)) == {"h": 4, "b": 3}


def test_speed_is_that_of_this_node_where_both_were_measured() -> None:
    fast = Host(b"f", "fast", "f", slots=2, free=2, speed=250.0)
    new = Host(b"n", "new", "n", slots=2, free=2)
    found = dict(hosts_ahead(Stage(HERE, 4, [fast, new]), "h"))
    assert found["f"] == SimulatedHost(2, 2.5, "fast")
    assert found["n"].speed == 1.0


def test_what_a_host_lends_to_this_node_is_told_apart() -> None:
    lent = tuple(Lent(build=f"b{each}", node_id=each, slots=2, since_ms=0) for each in "hxh")
    load = Load(cores_in_use=6, lent=lent)
    profile = Profile(name="o", role="worker", version="1", slots=8)
    host = host_of(b"o", "o", "o", profile, load, driver="h")
    assert (host.slots, host.free, host.lent_here) == (8, 2, 4)
