"""Terms, the member list that decides about them, and handing the office over: what a coordinator
has to prove, and to whom, on a network of elections in virtual time."""

from __future__ import annotations

import pytest

from buildnet.mesh.election.core import NotInOffice
from buildnet.mesh.election.promise import RAISE_PER_S, Certificate, SignedPromise
from buildnet.mesh.election.testing import KEYS, Network, list_of, settled
from buildnet.mesh.events import Received, Status
from buildnet.mesh.members.member_list import MemberList, Revocation
from buildnet.mesh.messages.election import (
    Coordinator,
    Heartbeat,
    MissAnswer,
    MissAsk,
    PromiseAsk,
    PromoteAsk,
    TermProof,
    Transfer,
)

FAR = 2 * RAISE_PER_S


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
    assert network.nodes["c"].core._state.voter.counter == 1


def test_a_coordinator_takes_a_higher_counter_when_a_voter_promised_one_to_nobody() -> None:
    network = settled("abc")
    network.cut("b", "a")
    asked = PromiseAsk(5, 1, network.position("b"), None, None)
    network.run(1.0)  # c hears a, and refuses; b does not
    network.tell("c", "b", asked)
    network.heal()
    network.run(3.0)
    assert network.nodes["b"].core._state.voter.counter == 6
    assert set(network.views().values()) == {"a 6 quorum"}


def test_a_term_that_only_its_holder_can_check_goes_higher_where_a_voter_promised_more() -> None:
    """Its list, not final yet, names fewer voters. The others follow nobody whom they can't check,
    so none acknowledges anything; and none of them can win, for its list reaches further."""
    network = settled("abcd")
    network.kill("d")
    network.cut("c", "ab")
    network.run(2.0)
    network.tell("b", "c", PromiseAsk(9, 1, network.position("c"), None, None))
    network.kill("a")
    network.start("a")
    log = network.nodes["a"].log
    log.voters, log.accepted, log.head = list_of("abc", "abc").voters, (1, 11), bytes(32)
    network.run(6.0)
    assert network.nodes["c"].core._state.voter.counter >= 9
    network.heal()
    network.link("a", "c")
    assert network.settle() == "a"


def test_a_counter_far_away_is_refused_but_with_a_proof() -> None:
    network = settled("abc")
    network.freeze("a")
    network.run(0.7)
    network.tell("b", "c", PromiseAsk(FAR, 1, network.position("b"), None, None))
    network.run(0.01)
    assert "term jump" in network.nodes["c"].notes
    assert network.nodes["c"].core._state.voter.counter < FAR
    signatures = {
        KEYS[name]: network.sign_promise(name, FAR - 1, "b", boot=1) for name in ("a", "b")
    }
    proof = Certificate.of(FAR - 1, KEYS["b"], 1, signatures)
    network.tell("b", "c", PromiseAsk(FAR, 1, network.position("b"), None, proof))
    network.run(0.01)
    assert network.nodes["c"].core._state.voter.counter == FAR


def test_promises_that_were_driven_far_apart_come_together() -> None:
    """While nobody coordinates, one member leaves each voter at a counter of its own."""
    network = settled("abcde", voters="abc")
    network.freeze("a")
    network.run(0.7)
    network.tell("e", "b", PromiseAsk(RAISE_PER_S, 1, network.position("e"), None, None))
    network.run(0.05)
    network.kill("e")
    assert network.nodes["b"].core._state.voter.counter == RAISE_PER_S
    assert network.nodes["c"].core._state.voter.counter == 1
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
    tenure = network.nodes["a"].core._state.tenure
    assert tenure is not None
    certificate = tenure.certificate
    assert certificate is not None
    assert {KEYS["d"], KEYS["e"], KEYS["f"]} <= {said.voter for said in certificate.promises}
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


