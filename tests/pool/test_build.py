"""The build's state machine: events in, effects out."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.build import (
    Began,
    Broken,
    Build,
    CancelRequested,
    Displaced,
    Effect,
    Ended,
    Event,
    Execute,
    Executed,
    Finish,
    MustRun,
    Ready,
    Resolve,
    Stand,
    Status,
    Stop,
    UpToDate,
)
from buildnet.pool.places import Answer, Slots
from buildnet.pool.workspace import TaskId


def task(name: str) -> TaskId:
    return TaskId(name, "build")


A, B, C, D = map(task, "abcd")
CHAIN: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (A,), C: (B,)}


def test_tasks_are_resolved_once_their_dependencies_succeeded() -> None:
    build = Build(CHAIN, places=Slots(2))
    assert build.handle(Began()) == [Resolve((A,))]
    assert build.handle(UpToDate(A)) == [Resolve((B,))]
    assert build.handle(MustRun(B)) == [Execute(B)]
    assert build.handle(Executed(B, True)) == [Resolve((C,))]
    assert build.handle(UpToDate(C)) == [Finish(Status.SUCCEEDED)]


def test_of_what_is_told_together_the_most_urgent_gets_the_place() -> None:
    build = Build({A: (), B: (), C: ()}, places=Slots(1), durations_ms={A: 10, B: 500, C: 100})
    build.handle(Began())
    assert build.handle(MustRun(A), MustRun(B), MustRun(C)) == [Execute(B)]
    assert build.handle(Executed(B, True), CancelRequested()) == [
        Ended((A, C), Status.CANCELLED),
        Finish(Status.CANCELLED),
    ]


def test_what_is_wanted_first_starts_first_with_what_leads_to_it() -> None:
    graph = {A: (), B: (), C: (A,)}
    build = Build(graph, places=Slots(1), durations_ms={A: 10, B: 500, C: 10}, first=[C])
    assert build.handle(Began()) == [Resolve((A, B))]
    assert Execute(A) in build.handle(MustRun(B), MustRun(A))


def test_no_more_commands_run_than_there_are_slots_and_the_longest_path_goes_first() -> None:
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (), C: (), D: (C,)}
    build = Build(graph, places=Slots(1), durations_ms={A: 10, B: 500, C: 100, D: 900})
    assert build.handle(Began()) == [Resolve((A, B, C))]
    assert build.handle(MustRun(A)) == [Execute(A)]
    assert build.handle(MustRun(B)) == []
    assert build.handle(MustRun(C)) == []
    assert build.handle(Executed(A, True)) == [Execute(C)]
    assert build.handle(Executed(C, True)) == [Resolve((D,)), Execute(B)]


def test_a_command_of_several_cores_takes_as_many_slots_and_is_not_overtaken_for_ever() -> None:
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (), C: ()}
    durations = {A: 900, B: 500, C: 10}
    build = Build(graph, places=Slots(2, {B: 9}), durations_ms=durations)  # 9: all there are
    build.handle(Began())
    assert build.handle(MustRun(A)) == [Execute(A)]
    assert build.handle(MustRun(B)) == []
    assert build.handle(MustRun(C)) == []
    assert build.handle(Executed(A, True)) == [Execute(B)]
    assert build.handle(Executed(B, True)) == [Execute(C)]


def test_a_failure_skips_what_depends_on_it_and_stops_the_rest() -> None:
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (A,), C: (B,), D: ()}
    build = Build(graph, places=Slots(2))
    build.handle(Began())
    build.handle(MustRun(A))
    build.handle(MustRun(D))
    assert build.handle(Executed(A, False)) == [Ended((B, C), Status.SKIPPED), Stop((D,))]
    assert build.handle(Executed(D, False)) == [Finish(Status.FAILED)]


def test_keep_going_builds_what_is_independent() -> None:
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (A,), C: (), D: (C,)}
    build = Build(graph, places=Slots(1), keep_going=True)
    build.handle(Began())
    build.handle(MustRun(A))
    build.handle(MustRun(C))
    assert build.handle(Executed(A, False)) == [Ended((B,), Status.SKIPPED), Execute(C)]
    assert build.handle(Executed(C, True)) == [Resolve((D,))]
    assert build.handle(UpToDate(D)) == [Finish(Status.FAILED)]


def test_without_keep_going_what_never_started_is_cancelled() -> None:
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: ()}
    build = Build(graph, places=Slots(1))
    build.handle(Began())
    build.handle(MustRun(A))
    build.handle(MustRun(B))
    assert build.handle(Executed(A, False)) == [
        Ended((B,), Status.CANCELLED),
        Finish(Status.FAILED),
    ]


def test_a_task_that_cannot_be_resolved_fails() -> None:
    build = Build(CHAIN, places=Slots(1))
    build.handle(Began())
    assert build.handle(Broken(A)) == [Ended((B, C), Status.SKIPPED), Finish(Status.FAILED)]


def test_cancelling_stops_what_runs_and_waits_for_it() -> None:
    build = Build(CHAIN, places=Slots(1))
    build.handle(Began())
    build.handle(MustRun(A))
    assert build.handle(CancelRequested()) == [Stop((A,))]
    assert build.handle(Executed(A, False)) == [
        Ended((B, C), Status.CANCELLED),
        Finish(Status.CANCELLED),
    ]


def test_an_empty_build_succeeds_at_once() -> None:
    assert Build({}, places=Slots(1)).handle(Began()) == [Finish(Status.SUCCEEDED)]


def test_a_command_that_had_better_wait_is_passed_by_and_comes_back() -> None:
    class Picky:
        """One slot, which A had better not have."""

        def __init__(self) -> None:
            self.free = True
            self.refused = {A}

        def sort(self, task: TaskId) -> int:
            return 0

        def begin(self) -> None: ...

        def take(self, task: TaskId) -> Answer:
            if not self.free:
                return Answer.FULL
            if task in self.refused:
                return Answer.WAITS
            self.free = False
            return Answer.TAKEN

        def give_back(self, task: TaskId) -> None:
            self.free = True

    places = Picky()
    graph: dict[TaskId, tuple[TaskId, ...]] = {A: (), B: (), C: ()}
    build = Build(graph, places=places, durations_ms={A: 900, B: 500, C: 100})
    build.handle(Began())
    assert build.handle(MustRun(A)) == []
    assert build.handle(MustRun(B)) == [Execute(B)]
    assert build.handle(MustRun(C)) == []
    assert build.ready == {0: Ready(2, A)}
    places.refused.clear()
    assert build.handle(Executed(B, True)) == [Execute(A)]
    assert build.handle(Displaced(A)) == [Execute(A)]
    assert build.handle(Broken(C)) == [Stop((A,))]
    assert build.handle(Displaced(A)) == [Ended((A,), Status.CANCELLED), Finish(Status.FAILED)]


@st.composite
def graphs(draw: st.DrawFn) -> dict[TaskId, tuple[TaskId, ...]]:
    size = draw(st.integers(0, 12))
    return {
        task(str(number)): tuple(task(str(other)) for other in range(number) if draw(st.booleans()))
        for number in range(size)
    }


@given(graphs(), st.integers(1, 4), st.booleans(), st.randoms(use_true_random=False))
def test_every_build_ends_with_each_task_ended_once(
    graph: dict[TaskId, tuple[TaskId, ...]], slots: int, keep_going: bool, chance: random.Random
) -> None:
    standing = [each for each in graph if chance.random() < 0.3]
    sizes = {each: chance.randrange(1, 4) for each in graph if chance.random() < 0.3}
    build = Build(graph, places=Slots(slots, sizes), keep_going=keep_going, standing=standing)
    ended: dict[TaskId, Status] = {}
    running: set[TaskId] = set()
    waiting: list[Event] = [Began()]
    finished: list[Status] = []
    cancel_at = chance.randrange(40)
    for step in range(1000):
        if not waiting:
            break
        if step == cancel_at:
            waiting.append(CancelRequested())
        event = waiting.pop(chance.randrange(len(waiting)))
        if isinstance(event, Executed):
            running.discard(event.task)
            ended[event.task] = Status.SUCCEEDED if event.succeeded else Status.FAILED
        elif isinstance(event, UpToDate):
            ended[event.task] = Status.SUCCEEDED
        elif isinstance(event, Broken):
            ended[event.task] = Status.FAILED
        for effect in build.handle(event):
            _perform(effect, graph, ended, running, waiting, finished, chance)
        assert sum(min(slots, sizes.get(each, 1)) for each in running) <= slots
    assert len(finished) == 1
    assert ended.keys() == graph.keys()
    if finished == [Status.SUCCEEDED]:
        assert set(ended.values()) <= {Status.SUCCEEDED}


def _perform(
    effect: Effect,
    graph: dict[TaskId, tuple[TaskId, ...]],
    ended: dict[TaskId, Status],
    running: set[TaskId],
    waiting: list[Event],
    finished: list[Status],
    chance: random.Random,
) -> None:
    match effect:
        case Resolve(tasks):
            for each in tasks:
                assert all(ended.get(needed) is Status.SUCCEEDED for needed in graph[each])
                answers: list[Event] = [UpToDate(each), MustRun(each), Broken(each)]
                answers.append(UpToDate(each, changed=False))
                waiting.append(chance.choice(answers))
        case Stand(tasks):
            for each in tasks:
                assert all(ended.get(needed) is Status.SUCCEEDED for needed in graph[each])
                ended[each] = Status.SUCCEEDED
        case Execute(each):
            assert not finished
            running.add(each)
            waiting.append(Executed(each, chance.random() < 0.8))
        case Ended(tasks, status):
            for each in tasks:
                assert each not in ended
                ended[each] = status
        case Finish(status):
            finished.append(status)
        case Stop(tasks):
            assert set(tasks) <= running


def test_what_stands_is_not_resolved_unless_something_it_needs_changed() -> None:
    build = Build(CHAIN, places=Slots(2), standing=[B, C])
    assert build.handle(Began()) == [Resolve((A,))]
    assert build.handle(UpToDate(A, changed=False)) == [
        Stand((B, C)),
        Finish(Status.SUCCEEDED),
    ]
    build = Build(CHAIN, places=Slots(2), standing=[B, C])
    build.handle(Began())
    assert build.handle(MustRun(A)) == [Execute(A)]
    assert build.handle(Executed(A, True)) == [Resolve((B,))]
    assert build.handle(UpToDate(B, changed=False)) == [Stand((C,)), Finish(Status.SUCCEEDED)]


def test_what_stands_waits_for_all_that_it_needs() -> None:
    graph = {A: (), B: (), C: (A, B)}
    build = Build(graph, places=Slots(2), standing=[C])
    build.handle(Began())
    assert build.handle(UpToDate(A, changed=True)) == []
    assert build.handle(UpToDate(B, changed=False)) == [Resolve((C,))]


def test_a_shard_that_fails_stops_nothing_before_what_gathers_it() -> None:
    first, second, whole = (TaskId("a", name) for name in ("test 1/2", "test 2/2", "test"))
    graph = {first: (), second: (), whole: (first, second), D: (whole,)}
    build = Build(graph, places=Slots(1), shards=[first, second])
    assert build.handle(Began()) == [Resolve((first, second))]
    assert build.handle(MustRun(first), MustRun(second)) == [Execute(first)]
    assert build.handle(Executed(first, False)) == [Execute(second)]
    assert build.handle(Executed(second, True)) == [Resolve((whole,))]
    assert build.handle(Broken(whole)) == [
        Ended((D,), Status.SKIPPED),
        Finish(Status.FAILED),
    ]


def test_a_shard_that_can_not_be_resolved_counts_as_one_that_failed() -> None:
    first, second, whole = (TaskId("a", name) for name in ("test 1/2", "test 2/2", "test"))
    graph = {first: (), second: (), whole: (first, second)}
    build = Build(graph, places=Slots(2), shards=[first, second])
    build.handle(Began())
    assert build.handle(Broken(first)) == []
    assert build.handle(UpToDate(second)) == [Resolve((whole,))]
    assert build.handle(CancelRequested()) == []
    assert build.handle(Broken(whole)) == [Finish(Status.CANCELLED)]
