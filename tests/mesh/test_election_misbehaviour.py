"""Elections among hosts that are busy or hang, and members that misbehave."""

from __future__ import annotations

import pytest

from buildnet.mesh.election.contest import Contests
from buildnet.mesh.election.testing import KEYS, Network, list_of, settled
from buildnet.mesh.events import Received, SendAll, Stalled
from buildnet.mesh.messages.election import (
    Coordinator,
    CoordinatorAsk,
    Heartbeat,
    HeartbeatAck,
    MissAsk,
)


@pytest.mark.parametrize(("stall", "every"), [(0.11, 0.25), (0.2, 0.4), (0.3, 0.6)])
def test_a_busy_follower_misses_the_coordinator_all_the_same(stall: float, every: float) -> None:
    network = settled("abc")
    core, now = network.nodes["b"].core, network.now
    began = now
    while not any(isinstance(said, SendAll) for said in core.tick(now)):
        now += every - stall
        core.tick(now)
        now += stall
        core.handle(Stalled(stall), now)
        assert now < began + 5.0


def test_where_disks_hang_somebody_coordinates_provisionally() -> None:
    network = settled("abc")
    network.disk_s = 1e9
    network.kill("a")
    network.run(3.0)
    assert all("quorum" not in view for view in network.views().values())
    network.run(15.0)
    assert set(network.views().values()) <= {"b 1 provisional", "c 1 provisional"}
    assert len(set(network.views().values())) == 1


def test_who_asks_for_the_coordinator_again_and_again_is_answered_now_and_then() -> None:
    network = settled("abc")
    before = len(network.nodes["a"].said)
    for _ in range(50):
        network.tell("c", "a", CoordinatorAsk(0))
    network.run(0.1)
    answers = network.nodes["a"].said[before:]
    assert sum(isinstance(said, Coordinator) for said in answers) == 1


def test_a_flood_of_questions_costs_no_coordinator_its_quorum() -> None:
    network = Network("abc", delay_s=0.1)
    assert network.settle() == "a"
    for _ in range(2000):
        network.tell("c", "a", CoordinatorAsk(0))
        network.run(1 / 450)
    assert set(network.views().values()) == {"a 1 quorum"}


def test_a_higher_rank_that_only_asks_does_not_gag_a_lower_one() -> None:
    network = settled("abcde")
    network.kill("a")
    core, now = network.nodes["c"].core, network.now
    end = now + 3.0
    while not any(isinstance(said, SendAll) for said in core.tick(now)):
        core.handle(Received(KEYS["b"], MissAsk(1)), now)
        now += 0.02
        assert now < end


def test_what_others_say_of_a_coordinator_does_not_keep_it_alive() -> None:
    network = settled("abc", voters="ab")
    said = next(said for said in network.nodes["a"].said if isinstance(said, Coordinator))
    network.kill("a")
    network.kill("b")
    network.start("b")
    for _ in range(20):
        network.tell("c", "b", said)
        network.run(0.25)
    assert network.views()["b"] == "b 1 provisional"


def test_a_provisional_term_names_a_proven_counter() -> None:
    network = settled("abc")
    network.kill("a")
    network.freeze("b")
    network.run(1.0)
    network.tell("b", "c", Heartbeat(2**62, False, False, 1, 10, bytes(8), 1))
    network.run(0.01)
    office = network.nodes["c"].core.office
    assert office is None or office.counter < 2**62


def test_a_voter_that_lies_about_its_promise_makes_the_term_grow_ever_more_slowly() -> None:
    network = settled("abcde")
    liar, coordinator = "e", network.nodes["a"]
    for _ in range(600):
        office = coordinator.core.office
        assert office is not None
        network.tell(liar, "a", HeartbeatAck(office.counter, 0, office.counter + 1))
        network.run(0.1)
    assert set(network.granted.values()) == {"a"}
    assert len(network.granted) < 10
    assert coordinator.notes.count("term contested") == len(network.granted) - 1 > 3


def test_voters_wait_apart_from_each_other_and_as_at_first_after_a_while() -> None:
    contests = Contests()
    now = 0.0
    for waited in (0.5, 1.0, 2.0, 4.0):
        assert contests.observe({KEYS["b"]: 2}, now) is None
        assert contests.observe({KEYS["b"]: 2}, now + waited - 0.1) is None
        now += waited
        assert contests.observe({KEYS["b"]: 2}, now) == KEYS["b"]
        contests.follow(KEYS["b"], now)
    both = {KEYS["b"]: 2, KEYS["c"]: 2}
    assert contests.observe(both, now) is None
    assert contests.observe(both, now + 0.5) == KEYS["c"]
    assert contests.observe({}, now + 1.0) is None
    now += 4000.0
    assert contests.observe(both, now) is None
    assert contests.observe({KEYS["b"]: 2}, now + 0.5) == KEYS["b"]


def test_one_that_was_an_observer_for_a_while_may_stand_again() -> None:
    network = settled("abc")
    network.give(list_of("abc", "bc", observers="a", version=11), "abc")
    network.run(2.0)
    network.give(list_of("abc", "abc", version=12), "abc")
    network.kill("b")
    network.kill("c")
    network.start("b")
    network.start("c")
    network.settle()
    network.wish("b", lambda core: core.promote(KEYS["a"], network.now))
    network.run(1.0)
    assert "a" in network.views()["c"]