@pytest.mark.parametrize("restarted", [True, False])
def test_provisional_sides_agree_on_a_term_whose_voters_were_revoked(restarted: bool) -> None:
    """Found by the simulator: `c` saw term 2 won, `a` can't check it; neither gave way."""
    network = settled("abcde")
    network.cut("a", "bcde")
    network.run(3.0)
    assert network.views()["c"] == "b 2 quorum"
    for name in "bde":
        network.kill(name)
    network.members = revoking(network.members, "de")
    network.give(network.members, "ac")
    network.run(4.0)
    assert network.views() == {"a": "a 1 provisional", "c": "c 2 provisional"}
    if restarted:  # so it holds no granted term any more
        network.kill("a")
        network.start("a")
        network.run(6.0)
        assert network.views()["a"] == "a 1 provisional"
    network.heal()
    if restarted:
        network.link("a", "c")
    network.run(6.0)
    expected = "a 2 provisional" if restarted else "c 2 provisional"
    assert set(network.views().values()) == {expected}
    assert network.nodes["a"].core._state.floor == 1  # named, but it fences nothing off


def test_a_granted_term_of_revoked_voters_without_a_quorum_becomes_provisional() -> None:
    """Who comes later can't check it, and would follow it neither so nor so."""
    network = settled("abcde")
    for name in "bcde":
        network.kill(name)
    network.disks["b"].clear()
    network.members = revoking(network.members, "cde")
    network.give(network.members, "a")
    network.start("b")
    network.run(6.0)
    assert set(network.views().values()) == {"a 1 provisional"}
    assert network.nodes["b"].core._state.floor == 0
    office = network.nodes["a"].core.office
    assert office is not None
    assert not office.granted


def test_what_revoked_voters_granted_takes_no_working_office_away() -> None:
    network = settled("abcde")
    votes = {KEYS[name]: network.sign_promise(name, 7, "e", boot=5) for name in "cde"}
    certificate = Certificate.of(7, KEYS["e"], 5, votes)
    network.give(revoking(network.members, "e"), "abcd")
    network.tell("d", "b", TermProof(certificate))
    network.tell("d", "a", TermProof(certificate))
    network.tell("d", "b", Coordinator(KEYS["d"], 7, False, False, 1, 10, (), certificate))
    network.run(3.0)
    views = network.views()
    assert {views[name] for name in "abcd"} == {"a 1 quorum"}
    assert {network.nodes[name].core._state.floor for name in "abcd"} == {1}


def revoking(members: MemberList, names: str) -> MemberList:
    """The list with the revocations of ``names`` held."""
    return members.with_revocations(
        Revocation(KEYS[name], KEYS["a"], "stolen", version=None) for name in names
    )


def test_the_voters_change_during_a_candidacy() -> None:
    network = settled("abcde", voters="abc", disk_s=0.05)
    network.kill("a")
    network.run_until(lambda: "b > c PromiseAsk 2" in network.lines)
    network.give(list_of("abcde", "abcde", version=11), "bcde")
    assert network.settle() == "b"
    certificate = network.nodes["c"].core._state.proof
    assert certificate is not None
    assert len(certificate.promises) >= 3


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


@pytest.mark.parametrize("seed", range(4))
def test_what_was_on_its_way_as_the_office_was_handed_over_is_no_fault(seed: int) -> None:
    network = Network("abcde", seed=seed, delay_s=0.02, jitter_s=0.1)
    assert network.settle() == "a"
    network.run(3.0)
    for node in network.nodes.values():
        node.notes.clear()
    network.wish("a", lambda core: core.promote(KEYS["d"], network.now))
    network.run(5.0)
    assert network.settle() == "d"
    assert [note for node in network.nodes.values() for note in node.notes] == []


def test_one_that_was_frozen_and_still_speaks_is_told_of() -> None:
    network = settled("abcde")
    network.freeze("a")
    network.run(3.0)
    assert network.settle() == "b"
    network.tell("a", "c", Heartbeat(1, True, True, 99, 1, b"", 5))
    network.run(0.1)
    assert "term too old" in network.nodes["c"].notes


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


def test_who_can_not_be_promoted_is_named_with_the_reason() -> None:
    network = settled("ab", voters="a", observers="b")
    with pytest.raises(NotInOffice, match=r"b \(.*\) is an observer"):
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


@pytest.mark.parametrize("willing", [True, False])
def test_one_that_remains_after_all_stands_again(willing: bool) -> None:
    network = settled("abc")
    network.wish("a", lambda core: core.resign(network.now))
    network.run(1.0)
    assert set(network.views().values()) == {"b 2 quorum"}
    if willing:
        network.wish("a", lambda core: core.remain(network.now))
    network.kill("b")
    network.run(1.0)
    assert network.settle() == ("a" if willing else "c")


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
    assert network.nodes["c"].core._state.voter.counter <= 1
