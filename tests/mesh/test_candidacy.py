"""One candidacy, step by step."""

from __future__ import annotations

import random

from buildnet.mesh.clock import HybridClock
from buildnet.mesh.election.candidacy import YIELD_S, Candidacy, Grounds, Outcome, Phase
from buildnet.mesh.election.testing import KEYS, Log, list_of
from buildnet.mesh.election.voter import Voter
from buildnet.mesh.events import Effect, LinkState, Persist, SendAll, Status
from buildnet.mesh.local import Local
from buildnet.mesh.messages.election import (
    ElectionCall,
    Hears,
    MissAsk,
    PromiseAnswer,
    PromiseAsk,
    Verdict,
)
from buildnet.mesh.testing import CheapSignatures, ManualClock

A, B, C = KEYS["a"], KEYS["b"], KEYS["c"]


def candidacy_of_b(*, linked: str = "ac", since: float = 0.0) -> Candidacy:
    """`b` of the voters a, b and c; it was `d` that coordinated."""
    local = Local(
        B,
        1,
        CheapSignatures(B),
        random.Random(1),
        HybridClock(ManualClock()),
        list_of("abcd", "abc"),
    )
    for name in linked:
        local.links[KEYS[name]] = LinkState(True, 0.0)
        local.status[KEYS[name]] = Status.ALIVE
    log = Log.of(local.members)
    grounds = Grounds(Hears.NOBODY, KEYS["d"], known=4, named=4, since=since, proof=None)
    return Candidacy(local, log, Voter(local, log, None), grounds, lambda: 0.0)


def round_of(effects: list[Effect]) -> int:
    asked = effects[0]
    assert isinstance(asked, SendAll)
    assert isinstance(asked.message, MissAsk | ElectionCall)
    return asked.message.round


def test_a_higher_rank_that_brings_nothing_is_not_called_again() -> None:
    candidacy = candidacy_of_b()
    first = round_of(candidacy.start(0.0))
    called = candidacy.told(C, first, Hears.NOBODY, 0, 0.1)
    candidacy.answered_call(A, round_of(called), True, 0.1)
    assert candidacy.phase is Phase.YIELDING
    assert candidacy.tick(0.1 + YIELD_S / 2) == []
    second = round_of(candidacy.tick(0.1 + YIELD_S))
    assert second != first
    kept, asked = candidacy.told(C, second, Hears.NOBODY, 0, 1.2)
    assert isinstance(kept, Persist)
    assert isinstance(asked, SendAll)
    assert isinstance(asked.message, PromiseAsk)
    assert asked.message.counter == 5
    assert asked.to == tuple(sorted((A, C)))


def test_a_higher_rank_that_dies_is_not_waited_for() -> None:
    candidacy = candidacy_of_b()
    called = candidacy.told(C, round_of(candidacy.start(0.0)), Hears.NOBODY, 0, 0.1)
    candidacy.answered_call(A, round_of(called), True, 0.1)
    assert round_of(candidacy.lost(A, 0.2))


def test_one_of_a_majority_that_hears_the_coordinator_ends_it() -> None:
    candidacy = candidacy_of_b()
    asked = round_of(candidacy.start(0.0))
    candidacy.told(A, asked, Hears.QUORUM, 0, 0.1)
    assert candidacy.outcome is None
    candidacy.told(C, asked, Hears.QUORUM, 0, 0.1)
    assert candidacy.outcome is Outcome.GIVEN_UP


def test_answers_of_another_round_do_not_count() -> None:
    candidacy = candidacy_of_b()
    asked = round_of(candidacy.start(0.0))
    assert candidacy.told(C, asked ^ 1, Hears.NOBODY, 0, 0.1) == []


def test_linked_voters_that_do_not_answer_are_asked_again_before_they_are_given_up() -> None:
    candidacy = candidacy_of_b()
    candidacy.start(0.0)
    candidacy.tick(0.15)
    assert candidacy.outcome is Outcome.SPLIT
    later = candidacy_of_b(since=-1.0)
    later.start(0.0)
    later.tick(0.15)
    assert later.outcome is None
    later.tick(0.3)  # the higher rank does not answer either
    later.tick(0.6)
    assert later.outcome is Outcome.ALONE


def test_without_links_to_a_majority_no_promise_is_asked_for() -> None:
    candidacy = candidacy_of_b(linked="")
    assert candidacy.start(0.0) == []
    assert candidacy.phase is Phase.LONELY
    candidacy.tick(0.3)
    assert candidacy.outcome is Outcome.ALONE


def test_forged_promises_do_not_count() -> None:
    candidacy = candidacy_of_b(linked="c")
    candidacy.told(C, round_of(candidacy.start(0.0)), Hears.NOBODY, 0, 0.1)
    forged = PromiseAnswer(5, int(Verdict.GRANTED), 5, 0, 10, bytes(64), None)
    candidacy.answered(C, forged)
    assert candidacy.promises == {}
    assert candidacy.outcome is Outcome.SPLIT
