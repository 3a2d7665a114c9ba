"""Who coordinates, seen from outside: from the start over deaths, freezes and cuts to agreement, on
a network of elections in virtual time."""

from __future__ import annotations

import statistics

import pytest

from buildnet.mesh.election.testing import KEYS, NAMES, Network, settled
from buildnet.mesh.events import Send
from buildnet.mesh.messages.election import Heartbeat, MissAsk


def transcript(network: Network) -> str:
    return "\n".join(network.lines)


# --- at the start ------------------------------------------------------------------------------


def test_a_cluster_of_one_elects_itself_at_once() -> None:
    network = Network("a")
    assert network.run_until(network.agree) == pytest.approx(network.disk_s)
    assert network.views() == {"a": "a 1 quorum"}


def test_of_two_with_one_voter_the_voter_elects_itself_and_the_other_follows() -> None:
    network = Network("ab", voters="a")
    assert network.settle() == "a"
    assert network.now < 1.3


def test_a_cluster_that_starts_elects_one_by_rank() -> None:
    for names in ("abc", "abcde", "abcdefghijklmno"):
        network = Network(names, voters=names[:7])
        assert network.settle() == "a"
        assert network.now < 1.3
        assert set(network.granted) == {1}


def test_observers_follow_and_never_stand() -> None:
    network = Network("abcd", voters="bcd", observers="a")
    assert network.settle() == "b"
    network.kill("b")
    network.run(0.01)
    assert network.settle() == "c"


def test_an_observer_left_alone_knows_of_no_coordinator() -> None:
    network = settled("ab", voters="a", observers="b")
    network.kill("a")
    network.run(3.0)
    assert network.views() == {"b": "nobody"}


def test_a_node_alone_waits_for_its_links_before_it_is_provisional() -> None:
    network = Network("abc", start=False)
    network.start("b")
    network.run(2.9)
    assert network.views() == {"b": "nobody"}
    network.run(1.0)
    assert network.views() == {"b": "b 0 provisional"}


def test_a_worker_that_is_no_voter_may_coordinate() -> None:
    assert Network("abcd", voters="bcd").settle() == "a"


# --- the coordinator dies ----------------------------------------------------------------------


def test_a_kill_word_by_word() -> None:
    network = settled("abc")
    network.kill("a")
    network.run(0.1)
    assert (
        transcript(network)
        == """\
b: a 1 provisional
b > c MissAsk
c > b MissAnswer NOBODY
b > c PromiseAsk 2
c > b PromiseAnswer 2 GRANTED
b: b 2 quorum
b > c Coordinator 2
c: b 2 quorum"""
    )


def test_a_freeze_word_by_word() -> None:
    network = settled("abc", seed=5)
    network.freeze("a")
    network.run(1.5)
    assert (
        transcript(network)
        == """\
c: a 1 provisional
c > ab MissAsk
b > c MissAnswer NOBODY
c > b ElectionCall
b > c ElectionAnswer takes over
b: a 1 provisional
b > ac MissAsk
c > b MissAnswer NOBODY
b > ac PromiseAsk 2
c > b PromiseAnswer 2 GRANTED
b: b 2 quorum
b > ac Coordinator 2
c: b 2 quorum"""
    )


@pytest.mark.parametrize("size", [3, 5, 15])
def test_after_a_kill_all_agree_soon(size: int) -> None:
    took = sorted(seconds_to_agree(size, seed, "kill") for seed in range(30))
    assert statistics.median(took) <= 0.15
    assert took[-1] <= 0.5


@pytest.mark.parametrize("size", [3, 5, 15])
def test_after_a_freeze_all_agree_soon(size: int) -> None:
    took = sorted(seconds_to_agree(size, seed, "freeze") for seed in range(30))
    assert statistics.median(took) <= 1.1
    assert took[-1] <= 2.0


def seconds_to_agree(size: int, seed: int, harm: str) -> float:
    network = Network(NAMES[:size], voters=NAMES[: min(size, 7)], seed=seed)
    network.settle()
    network.run(1.0 + network.random.random())
    if harm == "kill":
        network.kill("a")
    else:
        network.freeze("a")
    return network.run_until(network.agree_without("a"))


