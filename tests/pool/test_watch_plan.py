"""When what is watched is built: no change is missed, and no quiet time sees two builds."""

from __future__ import annotations

import heapq
import itertools
import math
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from buildnet.pool.watch_plan import (
    Begin,
    Cancel,
    Changed,
    Ended,
    Event,
    Looked,
    Outdated,
    Prepare,
    Recurring,
    Rest,
    Wake,
    WatchPlan,
    Woken,
)

DEBOUNCE_S = 0.3


def begun(delay_s: float = 0.0, longest_s: float = math.inf) -> WatchPlan:
    """A plan whose first build is over."""
    plan = WatchPlan(DEBOUNCE_S, delay_s, longest_s)
    assert plan.handle(Woken(), 0.0) == [Begin()]
    assert plan.handle(Looked(), 0.1) == []
    assert plan.handle(Ended(), 0.2) == []
    assert plan.is_waiting
    return plan


def test_a_build_begins_once_nothing_has_changed_for_a_while() -> None:
    plan = begun()
    assert plan.handle(Changed(), 1.0) == [Wake(1.3)]
    assert plan.handle(Changed(), 1.25) == [Wake(1.55)]
    assert plan.handle(Woken(), 1.3) == [Wake(1.55)]
    assert plan.handle(Woken(), 1.55) == [Begin()]
    assert plan.handle(Woken(), 1.6) == []


def test_the_delay_counts_but_for_what_is_wanted_sooner() -> None:
    plan = begun(2.0)
    assert plan.handle(Changed(), 1.0) == [Wake(3.3)]
    assert plan.handle(Changed(sooner=True), 1.5) == [Wake(1.8)]
    assert plan.handle(Changed(), 1.6) == [Wake(1.9000000000000001)]
    assert plan.handle(Woken(), 1.91) == [Begin()]
    plan.handle(Ended(), 3.0)
    assert plan.handle(Changed(), 4.0) == [Wake(6.3)]


def test_what_a_build_has_looked_at_is_not_built_twice() -> None:
    plan = begun()
    plan.handle(Changed(), 1.0)
    assert plan.handle(Woken(), 1.3) == [Begin()]
    assert plan.handle(Changed(), 1.31) == []
    assert plan.handle(Looked(), 1.32) == []
    assert plan.handle(Ended(), 1.5) == []
    assert plan.is_waiting


def test_what_changes_under_a_build_is_built_after_it() -> None:
    plan = begun()
    plan.handle(Changed(), 1.0)
    plan.handle(Woken(), 1.3)
    plan.handle(Looked(), 1.31)
    assert plan.handle(Changed(), 1.4) == []
    assert plan.handle(Woken(), 1.7) == []
    assert plan.handle(Ended(), 5.0) == [Begin()]


def test_a_build_is_cancelled_once_for_what_is_outdated_and_begun_anew_when_it_is_quiet() -> None:
    plan = begun()
    plan.handle(Changed(), 1.0)
    plan.handle(Woken(), 1.3)
    assert plan.handle(Outdated(), 1.31) == []  # nothing changed: it can't be
    plan.handle(Changed(), 1.4)
    assert plan.handle(Outdated(), 1.4) == [Cancel()]
    assert plan.handle(Outdated(), 1.5) == []
    assert plan.handle(Looked(), 1.5) == []
    assert plan.handle(Ended(), 1.55) == [Wake(1.7)]
    assert plan.handle(Woken(), 1.7) == [Begin()]


def test_changes_that_never_pause_are_built_after_the_longest_wait() -> None:
    plan = begun(longest_s=1.0)
    assert plan.handle(Changed(), 1.0) == [Wake(1.3)]
    for at in (1.2, 1.4, 1.6):
        plan.handle(Changed(), at)
    assert plan.handle(Changed(), 1.8) == [Wake(2.0)]
    assert plan.handle(Woken(), 2.0) == [Begin()]
    # It goes on while they do, outdated as it is; once they pause it begins anew.
    assert plan.handle(Looked(), 2.01) == []
    assert plan.handle(Changed(), 2.1) == []
    assert plan.handle(Outdated(), 2.1) == [Wake(2.4)]
    assert plan.handle(Changed(), 2.3) == [Wake(2.5999999999999996)]
    assert plan.handle(Woken(), 2.4) == [Wake(2.5999999999999996)]
    assert plan.handle(Woken(), 2.6) == [Cancel()]
    assert plan.handle(Ended(), 2.7) == [Begin()]


