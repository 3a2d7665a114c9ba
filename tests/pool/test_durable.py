"""Who drives a build and who stands in: rules one by one."""

from __future__ import annotations

from tests.pool.durable_world import BUILD, A, B, C, D

from buildnet.pool.durable import (
    AGAIN_S,
    ANSWER_S,
    ASK_S,
    INQUIRE_S,
    NEXT_S,
    SILENT_S,
    TAKE_OVER_S,
    AskKeep,
    Driving,
    Durable,
    Forget,
    Inquire,
    NotDurable,
    Phase,
    Release,
    Request,
    StandIn,
    StandInEffect,
    Stop,
    TakeOver,
    Tell,
    TellAll,
    ranked,
)


def kept_by(node: bytes, now: float = 0.0) -> Driving:
    driving = Driving(BUILD)
    (ask,) = driving.look([node], (), now)
    assert ask == AskKeep(node, 1)
    assert driving.answered(node, 1, True, "") == [Durable(node)]
    return driving


def test_all_rank_the_same_nodes_in_the_same_order() -> None:
    assert ranked(BUILD, [A, B, C]) == ranked(BUILD, [C, A, B])
    assert len({ranked(f"build-{number}", [A, B, C])[0] for number in range(64)}) == 3


def test_who_refuses_is_followed_by_the_next_and_in_the_end_it_is_said() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C], (), 0.0) == [AskKeep(B, 1)]
    assert driving.answered(B, 1, False, "no room") == []
    assert driving.look([B, C], (), 0.0) == [AskKeep(C, 2)]
    assert driving.look([B, C], (), 1.0) == []
    assert driving.look([B, C], (), ANSWER_S) == [NotDurable("no room")]  # silence is a refusal
    assert driving.look([B, C], (), ANSWER_S + AGAIN_S) == [AskKeep(B, 3)]
    assert driving.answered(B, 1, True, "") == []  # of the first time
    assert driving.answered(B, 3, True, "") == [Durable(B)]
    assert driving.over(ended=True) == [Release(B, 3, True), Release(C, 2, True)]


def test_who_says_that_it_fetches_the_request_gets_the_time_for_that() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C], (), 0.0) == [AskKeep(B, 1)]
    driving.fetching(C, 1.0)
    driving.fetching(B, 2.0)
    assert driving.look([B, C], (), 1.0 + ASK_S) == []
    assert driving.look([B, C], (), 2.0 + ASK_S) == [AskKeep(C, 2)]


def test_who_says_nothing_is_not_waited_for_alone() -> None:
    driving = Driving(BUILD)
    assert driving.look([B, C, D], (), 0.0) == [AskKeep(B, 1)]
    assert driving.look([B, C, D], (), NEXT_S / 2) == []
    assert driving.look([B, C, D], (), NEXT_S) == [AskKeep(C, 2)]
    assert driving.look([B, C, D], (), 2 * NEXT_S) == [AskKeep(D, 3)]
    assert driving.look([B, C, D], (), 3 * NEXT_S) == []
    assert driving.answered(C, 2, True, "") == [
        Durable(C),
        Release(B, 1, False),
        Release(D, 3, False),
    ]
    assert driving.answered(B, 1, True, "") == [Release(B, 1, False)]  # too late
    assert driving.answered(D, 3, False, "no room") == []
    assert driving.look([B, C, D], (), 4 * NEXT_S) == []
    assert (driving.stand_in, driving.given(C), driving.highest) == (C, 2, 3)


def test_who_fetches_is_waited_for_alone_and_who_refuses_is_followed_at_once() -> None:
    driving = Driving(BUILD)
    driving.look([B, C, D], (), 0.0)
    driving.look([B, C, D], (), NEXT_S)
    driving.fetching(C, NEXT_S)
    assert driving.look([B, C, D], (), 2 * NEXT_S) == []
    assert driving.answered(C, 2, False, "no room") == []
    assert driving.look([B, C, D], (), 2 * NEXT_S) == [AskKeep(D, 3)]
    assert driving.look([B, C, D], (), ANSWER_S) == []
    assert driving.silent == {B}
    assert driving.answered(B, 1, False, "") == []
    assert driving.silent == set()


def test_alone_it_is_not_durable_until_somebody_comes() -> None:
    driving = Driving(BUILD)
    (told,) = driving.look([], (), 0.0)
    assert isinstance(told, NotDurable)
    assert driving.look([], (), 1.0) == []
    assert driving.look([B], (), AGAIN_S) == [AskKeep(B, 1)]


def test_a_stand_in_that_dies_is_followed_by_another_under_a_higher_attempt() -> None:
    driving = kept_by(B)
    assert driving.look([B, C], (), 1.0) == []
    told, ask = driving.look([C], (B,), 2.0)
    assert isinstance(told, NotDurable)
    assert ask == AskKeep(C, 2)
    assert not driving.is_durable
    # Back with the old number, it gives way to the later one as soon as it hears of it.
    stand_in = StandIn({BUILD: Request(A, 1)})
    stand_in.gone(A, 0.0)
    assert stand_in.tick(TAKE_OVER_S) == [Inquire(BUILD)]
    assert stand_in.contested(BUILD, 2, Phase.KEPT) == [Forget(BUILD)]
    assert stand_in.tick(TAKE_OVER_S + INQUIRE_S) == []


