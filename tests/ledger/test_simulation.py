"""Whole clusters with their ledgers in virtual time; the long form: see its ``__main__``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from buildnet.ledger.entry import Entry
from buildnet.ledger.events import SealedTo
from buildnet.ledger.seal import SealValue
from buildnet.ledger.sealing.abstaining import Abstention
from buildnet.ledger.sealing.proposing import Proposing
from buildnet.ledger.sealing.values import Values, Verdict
from buildnet.ledger.sealing.voting import Voting
from buildnet.ledger.simulation.__main__ import main
from buildnet.ledger.simulation.faults import FalseHistory
from buildnet.ledger.simulation.forgetting import ForgottenVote
from buildnet.ledger.simulation.recovery import Recovery
from buildnet.ledger.simulation.trial import Settings, run_trial
from buildnet.ledger.simulation.watch import LedgerWatch, Told
from buildnet.mesh.simulation.faults import CoordinatorStops, Fault
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Host
from buildnet.mesh.simulation.wishes import LoseVoters

SEEDS = range(1, 13)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_invariants_hold_under_faults(seed: int) -> None:
    outcome = run_trial(Settings(nodes=5), seed)
    assert outcome.violations == (), f"seed {seed}: {outcome.faults}"
    assert outcome.healed_after_s is not None


@pytest.mark.parametrize(
    "seed",
    [
        41018,  # of two voters that a list names which is not final yet, one is revoked
        70021,  # a majority is lost for good, but not the only copy of what is rotten elsewhere
        70215,  # what rots under a seal of which only another epoch's is elsewhere
    ],
)
def test_what_nobody_can_put_right_is_not_asked_for(seed: int) -> None:
    assert run_trial(Settings(nodes=3), seed).violations == ()


def test_without_faults_all_that_is_appended_is_sealed() -> None:
    outcome = run_trial(Settings(nodes=3, kinds=(), faults_s=5.0), 1)
    assert outcome.violations == ()
    assert outcome.acknowledged == outcome.entries > 50


def test_what_only_a_lost_majority_of_a_recovery_had_is_not_looked_for() -> None:
    faults = [Recovery(2.5, 4.0, 0.3, killed=True), LoseVoters(5.0, 0.0)]
    outcome = run_trial(Settings(nodes=3, faults_s=4.0), 1, faults=faults)
    assert outcome.violations == ()
    assert outcome.healed_after_s is not None


def test_what_was_called_sealed_and_is_gone_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    other_hash = bytes(32)

    def told(self: LedgerWatch, host: Host, effect: SealedTo, entries: list[Entry]) -> None:
        for entry in entries:
            place = (entry.chain, entry.body.sequence)
            self.acknowledged[0][place] = Told(other_hash, effect.seal.value.voters)

    monkeypatch.setattr(LedgerWatch, "told_sealed", told)
    outcome = run_trial(Settings(nodes=3, kinds=(), faults_s=1.0), 1)
    (violation,) = outcome.violations
    assert violation.what == "acknowledged entries are lost"
    assert violation.detail.startswith(f"{3 * outcome.acknowledged}: n")
    assert violation.detail.count(" at ") == 5


def test_a_seed_tells_the_same_story_again() -> None:
    stories = []
    for _ in range(2):
        history = History()
        run_trial(Settings(nodes=3, faults_s=5.0), 7, history=history)
        stories.append(history.digest())
    assert stories[0] == stories[1]


def test_a_coordinator_that_ignores_what_was_accepted_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Proposing, "_prior", lambda self, term: None)
    monkeypatch.setattr(Voting, "_promise", _promise_of_everything)
    kinds = ("last-seal",)
    found = {
        violation.what
        for seed in range(1, 16)
        for violation in run_trial(Settings(nodes=3, kinds=kinds), seed).violations
    }
    assert "two final seals of one height" in found


def test_a_voter_that_forgot_what_it_accepted_does_no_harm_but_where_it_votes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings, faults = Settings(nodes=3, kinds=(), faults_s=6.0), [ForgottenVote(3.0, 5.0, 0.6)]
    assert run_trial(settings, 1, faults=list(faults)).violations == ()
    never = property(lambda self: False, lambda self, on: None)
    monkeypatch.setattr(Abstention, "active", never, raising=False)
    outcome = run_trial(settings, 1, faults=list(faults))
    assert "two final seals of one height" in {one.what for one in outcome.violations}


def test_a_seal_of_another_history_is_final_only_where_nobody_looks_at_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = Settings(nodes=3, kinds=(), faults_s=3.0)
    faults: list[Fault] = [FalseHistory(2.5, 0.5), CoordinatorStops(2.9, 1.0, frozen=False)]
    assert run_trial(settings, 1, faults=faults).violations == ()
    checked = Values._check

    def check(self: Values, value: SealValue) -> Verdict:
        place = self._place
        there = replace(value, previous=place.previous, history=place.history.root)
        return checked(self, there)

    monkeypatch.setattr(Values, "_check", check)
    outcome = run_trial(settings, 1, faults=faults)
    assert "a seal does not continue the one below" in {one.what for one in outcome.violations}


def test_the_command_line_runs_and_replays_seeds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--nodes", "3", "--seeds", "1", "--duration", "1"]) == 0
    assert "1 seeds of 3 nodes, 0 failed" in capsys.readouterr().out
    assert main(["--nodes", "3", "--replay", "1", "--duration", "1"]) == 0
    assert "SealedTo" in capsys.readouterr().out
    assert main(["--faults", "gremlins"]) == 2


_true_promise = Voting._promise


def _promise_of_everything(self: Voting, term: int) -> object:
    from dataclasses import replace

    return replace(_true_promise(self, term), accepted=None)