def test_the_longest_wait_is_no_shorter_than_the_others_and_begins_with_a_builds_end() -> None:
    assert begun(2.0, longest_s=0.1).handle(Changed(), 1.0) == [Wake(3.3)]
    plan = begun(longest_s=1.0)
    plan.handle(Changed(), 1.0)
    assert plan.handle(Woken(), 1.3) == [Begin()]
    plan.handle(Looked(), 1.31)
    for at in (1.4, 5.0, 9.9):
        plan.handle(Changed(), at)
    assert plan.handle(Ended(), 10.0) == [Wake(10.200000000000001)]
    plan.handle(Changed(), 10.1)
    assert plan.handle(Changed(), 10.95) == [Wake(11.0)]


def test_a_rest_is_kept_though_it_is_longer_than_the_longest_wait() -> None:
    plan = begun(longest_s=1.0)
    assert plan.handle(Rest(5.0), 1.0) == []  # there is nothing to be built
    plan.handle(Changed(), 1.0)
    plan.handle(Woken(), 1.3)
    plan.handle(Changed(), 1.4)
    assert plan.handle(Rest(5.0), 1.5) == []
    assert plan.handle(Ended(), 1.5) == [Wake(6.8)]
    assert plan.handle(Woken(), 6.8) == [Begin()]


def test_builds_that_change_their_own_sources_come_slower_and_slower() -> None:
    recurring, made = Recurring(), frozenset({"core/made.ts"})
    assert [recurring.ended(made) for _ in range(5)] == [0, 0, 1, 2, 4]
    assert recurring.ended(frozenset()) == 0
    assert [recurring.ended(made) for _ in range(3)] == [0, 0, 1]
    assert recurring.ended(frozenset({"core/other.ts"})) == 0
    assert [recurring.ended(made) for _ in range(40)][-1] == Recurring.LONGEST_S


@dataclass
class World:
    """Edits a workspace at random times and builds it as the plan says.

    A build looks a little after its begin and takes in all edits up to then; ``content`` is what it
    builds of them. News of an edit comes a little later than the edit.
    """

    plan: WatchPlan
    looks_after_s: float
    takes_s: float
    now: float = 0.0
    edits: int = 0
    content: int = -1
    begins: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    cancels: int = 0
    _events: list[tuple[float, int, str, int]] = field(default_factory=list)
    _number: int = 0
    _build: int = 0
    _seen: int = 0
    _wake: float | None = None

    def at(self, when: float, what: str, about: int = 0) -> None:
        self._number += 1
        heapq.heappush(self._events, (when, self._number, what, about))

    def run(self) -> None:
        """Run until nothing happens any more."""
        while self._events:
            self.now, _, what, about = heapq.heappop(self._events)
            match what:
                case "edit":
                    self.edits += 1
                    self.at(self.now + 0.01, "news", self.edits)
                case "news":
                    if about > self._seen:  # else a look took it in
                        self.tell(Changed())
                        if about % 3 == 0:
                            self.tell(Outdated())
                case "look" if about == self._build:
                    self._seen = self.edits
                    self.tell(Looked())
                case "end" if about == self._build:
                    self.content = self._seen
                    self.ends.append(self.now)
                    self.tell(Ended())
                case "wake" if self._wake == self.now:
                    self.tell(Woken())
            assert self._number < 20_000

    def tell(self, event: Event) -> None:
        for effect in self.plan.handle(event, self.now):
            match effect:
                case Begin():
                    self._build += 1
                    self.begins.append(self.now)
                    self.at(self.now + self.looks_after_s, "look", self._build)
                    self.at(self.now + self.looks_after_s + self.takes_s, "end", self._build)
                case Cancel():
                    self.cancels += 1
                    self._build += 1  # what was to come of it does not
                    self.at(self.now + 0.05, "end", self._build)
                    self._seen = min(self._seen, self.content)
                case Wake(when):
                    self._wake = when
                    self.at(when, "wake")


