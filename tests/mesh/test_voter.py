"""A voter's promises: each counter once, on disk before it is told."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.election.promise import (
    RAISE_PER_S,
    Certificate,
    Position,
    PromiseFact,
    promise_statement,
)
from buildnet.mesh.election.testing import KEYS, Log, list_of
from buildnet.mesh.election.voter import Situation, Voter
from buildnet.mesh.events import Persist
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import PromiseAnswer, PromiseAsk, Verdict
from buildnet.mesh.testing import CheapSignatures, ManualClock

QUIET = Situation(known=0, floor=0, holder=None, sticky=False, proof=None, now=0.0)
HERE = Position(0, 10, (10).to_bytes(32, "big"))


def local_of(name: str) -> Local:
    members = list_of("abcde", "abc", observers="e")
    clock = HybridClock(ManualClock())
    key = KEYS[name]
    return Local(key, 1, CheapSignatures(key), random.Random(1), clock, members)


def voter_of(fact: PromiseFact | None = None) -> Voter:
    local = local_of("a")
    return Voter(local, Log.of(local.members), fact)


def asked(counter: int, *, boot: int = 1, position: Position = HERE) -> PromiseAsk:
    return PromiseAsk(counter, boot, position, None, None)


def verdict(voter: Voter, candidate: str, ask: PromiseAsk, situation: Situation = QUIET) -> Verdict:
    """Ask, let the disk be quick, and return the answer's verdict."""
    answer = voter.ask(KEYS[candidate], ask, situation)
    if isinstance(answer, Persist):
        told = voter.persisted(answer.token, None)
        assert told is not None
        assert told[0] == KEYS[candidate]
        answer = told[1]
    assert isinstance(answer, PromiseAnswer)
    return Verdict(answer.verdict)


def test_a_promise_is_told_once_it_is_on_disk() -> None:
    voter = voter_of()
    persist = voter.ask(KEYS["b"], asked(3), QUIET)
    assert isinstance(persist, Persist)
    assert persist.facts == (PromiseFact(3, KEYS["b"], 1),)
    assert voter.counter == 3  # what is on its way counts already
    assert voter.ask(KEYS["b"], asked(3), QUIET) is None
    told = voter.persisted(persist.token, None)
    assert told is not None
    local = local_of("b")
    statement = promise_statement(local, 3, KEYS["b"], 1)
    assert told[1].signature is not None
    assert local.signatures.verify(KEYS["a"], statement, told[1].signature)
    assert (told[1].accepted_term, told[1].version) == (0, 10)


def test_a_counter_is_promised_once() -> None:
    voter = voter_of()
    assert verdict(voter, "b", asked(3)) is Verdict.GRANTED
    assert verdict(voter, "c", asked(3)) is Verdict.PROMISED
    assert verdict(voter, "c", asked(2)) is Verdict.PROMISED
    assert verdict(voter, "b", asked(3, boot=2)) is Verdict.PROMISED
    assert verdict(voter, "b", asked(3)) is Verdict.GRANTED  # the same one may ask again
    assert verdict(voter, "c", asked(4)) is Verdict.GRANTED
    assert verdict(voter, "b", asked(3)) is Verdict.PROMISED


def test_a_promise_on_disk_binds_the_next_process() -> None:
    voter = voter_of(PromiseFact(3, KEYS["b"], 1))
    assert verdict(voter, "c", asked(3)) is Verdict.PROMISED
    assert verdict(voter, "b", asked(3)) is Verdict.GRANTED


def test_of_two_asked_while_the_disk_is_slow_the_higher_counter_gets_it() -> None:
    voter = voter_of()
    first = voter.ask(KEYS["b"], asked(1), QUIET)
    second = voter.ask(KEYS["c"], asked(2), QUIET)
    assert isinstance(first, Persist)
    assert isinstance(second, Persist)
    told = voter.persisted(first.token, None)
    assert told is not None
    assert Verdict(told[1].verdict) is Verdict.PROMISED
    assert told[1].promised == 2
    told = voter.persisted(second.token, None)
    assert told is not None
    assert Verdict(told[1].verdict) is Verdict.GRANTED