def test_a_driver_that_stays_away_is_followed_one_that_comes_back_at_once_is_not() -> None:
    stand_in = StandIn()
    assert stand_in.keep(BUILD, A, 1, 0.0) == []
    assert stand_in.keep(BUILD, A, 0, 0.0) is None
    stand_in.gone(A, 10.0)
    assert stand_in.tick(10.0 + TAKE_OVER_S - 0.1) == []
    stand_in.back(A, 12.0)
    assert stand_in.tick(99.0) == []
    stand_in.gone(A, 100.0)
    assert stand_in.tick(100.0 + TAKE_OVER_S) == [Inquire(BUILD)]
    stand_in.back(A, 104.0)
    assert stand_in.tick(200.0) == []
    stand_in.gone(A, 300.0)
    stand_in.stalled(310.0)
    assert stand_in.tick(310.0) == []
    assert stand_in.tick(310.0 + TAKE_OVER_S) == [Inquire(BUILD)]
    assert stand_in.met(B) == []
    assert stand_in.tick(320.0) == [TakeOver(BUILD, 1), TellAll(BUILD)]
    assert stand_in.met(B) == [Tell(B, BUILD)]
    assert stand_in.ended(BUILD) == [TellAll(BUILD)]
    assert stand_in.met(B) == [Tell(B, BUILD)]


def test_a_driver_that_lives_wins_over_its_stand_in() -> None:
    stand_in = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert stand_in.driven(A, BUILD, 0, 0.0, is_driver=True) == [
        Tell(A, BUILD)
    ]  # it may not know yet
    driving = kept_by(B)
    driving.taken_over(1)
    assert driving.attempt == 2
    assert stand_in.driven(A, BUILD, 2, 0.0, is_driver=True) == [Stop(BUILD)]
    assert driving.look([B], (), 0.0) == [AskKeep(B, 3)]
    assert stand_in.keep(BUILD, A, 3, 0.0) == []
    unaware = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert unaware.keep(BUILD, A, 3, 0.0) == [Stop(BUILD)]
    # But what has ended has ended.
    ended = StandIn({BUILD: Request(A, 1, Phase.ENDED)})
    assert ended.driven(A, BUILD, 2, 0.0, is_driver=True) == [Tell(A, BUILD)]
    assert ended.keep(BUILD, A, 3, 0.0) is None
    assert ended.requests[BUILD].phase is Phase.ENDED


def test_who_never_drove_a_build_can_not_take_it() -> None:
    for phase in (Phase.KEPT, Phase.DRIVING, Phase.ENDED):
        stand_in = StandIn({BUILD: Request(A, 1, phase)})
        stand_in.gone(A, 0.0)
        assert stand_in.driven(C, BUILD, 9, 1.0, is_driver=False) == [Tell(C, BUILD)]
        assert stand_in.requests[BUILD] == Request(A, 1, phase, missing_since=0.0)


def test_a_driver_that_began_anew_is_followed_at_once() -> None:
    stand_in = StandIn({BUILD: Request(A, 1)})
    assert stand_in.lost(C, BUILD) == [Tell(C, BUILD)]
    assert stand_in.lost(A, BUILD) == [TakeOver(BUILD, 1), TellAll(BUILD)]
    assert stand_in.lost(A, BUILD) == [Tell(A, BUILD)]
    assert stand_in.lost(A, "another") == [Tell(A, "another")]


def test_who_asks_for_the_build_that_it_drove_has_lost_it() -> None:
    stand_in = StandIn({BUILD: Request(A, 2)})
    assert stand_in.asked(B, BUILD) == [Tell(B, BUILD)]
    assert stand_in.asked(A, BUILD) == [TakeOver(BUILD, 2), TellAll(BUILD)]
    assert stand_in.asked(A, "another") == []


def test_what_its_driver_speaks_of_no_more_is_forgotten() -> None:
    stand_in = StandIn()
    stand_in.keep(BUILD, A, 1, 0.0)
    stand_in.driven(A, BUILD, 0, 100.0, is_driver=True)
    assert stand_in.tick(100.0 + SILENT_S) == []
    assert stand_in.tick(101.0 + SILENT_S) == [Forget(BUILD)]
    assert not stand_in.requests


def test_only_who_drives_releases() -> None:
    stand_in = StandIn({BUILD: Request(A, 3, Phase.DRIVING)})

    def released(attempt: int, *, ended: bool, is_driver: bool = True) -> list[StandInEffect]:
        return stand_in.released(BUILD, attempt, ended=ended, is_driver=is_driver)

    assert released(4, ended=True, is_driver=False) == []
    assert released(2, ended=True) == []  # of an earlier time
    assert released(3, ended=False) == []  # it only gave way itself
    assert released(3, ended=True) == [Stop(BUILD), Forget(BUILD)]
    assert released(3, ended=True) == []
    stand_in = StandIn({BUILD: Request(A, 3)})
    assert released(3, ended=False) == [Forget(BUILD)]


def test_who_drives_does_not_give_way_to_its_own_stand_in() -> None:
    stand_in = StandIn({BUILD: Request(A, 1, Phase.DRIVING)})
    assert stand_in.contested(BUILD, 2, Phase.KEPT) == []
    assert stand_in.contested(BUILD, 2, Phase.ASKING) == []
    assert stand_in.contested(BUILD, 2, Phase.DRIVING) == [Stop(BUILD), Forget(BUILD)]


def test_who_gave_a_request_is_asked_how_far_it_is_when_he_is_there_again() -> None:
    stand_in = StandIn({BUILD: Request(A, 3)})
    assert stand_in.met(B) == []
    assert stand_in.met(A) == [Inquire(BUILD, of=A)]


def test_a_stand_in_that_has_forgotten_is_followed_by_another() -> None:
    assert StandIn().driven(A, BUILD, 0, 0.0, is_driver=True) == [Tell(A, BUILD)]
    driving = kept_by(B)
    assert driving.forgotten(C) == []
    (told,) = driving.forgotten(B)
    assert isinstance(told, NotDurable)
    assert driving.look([B, C], (), 0.0) == [AskKeep(C, 2)]