def test_where_the_next_rank_is_frozen_too_the_one_below_goes_on() -> None:
    network = settled("abcde")
    network.freeze("b")
    network.run(0.1)
    network.kill("a")
    assert network.run_until(network.agree_without("a", "b")) < 0.5
    assert network.settle() == "c"


def test_one_that_dies_after_it_took_over_is_not_waited_for() -> None:
    network = settled("abcde", disk_s=0.05)
    network.freeze("a")
    network.run_until(lambda: "b > acde PromiseAsk 2" in network.lines)
    network.kill("b")
    assert network.run_until(network.agree_without("a", "b")) < 4.0
    assert network.settle() == "c"


def test_who_does_not_know_yet_answers_as_soon_as_it_does() -> None:
    network = settled("abc")
    network.unlink("a", "c")
    network.run(0.001)
    network.lines.clear()
    network.tell("b", "c", MissAsk(7))
    network.run(0.05)
    assert network.lines == []
    network.fail_dial("c", "a")
    assert network.lines == ["c > b MissAnswer NOBODY"]


def test_a_restarted_coordinator_follows() -> None:
    network = settled("abc")
    network.kill("a")
    network.run(0.5)
    network.start("a")
    network.run(2.0)
    assert set(network.views().values()) == {"b 2 quorum"}


def test_a_coordinator_that_restarts_unnoticed_wins_another_term() -> None:
    network = settled("abc")
    network.nodes.pop("a")
    network.start("a")
    network.settle()
    assert max(network.granted) >= 2


# --- freezing ----------------------------------------------------------------------------------


def test_a_thawed_coordinator_says_first_that_it_has_no_quorum() -> None:
    network = settled("abcde")
    network.freeze("a")
    network.run(10.0)
    assert network.settle() == "b"
    thawed = network.nodes["a"]
    thawed.said.clear()
    network.thaw("a")
    first = thawed.said[0]
    assert isinstance(first, Heartbeat)
    assert not first.quorum
    network.run(0.01)
    assert network.views()["a"] == "b 2 quorum"


def test_acknowledgements_from_before_a_freeze_say_nothing_of_now() -> None:
    network = settled("abc")
    network.nodes["b"].said.clear()
    network.run_until(lambda: bool(network.nodes["b"].said))
    network.freeze("a")
    network.run(0.01)
    assert network.nodes["a"].inbox
    network.cut("a", "bc")
    network.run(1.0)
    network.thaw("a")
    network.run(0.001)
    assert network.views()["a"] == "a 1 provisional"


def test_a_thawed_candidate_does_not_go_on_where_it_was() -> None:
    network = settled("abc", disk_s=0.05)
    network.kill("a")
    network.run_until(lambda: "b > c PromiseAsk 2" in network.lines)
    network.freeze("b")
    network.run(5.0)
    network.start("a")
    network.settle()
    network.thaw("b")
    network.run(0.001)
    assert not [line for line in network.lines if line.startswith("b: b 2")]


def test_a_follower_that_was_not_running_does_not_miss_the_coordinator() -> None:
    network = settled("abc")
    for _ in range(20):
        network.freeze("b", "c")
        network.run(1.5)
        network.thaw("b")
        network.thaw("c")
        network.run(0.05)
    asked = [said for name in "bc" for said in network.nodes[name].said if type(said) is MissAsk]
    assert not asked
    assert set(network.granted) == {1}


def test_a_short_stall_of_the_coordinator_costs_nothing() -> None:
    network = settled("abcde")
    for _ in range(20):
        network.freeze("a")
        network.run(0.55)
        network.thaw("a")
        network.run(0.3)
    assert set(network.granted) == {1}
    assert network.views()["e"] == "a 1 quorum"


# --- no majority -------------------------------------------------------------------------------


def test_a_minority_has_a_provisional_coordinator_and_the_majority_wins_at_the_heal() -> None:
    network = settled("abcde")
    network.cut("ab", "cde")
    network.run(10.0)
    assert network.views() == {
        "a": "a 1 provisional",
        "b": "a 1 provisional",
        "c": "c 2 quorum",
        "d": "c 2 quorum",
        "e": "c 2 quorum",
    }
    network.heal()
    network.run(1.0)
    assert set(network.views().values()) == {"c 2 quorum"}