def test_nothing_is_promised_below_what_was_granted_or_accepted() -> None:
    voter = voter_of()
    granted = replace(QUIET, floor=5, known=5, holder=(KEYS["c"], 7))
    assert verdict(voter, "b", asked(5), granted) is Verdict.PROMISED
    assert verdict(voter, "c", asked(5, boot=8), granted) is Verdict.PROMISED
    assert verdict(voter, "c", asked(5, boot=7), granted) is Verdict.GRANTED  # its own term
    local = local_of("a")
    accepted = Voter(local, Log((6, 10), HERE.head, local.members.voters), None)
    assert verdict(accepted, "b", asked(6)) is Verdict.PROMISED


def test_other_refusals() -> None:
    voter = voter_of()
    assert verdict(voter, "b", asked(1), replace(QUIET, sticky=True)) is Verdict.HEARS
    assert verdict(voter, "e", asked(1)) is Verdict.UNFIT  # an observer
    assert verdict(voter, "x", asked(1)) is Verdict.UNFIT
    assert verdict(voter, "b", asked(1, position=Position(0, 9, bytes(32)))) is Verdict.OLDER
    assert voter.counter == 0


def test_a_candidate_raises_the_promise_only_so_far_a_second() -> None:
    voter = voter_of()
    far = 5 * RAISE_PER_S
    assert verdict(voter, "b", asked(far)) is Verdict.JUMP
    assert voter.counter == RAISE_PER_S  # it goes as far as it may, and that is no vote
    for _ in range(3):
        known = replace(QUIET, known=voter.counter)
        assert verdict(voter, "b", asked(far), known) is Verdict.JUMP
    assert voter.counter == RAISE_PER_S
    assert verdict(voter, "c", asked(RAISE_PER_S + 1), known) is Verdict.GRANTED
    for second in (1.0, 2.0, 3.0, 4.0):
        said = verdict(voter, "b", asked(far), replace(known, known=voter.counter, now=second))
    assert said is Verdict.GRANTED


def test_equal_chains_are_equal_whenever_they_were_accepted() -> None:
    local = local_of("a")
    voter = Voter(local, Log((4, 10), HERE.head, local.members.voters), None)
    assert verdict(voter, "b", asked(5, position=HERE)) is Verdict.GRANTED


def test_entries_that_arrive_while_the_promise_is_written_count() -> None:
    local = local_of("a")
    log = Log.of(local.members)
    voter = Voter(local, log, None)
    persist = voter.ask(KEYS["b"], asked(1), QUIET)
    assert isinstance(persist, Persist)
    log.accepted, log.head = (0, 11), bytes(32)
    told = voter.persisted(persist.token, None)
    assert told is not None
    assert Verdict(told[1].verdict) is Verdict.OLDER


def test_a_candidate_can_not_promise_itself_what_is_promised() -> None:
    voter = voter_of(PromiseFact(3, KEYS["b"], 1))
    with pytest.raises(ValueError, match="promised"):
        voter.give(PromiseFact(3, KEYS["a"], 1), HERE)


def certificate(*voters: str, counter: int = 2, boot: int = 1, cluster: bytes = b"") -> Certificate:
    signatures = {}
    for name in voters:
        local = local_of(name)
        if cluster:
            local.members = replace(local.members, cluster_id=cluster)
        statement = promise_statement(local, counter, KEYS["b"], boot)
        signatures[KEYS[name]] = local.signatures.sign(statement)
    return Certificate.of(2, KEYS["b"], 1, signatures)


def test_a_certificate_needs_a_majority_of_the_voters() -> None:
    local = local_of("d")
    voters = local.members.voters
    assert certificate("a", "b").is_of_majority(local, voters)
    assert certificate("a", "b", "d").is_of_majority(local, voters)
    assert not certificate("a", "d").is_of_majority(local, voters)
    assert not certificate("a").is_of_majority(local, voters)
    assert not certificate("a", "b", counter=3).is_of_majority(local, voters)
    assert not certificate("a", "b", boot=2).is_of_majority(local, voters)
    assert not certificate("a", "b", cluster=bytes(32)).is_of_majority(local, voters)


def test_records_survive_the_wire() -> None:
    made = certificate("a", "b", "c")
    assert Certificate.decode(made.encode()) == made
    fact = PromiseFact(3, KEYS["b"], 1)
    assert PromiseFact.decode(fact.encode()) == fact
