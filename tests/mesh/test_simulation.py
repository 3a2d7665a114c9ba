"""The simulator with the daemon's cores: short campaigns, exact replay, bugs that it must find."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from dataclasses import replace

import pytest

from buildnet.mesh.election import standing
from buildnet.mesh.election import state as election_state
from buildnet.mesh.election.promise import Position, PromiseFact
from buildnet.mesh.election.tenure import Tenure
from buildnet.mesh.election.voter import Voter
from buildnet.mesh.errors import UsageError
from buildnet.mesh.events import Effect, Event, Persist
from buildnet.mesh.machine import Machine
from buildnet.mesh.members.facts import EntryFact, LogFact
from buildnet.mesh.members.sequencing import Sequencing
from buildnet.mesh.simulation import figures
from buildnet.mesh.simulation.__main__ import main
from buildnet.mesh.simulation.campaign import Summary, as_text, run_all
from buildnet.mesh.simulation.cluster import Cluster, start_machine
from buildnet.mesh.simulation.faults import ClockJump, Fault, Outage, Partition, SlowDisk
from buildnet.mesh.simulation.figures import FAR, QUIET, percentile
from buildnet.mesh.simulation.formation import formed_disks
from buildnet.mesh.simulation.history import History
from buildnet.mesh.simulation.host import Start
from buildnet.mesh.simulation.schedule import KINDS, chosen_kinds, draw_faults
from buildnet.mesh.simulation.trial import Outcome, Settings, run_trial
from buildnet.mesh.simulation.watch import Violation
from buildnet.mesh.simulation.world import World

FIVE = Settings(nodes=5, faults_s=8.0)


def failures(outcomes: list[Outcome], settings: Settings) -> str:
    return "\n".join(as_text(outcome, settings) for outcome in outcomes if outcome.violations)


@pytest.mark.parametrize(("nodes", "seeds"), [(1, 5), (2, 8), (3, 10), (5, 15), (9, 5)])
def test_a_short_campaign_with_all_faults_violates_nothing(nodes: int, seeds: int) -> None:
    settings = replace(FIVE, nodes=nodes)
    outcomes = [run_trial(settings, seed) for seed in range(1, seeds + 1)]
    assert failures(outcomes, settings) == ""
    assert sum(outcome.messages for outcome in outcomes) >= 100 * seeds * (nodes - 1)


def test_real_signatures_change_nothing() -> None:
    settings = replace(FIVE, nodes=3, faults_s=3.0, real_signatures=True)
    assert failures([run_trial(settings, seed) for seed in (1, 2)], settings) == ""


def test_runs_over_processes_are_the_same_runs() -> None:
    settings = replace(FIVE, nodes=3, faults_s=2.0)
    alone = {one.seed: (one.steps, one.messages) for one in run_all(settings, range(1, 7), 1)}
    spread = {one.seed: (one.steps, one.messages) for one in run_all(settings, range(1, 7), 2)}
    assert spread == alone


# --- replay ------------------------------------------------------------------------------------


def test_a_replay_is_the_same_run() -> None:
    one, other = History(), History()
    told, again = (run_trial(FIVE, 4, history=history) for history in (one, other))
    silent = run_trial(FIVE, 4)
    assert one.digest() == other.digest()
    assert told.steps == again.steps == silent.steps
    assert told.messages == silent.messages
    third = History()
    run_trial(FIVE, 5, history=third)
    assert third.digest() != one.digest()


def test_a_replay_is_the_same_in_any_process() -> None:
    arguments = ["--duration", "5", "--replay", "11"]
    command = [sys.executable, "-m", "buildnet.mesh.simulation", *arguments]
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True
        ).stdout.splitlines()
        digests.add(told[-1])
        assert any("FAULT" in line for line in told)
        assert any("OfficeChanged" in line for line in told)
    assert len(digests) == 1
    assert digests.pop().startswith("history ")


# --- bugs that must be found -------------------------------------------------------------------


class ForgetfulVoter(Voter):
    """Promises, and does not keep the promise on disk."""

    def _give(self, promise: PromiseFact, position: Position, asked: int) -> Persist:
        return Persist(super()._give(promise, position, asked).token, ())


class StubbornTenure(Tenure):
    """Believes for ever in the quorum that it once had."""

    def _quorum_until(self) -> float:
        return float("inf")


def outages(seed: int) -> list[Fault]:
    """All processes end again and again, soon after they elected, while their disks are slow."""
    everybody = tuple(range(5))
    draw = random.Random(seed)
    faults: list[Fault] = [SlowDisk(0.1, 17.0, node, 300) for node in everybody]
    when = 2.0
    while when < 16:
        faults.append(Outage(when, 0.05, everybody, dark=False))
        when += draw.uniform(1.0, 2.0)
    return faults


def violated(seeds: range) -> set[str]:
    settings = replace(FIVE, round_trip_s=0.001, loss=0.0)
    formed_disks(5, False)
    outcomes = [run_trial(settings, seed, faults=outages(seed)) for seed in seeds]
    return {violation.what for outcome in outcomes for violation in outcome.violations}


@pytest.mark.thorough
def test_a_voter_that_forgets_its_promise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    assert violated(range(1, 7)) == set()
    monkeypatch.setattr(election_state, "Voter", ForgetfulVoter)
    assert "a term was won twice" in violated(range(1, 7))


def test_a_coordinator_that_does_not_notice_its_loss_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standing, "Tenure", StubbornTenure)
    cut_off: list[Fault] = [Partition(3.0, 6.0, (0,))]
    outcomes = [run_trial(FIVE, seed, faults=cut_off) for seed in (1, 2)]
    found = {violation.what for outcome in outcomes for violation in outcome.violations}
    assert "two coordinators with a quorum" in found


def own_clock(sequencing: Sequencing) -> int:
    return max(sequencing.chain.newest.hlc, sequencing.local.clock.now())


def test_a_member_list_that_nobody_can_change_any_more_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clocks: list[Fault] = [ClockJump(4.0, 6.0, 0, 3600.0)]
    formed_disks(5, False)

    def found() -> set[str]:
        outcomes = [run_trial(FIVE, seed, faults=clocks) for seed in (1, 2)]
        return {violation.what for outcome in outcomes for violation in outcome.violations}

    assert found() == set()
    monkeypatch.setattr(Sequencing, "date", own_clock)
    assert "a change is not final 10 s after it was asked for" in found()


def test_a_change_that_one_disk_does_not_show_to_be_final_is_lost() -> None:
    world = World(1, start_machine(False))
    cluster = Cluster(world, formed_disks(3))
    for host in world.hosts:
        host.start()
    world.run(5)
    change = cluster.last_change()
    assert change is not None
    world.run(5)
    assert change.id in cluster.acknowledged
    assert cluster.lost_changes() == []
    assert cluster.without(change) == []
    last = world.hosts[2]
    (state,) = (fact for fact in last.disk.load() if isinstance(fact, LogFact))
    (entry,) = (
        fact.entry
        for fact in last.disk.load()
        if isinstance(fact, EntryFact) and fact.entry.change.id == change.id
    )
    before = replace(state.proof, version=entry.version - 1, head=entry.previous)
    last.disk.facts[state.name()] = (LogFact, replace(state, proof=before).encode())
    lost = ("an acknowledged change is lost", f"{change.id[:4].hex()} at n2")
    assert (cluster.lost_changes(), cluster.without(change)) == ([lost], [last])


class Deaf(Machine):
    """Stops to answer after a while, and does not know it."""

    _heard = 0

    def handle(self, event: Event, now: float) -> list[Effect]:
        self._heard += 1
        return super().handle(event, now) if self._heard < 100 else []


def test_a_node_that_stands_still_is_found() -> None:
    healthy = start_machine(False)

    def start(given: Start) -> Machine:
        machine = healthy(given)
        assert isinstance(machine, Machine)
        if given.addresses == ("http://n1",):
            machine.__class__ = Deaf
        return machine

    settings = replace(FIVE, nodes=3, kinds=())
    formed_disks(3, False)
    outcome = run_trial(settings, 1, program=start)
    assert {violation.what for violation in outcome.violations} == {
        "no agreement 35 s after all faults"
    }
    assert "seed 1 FAILED" in as_text(outcome, settings)
    assert "--faults none --replay 1" in as_text(outcome, settings)


# --- schedules, figures, command line ----------------------------------------------------------


def test_a_schedule_is_a_function_of_its_seed_and_ends_in_time() -> None:
    used = set()
    for seed in range(200):
        faults = draw_faults(random.Random(seed), KINDS, nodes=5, begin=2.0, over=20.0)
        again = draw_faults(random.Random(seed), KINDS, nodes=5, begin=2.0, over=20.0)
        assert list(map(str, faults)) == list(map(str, again))
        assert all(fault.start + fault.seconds <= 20.0 + 1e-9 for fault in faults)
        used |= {type(fault).__name__ for fault in faults}
    assert {"Join", "Leave", "Revoke", "LoseVoters", "Unreachable", "CoordinatorStops"} <= used
    assert draw_faults(random.Random(1), (), nodes=5, begin=2.0, over=20.0) == []
    alone = draw_faults(random.Random(1), KINDS, nodes=1, begin=2.0, over=20.0)
    assert {type(fault).__name__ for fault in alone} <= {"Pause", "Crash", "SlowDisk"}


def test_faults_are_chosen_by_name() -> None:
    assert chosen_kinds(["crash", "drop", "crash"]) == ("crash", "drop")
    assert chosen_kinds(["all"]) == KINDS
    assert chosen_kinds(["none"]) == ()
    with pytest.raises(UsageError) as error:
        chosen_kinds(["partitoin"])
    assert error.value.hint == "did you mean 'partition'?"


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(number) for number in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (
        50.0,
        99.0,
        100.0,
    )
    assert percentile([3.0], 1) == 3.0


def test_failover_is_within_its_bounds_in_virtual_time() -> None:
    killed = [figures.failover_s(5, QUIET, False, seed) for seed in range(1, 8)]
    frozen = [figures.failover_s(5, QUIET, True, seed) for seed in range(1, 8)]
    far = [figures.failover_s(3, FAR, True, seed) for seed in range(1, 8)]
    assert percentile(killed, 50) <= 0.3
    assert max(killed) <= 1.0
    assert percentile(frozen, 50) <= 1.2
    assert max(frozen) <= 2.5
    assert max(far) <= 4.0


def test_joining_and_healing_are_within_their_bounds_in_virtual_time() -> None:
    assert figures.join_s(9, QUIET, 1) <= 1.0
    assert figures.heal_s(5, QUIET, 60.0, 1) <= 10.0


def test_the_command_line_searches_and_replays(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--nodes", "3", "--duration", "2", "--faults", "crash,drop"]
    assert main([*short, "--seeds", "3"]) == 0
    told = capsys.readouterr().out
    assert "3 seeds of 3 nodes, 0 failed" in told
    assert "seeds a minute" in told
    assert main([*short, "--seeds", "2", "--first-seed", "7", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["seeds"], answer["failed"]) == (2, [])
    assert main([*short, "--replay", "7", "--talk"]) == 0
    assert "Heartbeat(" in capsys.readouterr().out
    assert main(["--faults", "craash"]) == 2
    assert "did you mean 'crash'?" in capsys.readouterr().err


def test_a_summary_counts_what_failed() -> None:
    summary = Summary(FIVE)
    outcome = run_trial(replace(FIVE, nodes=1, faults_s=0.0), 1)
    summary.add(outcome)
    planted = (Violation(1.0, "planted", "twice"), Violation(2.0, "planted", "twice"))
    summary.add(replace(outcome, seed=2, violations=planted))
    assert summary.failed == [2]
    assert "1 failed" in summary.as_text()
    assert json.loads(summary.as_json())["violations"] == {"planted": 1}
