"""Who coordinates, seen from outside: scenarios on a network of elections in virtual time."""

from __future__ import annotations

import statistics

import pytest

from buildnet.mesh.election.core import NotInOffice
from buildnet.mesh.election.promise import RAISE_PER_S, Certificate, SignedPromise
from buildnet.mesh.election.testing import KEYS, NAMES, Network, list_of
from buildnet.mesh.events import Received, Send, Status
from buildnet.mesh.messages.election import (
    Coordinator,
    Heartbeat,
    MissAnswer,
    MissAsk,
    PromiseAsk,
    PromoteAsk,
    Transfer,
)

FAR = 2 * RAISE_PER_S


def settled(names: str = "abc", **options: object) -> Network:
    """A network in which `a` coordinates in term 1."""
    network = Network(names, **options)  # type: ignore[arg-type]
    assert network.settle() == "a"
    network.run(0.5)
    network.lines.clear()
    return network


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
    assert not thawed.core.accepts(KEYS["a"], 1)
    assert "term too old" in [*thawed.notes, *notes(network, "a")]


def notes(network: Network, name: str) -> list[str]:
    network.run(0.3)
    return network.nodes[name].notes


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
    assert network.nodes["c"].core.promised <= 2


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


# --- terms -------------------------------------------------------------------------------------


def test_slow_disks_delay_but_do_not_prevent() -> None:
    for disk_s in (0.3, 1.0, 3.0):
        network = Network("abcde", disk_s=disk_s)
        network.settle()
        network.kill("a")
        network.run(0.1)
        network.settle()
        assert set(network.granted) == {1, 2}


def test_a_promise_is_kept_over_a_restart() -> None:
    network = settled("abc")
    network.kill("c")
    network.start("c")
    assert network.nodes["c"].core.promised == 1


def test_a_coordinator_takes_a_higher_counter_when_a_voter_promised_one_to_nobody() -> None:
    network = settled("abc")
    network.cut("b", "a")
    asked = PromiseAsk(5, 1, network.position("b"), None, None)
    network.run(1.0)  # c hears a, and refuses; b does not
    network.tell("c", "b", asked)
    network.heal()
    network.run(3.0)
    assert network.nodes["b"].core.promised == 6
    assert set(network.views().values()) == {"a 6 quorum"}


def test_a_counter_far_away_is_refused_but_with_a_proof() -> None:
    network = settled("abc")
    network.freeze("a")
    network.run(0.7)
    network.tell("b", "c", PromiseAsk(FAR, 1, network.position("b"), None, None))
    network.run(0.01)
    assert "term jump" in network.nodes["c"].notes
    assert network.nodes["c"].core.promised < FAR
    signatures = {
        KEYS[name]: network.sign_promise(name, FAR - 1, "b", boot=1) for name in ("a", "b")
    }
    proof = Certificate.of(FAR - 1, KEYS["b"], 1, signatures)
    network.tell("b", "c", PromiseAsk(FAR, 1, network.position("b"), None, proof))
    network.run(0.01)
    assert network.nodes["c"].core.promised == FAR


def test_promises_that_were_driven_far_apart_come_together() -> None:
    """While nobody coordinates, one member leaves each voter at a counter of its own."""
    network = settled("abcde", voters="abc")
    network.freeze("a")
    network.run(0.7)
    network.tell("e", "b", PromiseAsk(RAISE_PER_S, 1, network.position("e"), None, None))
    network.run(0.05)
    network.kill("e")
    assert network.nodes["b"].core.promised == RAISE_PER_S
    assert network.nodes["c"].core.promised == 1
    assert network.run_until(network.agree, 20.0) < 10.0


def test_counters_that_voters_did_not_name_in_the_round_are_not_followed() -> None:
    network = settled("abcde", voters="abc")
    for name in "de":
        network.tell(name, "b", MissAnswer(0, 0, 900))
    network.kill("a")
    network.settle()
    assert max(network.granted) < 10


def test_nobody_follows_a_certificate_that_no_majority_signed() -> None:
    network = settled("abc")
    signature = network.sign_promise("c", 2, "c", boot=1)
    forged = [
        Certificate.of(2, KEYS["c"], 1, {KEYS["c"]: signature}),
        Certificate.of(2, KEYS["c"], 1, {KEYS["c"]: signature, KEYS["b"]: bytes(64)}),
        Certificate(2, KEYS["c"], 1, (SignedPromise(KEYS["c"], signature),) * 2),
    ]
    for certificate in [*forged, None]:
        said = Coordinator(KEYS["c"], 2, True, True, 0, 10, (), certificate)
        network.tell("c", "b", said)
    network.run(0.1)
    assert network.views()["b"] == "a 1 quorum"
    assert network.nodes["b"].notes.count("certificate unproven") == 3