PAUSES = st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.1, 0.29, 0.31, 1.0, 5.0]), max_size=60)


@given(
    pauses=PAUSES,
    delay_s=st.sampled_from([0.0, 2.0]),
    looks_after_s=st.sampled_from([0.0, 0.005, 0.2]),
    takes_s=st.sampled_from([0.0, 0.1, 0.5, 20.0]),
)
def test_after_any_storm_the_last_build_has_it_all_and_no_quiet_time_sees_two(
    pauses: list[float], delay_s: float, looks_after_s: float, takes_s: float
) -> None:
    world = World(WatchPlan(DEBOUNCE_S, delay_s), looks_after_s, takes_s)
    world.tell(Woken())
    when, times = 0.5, []
    for pause in pauses:
        when += pause
        times.append(when)
        world.at(when, "edit")
    world.run()
    assert world.plan.is_waiting
    assert world.content == world.edits  # the last one looked after the last edit
    for earlier, later in zip(world.begins, world.begins[1:], strict=False):
        assert any(earlier <= edit <= later for edit in times)  # each but the first has a reason
        assert not any(later - DEBOUNCE_S + 0.01 < edit < later - 0.0101 for edit in times)
    assert sum(begin > max(times, default=0.0) for begin in world.begins) <= 1


@given(
    pauses=PAUSES,
    looks_after_s=st.sampled_from([0.0, 0.005, 0.2]),
    takes_s=st.sampled_from([0.0, 0.1, 0.5, 20.0]),
)
def test_with_a_longest_wait_the_last_build_still_has_it_all(
    pauses: list[float], looks_after_s: float, takes_s: float
) -> None:
    world = World(WatchPlan(DEBOUNCE_S, 0.0, 1.0), looks_after_s, takes_s)
    world.tell(Woken())
    when = 0.5
    for pause in pauses:
        when += pause
        world.at(when, "edit")
    world.run()
    assert world.plan.is_waiting
    assert world.content == world.edits


@given(
    pauses=st.lists(st.sampled_from([0.01, 0.05, 0.2]), min_size=200, max_size=400),
    takes_s=st.sampled_from([0.1, 0.5, 3.0]),
)
def test_while_changes_never_pause_builds_come_to_an_end_again_and_again(
    pauses: list[float], takes_s: float
) -> None:
    longest_s = 1.0
    world = World(WatchPlan(DEBOUNCE_S, 0.0, longest_s), 0.005, takes_s)
    world.tell(Woken())
    when = 0.5
    for pause in pauses:
        when += pause
        world.at(when, "edit")
    world.run()
    assert world.content == world.edits
    # One that began while they paused may be ended for them, and takes one more round.
    most_s = 2 * (longest_s + takes_s) + 0.5
    times = [0.0, *(end for end in world.ends if end < when), when]
    assert all(later - earlier <= most_s for earlier, later in itertools.pairwise(times))


def test_it_is_prepared_once_changes_pause_a_little_and_never_while_a_build_runs() -> None:
    plan = WatchPlan(DEBOUNCE_S, 2.0, 30.0, 0.1)
    assert plan.handle(Woken(), 0.0) == [Begin()]
    plan.handle(Looked(), 0.1)
    plan.handle(Ended(), 0.2)
    assert plan.handle(Changed(), 1.0) == [Wake(1.1)]
    assert plan.handle(Changed(), 1.05) == [Wake(1.1500000000000001)]
    assert plan.handle(Woken(), 1.2) == [Prepare(), Wake(3.35)]
    assert plan.handle(Woken(), 1.3) == [Wake(3.35)]
    assert plan.handle(Changed(), 2.0) == [Wake(2.1)]
    assert plan.handle(Woken(), 2.1) == [Prepare(), Wake(4.3)]
    assert plan.handle(Woken(), 4.3) == [Begin()]
    plan.handle(Looked(), 4.31)
    assert plan.handle(Changed(), 4.4) == []
    assert plan.handle(Woken(), 4.6) == []
    assert plan.handle(Ended(), 4.7) == [Prepare(), Wake(6.7)]