def test_the_coordinator_is_without_quorum_in_a_second() -> None:
    network = settled("abc")
    network.cut("a", "bc")
    network.run(0.81)
    assert network.views()["a"] == "a 1 provisional"


def test_provisional_sides_merge_under_the_higher_rank() -> None:
    network = settled("abcdefg")
    for name in "ade":
        network.kill(name)
    network.unlink("b", "f")
    network.unlink("b", "g")
    network.unlink("c", "f")
    network.unlink("c", "g")
    network.run(6.0)
    assert network.views() == {
        "b": "b 1 provisional",
        "c": "b 1 provisional",
        "f": "f 1 provisional",
        "g": "f 1 provisional",
    }
    network.heal()
    network.link("c", "g")
    network.link("b", "f")
    network.link("b", "g")
    network.run(0.5)
    assert set(network.views().values()) == {"b 1 quorum"} or set(network.views().values()) <= {
        "b 2 quorum",
        "b 1 provisional",
    }
    assert network.settle() == "b"


def test_a_provisional_coordinator_wins_a_term_once_a_majority_is_there() -> None:
    network = settled("abc")
    network.kill("a")
    network.kill("b")
    network.run(5.0)
    assert network.views() == {"c": "c 1 provisional"}
    network.start("b")
    network.settle()
    assert network.now < 10.0


def test_a_provisional_term_raises_no_promise() -> None:
    network = settled("abc")
    network.kill("a")
    network.kill("b")
    network.run(60.0)
    assert network.nodes["c"].core._state.voter.counter <= 2


def test_a_higher_rank_without_a_majority_does_not_block_a_lower_one() -> None:
    network = settled("abcde", voters="cde")
    network.kill("a")
    for voter in "de":
        network.unlink("b", voter)
    network.run(0.5)
    assert network.views()["d"] == "c 2 quorum"
    assert network.granted == {1: "a", 2: "c"}


def test_a_coordinator_that_hears_nobody_is_replaced() -> None:
    """One way: all hear it, it hears none of them."""
    network = settled("abcde")
    network.cut("bcde", "a", one_way=True)
    network.run(10.0)
    others = {view for name, view in network.views().items() if name != "a"}
    assert others == {"b 2 quorum"}
    network.heal()
    network.run(2.0)
    assert set(network.views().values()) == {"b 2 quorum"}


def test_a_follower_that_hears_nobody_disturbs_nobody() -> None:
    network = settled("abcde")
    network.cut("abcd", "e", one_way=True)
    network.run(20.0)
    assert {view for name, view in network.views().items() if name != "e"} == {"a 1 quorum"}
    network.heal()
    network.run(3.0)
    assert set(network.views().values()) == {"a 1 quorum"}


def test_one_lost_link_to_the_coordinator_is_no_reason_for_an_election() -> None:
    network = settled("abcde")
    network.unlink("a", "b")
    network.run(20.0)
    assert set(network.granted) == {1}


# --- cost --------------------------------------------------------------------------------------


def test_a_heartbeat_is_small() -> None:
    network = settled("abc")
    network.run(0.5)
    beats = [said for said in network.nodes["a"].said if isinstance(said, Heartbeat)]
    assert max(len(beat.encode()) for beat in beats) < 80


def test_what_idle_members_say() -> None:
    network = settled("abcdefghijklmno", voters="abcdefg")
    network.run(5.0)
    for node in network.nodes.values():
        node.said.clear()
    network.run(10.0)
    assert len(network.nodes["a"].said) <= 51
    assert len(network.nodes["b"].said) <= 51  # a voter
    assert len(network.nodes["o"].said) <= 13
    assert network.lines == []


def test_effects_go_to_linked_members_only() -> None:
    network = settled("abc")
    network.unlink("a", "b")
    effects = network.nodes["a"].core.tick(network.nodes["a"].core.deadline)
    assert not [effect for effect in effects if isinstance(effect, Send) and effect.to == KEYS["b"]]