def test_a_heartbeat_in_a_term_that_nobody_won_moves_nobody() -> None:
    network = settled("abc")
    network.tell("c", "b", Heartbeat(7, True, True, 1, 10, bytes(8), 3))
    network.run(0.1)
    assert network.views()["b"] == "a 1 quorum"


def test_who_is_no_member_is_not_heard() -> None:
    network = settled("abc")
    node = network.nodes["b"]
    assert node.core.handle(Received(KEYS["x"], MissAsk(1)), network.now) == []


def test_commands_are_taken_of_the_present_office_only() -> None:
    network = settled("abc")
    core = network.nodes["b"].core
    assert core.accepts(KEYS["a"], 1)
    assert not core.accepts(KEYS["c"], 1)
    assert not core.accepts(KEYS["a"], 2)
    assert not core.accepts(KEYS["a"], 0)
    assert core.deadline < network.now  # the refusal is told at once
    assert [note.reason for note in core.tick(network.now)] == ["term too old"]  # type: ignore[union-attr]


def test_the_mandate_names_who_promised_with_which_log() -> None:
    network = Network("abc")
    network.nodes["b"].log.accepted = (0, 10)
    network.settle()
    mandate = network.nodes["a"].core.mandate
    assert mandate is not None
    assert mandate.counter == 1
    assert set(mandate.accepted.values()) == {(0, 10)}
    assert len(mandate.accepted) >= 2
    assert network.nodes["b"].core.mandate is None


# --- the member list ---------------------------------------------------------------------------


def test_who_lacks_entries_is_not_elected_by_who_has_them() -> None:
    network = settled("abc")
    for name in "ac":
        network.nodes[name].log.accepted = (1, 11)
        network.nodes[name].log.head = bytes(31) + b"\x0b"
    network.kill("a")
    network.run(0.1)
    assert network.settle() == "c"
    assert "b > c ElectionAnswer does not" in network.lines


def test_a_list_older_than_the_announcement_is_caught_up_first() -> None:
    network = Network("abcd", voters="bcd", start=False)
    for name in "bcd":
        network.start(name)
    assert network.settle() == "b"
    newest = network.members
    network.members = list_of("abcd", "a", version=9)  # all that `a` knows after a long absence
    network.start("a")
    network.run(0.5)
    assert network.views()["a"] == "nobody"
    network.give(newest, "a")
    assert network.views()["a"] == "b 1 quorum"


def test_a_coordinator_gets_the_promises_of_voters_that_came_later() -> None:
    network = settled("abcdef", voters="abc")
    newer = list_of("abcdef", "bdefa", version=11)
    network.give(newer, "abcdef")
    network.run(1.5)
    mandate = network.nodes["a"].core.mandate
    assert mandate is not None
    assert {KEYS["d"], KEYS["e"], KEYS["f"]} <= set(mandate.accepted)
    network.kill("f")
    network.start("f")
    network.give(newer, "f")
    network.run(0.5)
    assert network.views()["f"] == "a 1 quorum"


def test_a_certificate_convinces_who_lacks_a_change_of_voters_that_is_not_final() -> None:
    """Found by the simulator: `b` could not check promises of the newest list's voters alone."""
    network = settled("abcd")
    newest = list_of("abcd", "abc", version=12)
    network.kill("a")
    network.kill("c")
    network.start("a")
    for name in "ad":
        log = network.nodes[name].log
        log.voters, log.head, log.accepted = newest.voters, newest.head, (1, 12)
    assert network.settle() in "ad"


def test_voters_that_the_newest_list_leaves_out_are_asked_for_their_promise_at_once() -> None:
    """Found by the simulator: `a` won by `a` and `b`, but these could not check that; before `c`
    was asked they stood themselves, for ever, without a chance."""
    network = settled("abcd")
    newest = list_of("abcd", "abd", version=12)
    network.kill("a")
    network.kill("d")
    network.start("a")
    log = network.nodes["a"].log
    log.voters, log.head, log.accepted = newest.voters, newest.head, (1, 12)
    assert network.run_until(network.agree) < 2.0
    assert set(network.views().values()) == {"a 3 quorum"}


def test_one_that_lost_its_term_unnoticed_learns_so_from_who_is_left_of_the_others() -> None:
    """Found by the simulator: `a` stayed in its granted term, `c` took it for too old."""
    network = settled("abcde")
    network.cut("a", "bcde")
    network.run(3.0)
    assert network.views()["c"] == "b 2 quorum"
    for name in "bde":
        network.kill(name)
    network.run(4.0)
    assert network.views() == {"a": "a 1 provisional", "c": "c 2 provisional"}
    network.heal()
    network.run(4.0)
    assert set(network.views().values()) == {"c 2 provisional"}


def test_the_voters_change_during_a_candidacy() -> None:
    network = settled("abcde", voters="abc", disk_s=0.05)
    network.kill("a")
    network.run_until(lambda: "b > c PromiseAsk 2" in network.lines)
    network.give(list_of("abcde", "abcde", version=11), "bcde")
    assert network.settle() == "b"
    mandate = network.nodes["b"].core.mandate
    assert mandate is not None
    assert len(mandate.accepted) >= 3


def test_a_coordinator_that_is_removed_is_replaced_at_once() -> None:
    network = settled("abcd")
    network.give(list_of("bcd", "bcd", version=11), "bcd")
    network.run(0.2)
    views = network.views()
    assert {views[name] for name in "bcd"} == {"b 2 quorum"}


@pytest.mark.parametrize("told", [True, False])
def test_who_is_removed_stops_and_breaks_nothing(told: bool) -> None:
    """Also where the list changed and the election has not heard of it yet."""
    network = settled("abcd")
    without = list_of("bcd", "bcd", version=11)
    network.give(without, "bcd")
    for node in network.nodes.values():
        node.local.members = without
    network.tell("b", "a", Coordinator(KEYS["b"], 1, False, False, 0, 10, (), None))
    network.tell("c", "a", MissAsk(1))
    if told:
        network.give(without, "a")
    network.run(40.0)
    assert network.views()["a"] in ("nobody", "a 1 quorum", "a 1 provisional")
    assert {view for name, view in network.views().items() if name != "a"} == {"b 2 quorum"}


# --- handing over ------------------------------------------------------------------------------


def test_promote_hands_the_office_over() -> None:
    network = settled("abcde")
    network.wish("a", lambda core: core.promote(KEYS["d"], network.now))
    network.run(0.1)
    assert set(network.views().values()) == {"d 2 quorum"}


def test_an_admin_elsewhere_asks_the_coordinator_and_others_may_not() -> None:
    network = settled("abc")
    network.wish("a", lambda core: core.promote(KEYS["b"], network.now))
    network.run(0.1)
    network.wish("a", lambda core: core.promote(KEYS["c"], network.now))
    network.run(0.1)
    assert set(network.views().values()) == {"c 3 quorum"}
    network.tell("b", "c", PromoteAsk(KEYS["b"]))
    network.run(0.1)
    assert set(network.views().values()) == {"c 3 quorum"}
    assert "promotion refused" in network.nodes["c"].notes


def test_promoting_who_can_not_coordinate_is_an_error() -> None:
    network = settled("abc", observers="")
    network.mark("a", "c", Status.DEAD)
    with pytest.raises(NotInOffice):
        network.nodes["a"].core.promote(KEYS["c"], network.now)
    network.cut("a", "bc")
    network.run(1.0)
    with pytest.raises(NotInOffice):
        network.nodes["a"].core.promote(KEYS["b"], network.now)


def test_one_that_stops_hands_over_first() -> None:
    network = settled("abcde")
    network.freeze("b")  # it does not answer, so the next one is asked
    network.wish("a", lambda core: core.resign(network.now))
    network.run(1.0)
    assert network.views()["a"] == "c 2 quorum"
    network.kill("c")
    network.run(3.0)
    assert network.settle() == "d"


def test_a_steady_higher_rank_gets_the_office() -> None:
    network = settled("abcde")
    network.kill("a")
    network.run(1.0)
    network.start("a")
    network.run(28.0)
    assert set(network.views().values()) == {"b 2 quorum"}
    network.run(5.0)
    assert set(network.views().values()) == {"a 3 quorum"}


def test_a_forged_transfer_moves_nobody() -> None:
    network = settled("abc")
    transfer = Transfer(1, KEYS["b"], bytes(64))
    network.tell("a", "b", transfer)
    network.tell("b", "c", PromiseAsk(2, 2, network.position("b"), transfer, None))
    network.run(0.1)
    assert set(network.views().values()) == {"a 1 quorum"}
    assert network.nodes["c"].core.promised <= 1


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


def test_who_can_not_be_promoted_is_named_with_the_reason() -> None:
    network = settled("ab", voters="a", observers="b")
    with pytest.raises(NotInOffice, match=r"b \(.*\) is an observer"):
        network.nodes["a"].core.promote(KEYS["b"], network.now)
