"""Membership at one node: SWIM with Lifeguard, against silence, lies and stalls."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from buildnet.mesh.events import (
    DialFailed,
    Disconnect,
    Effect,
    LinkDown,
    LinkState,
    LinkUp,
    MembersChanged,
    Note,
    Raise,
    Received,
    RoundTrip,
    Send,
    SendAll,
    Stalled,
    Status,
    StatusChanged,
)
from buildnet.mesh.local import Local
from buildnet.mesh.membership.core import Membership
from buildnet.mesh.messages.membership import (
    MAX_NEWS,
    MAX_PIGGYBACK,
    Ack,
    Ping,
    PingReport,
    PingRequest,
    StatusNews,
    StatusUpdate,
)
from buildnet.mesh.wire import WireError
from testbed.core_network import keys_of, local_of, member_list

KEYS = keys_of(6)
ME, ANN, BEN, COY, DAN, EVE = KEYS
MEMBERS = member_list(KEYS)
BOOT = 1_790_000_000
INCARNATION = BOOT << 16


def one_node(*linked: bytes) -> tuple[Local, Membership]:
    """A node at 100 s whose linked peers told their incarnation already."""
    local = local_of(ME, MEMBERS, boot=BOOT)
    core = Membership(local)
    for peer in linked:
        local.links[peer] = LinkState(False, 100.0)
        give(local, core, LinkUp(peer, False), 100.0)
        give(local, core, Received(peer, Ping(1, INCARNATION, ())), 100.0)
    return local, core


def give(local: Local, core: Membership, event: object, now: float) -> list[Effect]:
    """As the machine does: what is raised is noted in the shared state."""
    effects = core.handle(event, now)  # type: ignore[arg-type]
    note(local, effects)
    return effects


def tick_until(local: Local, core: Membership, end: float) -> list[tuple[float, Effect]]:
    """Let time pass without any answer."""
    done: list[tuple[float, Effect]] = []
    while core.deadline <= end:
        now = core.deadline
        effects = core.tick(now)
        note(local, effects)
        done += [(now, effect) for effect in effects]
    return done


def note(local: Local, effects: list[Effect]) -> None:
    for effect in effects:
        if isinstance(effect, Raise) and isinstance(effect.event, StatusChanged):
            local.status[effect.event.peer] = effect.event.status


def accuse(node: bytes, by: bytes, status: Status = Status.SUSPECT, plus: int = 0) -> StatusUpdate:
    return StatusUpdate(node[:8], INCARNATION + plus, int(status), by[:8])


def changes(effects: list[Effect]) -> list[StatusChanged]:
    return [
        effect.event
        for effect in effects
        if isinstance(effect, Raise) and isinstance(effect.event, StatusChanged)
    ]


def test_a_link_shows_life_and_who_dialled_tells_all_and_pings() -> None:
    local = local_of(ME, MEMBERS, boot=BOOT)
    core = Membership(local)
    assert core.deadline == math.inf
    assert core.last_heard(ANN) is None
    local.links[ANN] = LinkState(True, 1.0)
    raised, news, ping = core.handle(LinkUp(ANN, True), 1.0)
    assert raised == Raise(StatusChanged(ANN, Status.ALIVE))
    assert news == Send(ANN, StatusNews((StatusUpdate(ME[:8], INCARNATION, 0),), True))
    assert ping == Send(ANN, Ping(1, INCARNATION, ()))
    assert core.last_heard(ANN) == 1.0
    effects = core.handle(Received(ANN, Ack(1, INCARNATION, ())), 1.25)
    assert effects == [Raise(RoundTrip(ANN, 0.25))]


def test_only_the_pinged_peer_can_answer_and_only_once() -> None:
    local, core = one_node(ANN, BEN)
    local.links[COY] = LinkState(True, 100.0)
    give(local, core, LinkUp(COY, True), 100.0)
    assert not any(
        isinstance(effect, Raise) and isinstance(effect.event, RoundTrip)
        for sender, number in ((ANN, 1), (BEN, 1), (COY, 77))
        for effect in give(local, core, Received(sender, Ack(number, INCARNATION, ())), 100.1)
    )
    answer = Received(COY, Ack(1, INCARNATION, ()))
    assert Raise(RoundTrip(COY, 0.25)) in give(local, core, answer, 100.25)
    assert give(local, core, answer, 100.3) == []


def test_a_ping_is_answered_at_once() -> None:
    local, core = one_node(ANN)
    core.tick(core.deadline)
    answer = give(local, core, Received(ANN, Ping(7, INCARNATION, ())), 100.5)[0]
    assert isinstance(answer, Send)
    assert isinstance(answer.message, Ack)
    assert (answer.to, answer.message.number) == (ANN, 7)
    assert answer.message.incarnation == INCARNATION


def test_silence_is_pursued_through_three_others_then_suspected_then_dead() -> None:
    local, core = one_node(*KEYS[1:])
    for peer in KEYS[2:]:  # all others measured lately and talking: Ann alone is due
        core._beliefs.view(peer).measured_at = 1000.0
    happened: list[tuple[float, Effect]] = []
    while not changes([effect for _, effect in happened]):
        for peer in KEYS[2:]:
            give(local, core, Received(peer, StatusNews((), False)), core.deadline)
        happened += tick_until(local, core, core.deadline)
    effects = [effect for _, effect in happened]
    pings = [at for at, one in happened if isinstance(one, Send) and isinstance(one.message, Ping)]
    requests = [
        (at, one)
        for at, one in happened
        if isinstance(one, SendAll) and isinstance(one.message, PingRequest)
    ]
    assert requests[0][0] == pytest.approx(pings[0] + 0.3)
    assert requests[0][1].to == tuple(sorted(requests[0][1].to))
    assert len(requests[0][1].to) == 3
    assert ANN not in requests[0][1].to
    assert changes(effects) == [StatusChanged(ANN, Status.SUSPECT)]
    assert happened[-1][0] == pytest.approx(pings[0] + 1.0)
    assert core.health.factor > 1  # nobody sent a nack either: perhaps it is us
    for accuser in (BEN, COY):
        said = StatusNews((accuse(ANN, accuser),), False)
        give(local, core, Received(accuser, said), happened[-1][0])
    later = tick_until(local, core, happened[-1][0] + 4.1)
    assert StatusChanged(ANN, Status.DEAD) in changes([effect for _, effect in later])


def test_nacks_show_that_we_are_healthy() -> None:
    local, core = one_node(ANN, BEN)
    core._beliefs.view(BEN).measured_at = 1000.0
    give(local, core, LinkDown(COY), 100.0)
    (ping_at,) = [
        at
        for at, one in tick_until(local, core, 101.0)
        if isinstance(one, Send) and one.to == ANN and isinstance(one.message, Ping)
    ]
    (asked,) = [one for _, one in tick_until(local, core, ping_at + 0.35)]
    assert isinstance(asked, SendAll)
    assert asked.to == (BEN,)
    assert isinstance(asked.message, PingRequest)
    give(local, core, Received(BEN, PingReport(asked.message.number, False)), ping_at + 0.5)
    happened = [one for _, one in tick_until(local, core, ping_at + 1.01)]
    assert StatusChanged(ANN, Status.SUSPECT) in changes(happened)
    assert core.health.factor == 1


def test_a_helpers_word_ends_the_probe_but_only_a_helpers() -> None:
    local, core = one_node(ANN, BEN)
    core._beliefs.view(BEN).measured_at = 1000.0
    tick_until(local, core, 101.0)
    number = next(iter(core._probes))
    tick_until(local, core, 101.2)
    give(local, core, Received(COY, PingReport(number, True)), 101.2)
    assert number in core._probes
    give(local, core, Received(BEN, PingReport(number, True)), 101.2)
    assert number not in core._probes
    assert local.status[ANN] is Status.ALIVE


def test_an_errand_is_run_and_reported_either_way() -> None:
    local, core = one_node(ANN, BEN)
    (ping,) = give(local, core, Received(ANN, PingRequest(9, BEN[:8])), 100.1)
    assert isinstance(ping, Send)
    assert ping.to == BEN
    assert isinstance(ping.message, Ping)
    effects = give(local, core, Received(BEN, Ack(ping.message.number, INCARNATION, ())), 100.2)
    assert Send(ANN, PingReport(9, True)) in effects

    give(local, core, Received(ANN, PingRequest(10, BEN[:8])), 100.3)
    assert Send(ANN, PingReport(10, False)) in [
        effect for _, effect in tick_until(local, core, 100.6)
    ]
    for stranger in (COY[:8], bytes(8)):
        assert give(local, core, Received(ANN, PingRequest(11, stranger)), 101.0) == [
            Send(ANN, PingReport(11, False))
        ]


def test_errands_are_bounded() -> None:
    local, core = one_node(ANN, BEN)
    for number in range(1000):
        give(local, core, Received(ANN, PingRequest(number, BEN[:8])), 100.1)
    assert len(core._errands) <= 64


def test_an_accused_node_refutes_with_a_greater_incarnation() -> None:
    local, core = one_node(ANN, BEN)
    tick_until(local, core, 100.2)
    give(local, core, Received(ANN, StatusNews((accuse(ME, BEN),), False)), 100.3)
    assert core.incarnation == INCARNATION + 1
    pushed = [effect for _, effect in tick_until(local, core, 100.4)]
    alive = StatusUpdate(ME[:8], INCARNATION + 1, 0)
    assert pushed == [SendAll(tuple(sorted((ANN, BEN))), StatusNews((alive,), False))]
    # Old accusations are void; a storm of new ones is answered twice a second at most.
    give(local, core, Received(ANN, StatusNews((accuse(ME, BEN),), False)), 100.45)
    assert core.incarnation == INCARNATION + 1
    for plus in range(1, 50):
        give(local, core, Received(ANN, StatusNews((accuse(ME, BEN, plus=plus),), False)), 100.5)
    assert core.incarnation == INCARNATION + 1
    tick_until(local, core, 100.9)
    assert core.incarnation == INCARNATION + 50


def test_hearsay_against_a_linked_peer_is_told_to_it_and_checked_not_believed() -> None:
    local, core = one_node(ANN, BEN)
    for status in (Status.SUSPECT, Status.DEAD):
        accusation = accuse(ANN, BEN, status, plus=int(status))
        effects = give(local, core, Received(BEN, StatusNews((accusation,), False)), 101.0)
        assert changes(effects) == []
        assert Send(ANN, StatusNews((accusation,), False)) in effects
    assert sum(one.target == ANN for one in core._probes.values()) == 1
    assert local.status[ANN] is Status.ALIVE
    # The ping carries it too, until Ann has refuted.
    assert accusation in core._beliefs.piggyback(ANN)
    give(local, core, Received(ANN, Ping(5, INCARNATION + 3, ())), 101.1)
    assert accusation not in core._beliefs.piggyback(ANN)


def test_hearsay_about_others_follows_swims_order() -> None:
    local, core = one_node(ANN)

    def hear(update: StatusUpdate) -> Status | None:
        give(local, core, Received(ANN, StatusNews((update,), False)), 101.0)
        return local.status.get(COY)

    alive = StatusUpdate(COY[:8], INCARNATION, 0)
    assert hear(accuse(COY, DAN)) is Status.SUSPECT
    assert hear(alive) is Status.SUSPECT  # the same incarnation refutes nothing
    assert hear(StatusUpdate(COY[:8], INCARNATION + 1, 0)) is Status.ALIVE
    assert hear(accuse(COY, DAN)) is Status.ALIVE
    assert hear(accuse(COY, DAN, Status.DEAD, plus=1)) is Status.DEAD
    assert hear(accuse(COY, DAN, Status.SUSPECT, plus=1)) is Status.DEAD
    assert hear(StatusUpdate(COY[:8], INCARNATION + 2, 0)) is Status.ALIVE


def test_who_was_suspected_and_talks_again_is_told_so_that_it_refutes() -> None:
    local, core = one_node(ANN, BEN)
    del local.links[ANN]
    give(local, core, LinkDown(ANN), 101.0)
    give(local, core, DialFailed(ANN, "x", "refused", refused=True), 101.0)
    assert local.status[ANN] is Status.SUSPECT
    local.links[ANN] = LinkState(False, 101.2)
    effects = give(local, core, LinkUp(ANN, False), 101.2)
    assert changes(effects) == [StatusChanged(ANN, Status.ALIVE)]
    assert Send(ANN, StatusNews((accuse(ANN, ME),), False)) in effects


def test_messages_beyond_their_bounds_are_no_messages() -> None:
    update = accuse(ANN, BEN)
    for message in (
        Ping(1, 1, (update,) * (MAX_PIGGYBACK + 1)),
        StatusNews((update,) * (MAX_NEWS + 1), True),
        StatusNews((replace(update, status=3),), False),
        StatusNews((replace(update, node=ANN),), False),
        Ack(-1, 1, ()),
        PingRequest(1, ANN),
    ):
        with pytest.raises(WireError):
            type(message).decode(message.encode())


def test_nonsense_is_ignored_or_noted() -> None:
    local, core = one_node(ANN)
    far = StatusUpdate(COY[:8], 2**62, 0)
    assert give(local, core, Received(ANN, StatusNews((far,), False)), 101.0) == [
        Note("implausible incarnation", ANN, COY[:8].hex())
    ]
    stranger = StatusUpdate(b"stranger", INCARNATION, 0)
    assert give(local, core, Received(ANN, StatusNews((stranger,), False)), 101.0) == []
    assert give(local, core, Received(keys_of(9)[8], Ping(1, 1, ())), 101.0) == []
    assert local.status == {ANN: Status.ALIVE}


def test_news_with_a_message_are_bounded_and_told_a_few_times_only() -> None:
    keys = keys_of(60)
    local = local_of(ME, member_list(keys), boot=BOOT)
    core = Membership(local)
    news = tuple(StatusUpdate(key[:8], INCARNATION, 0) for key in keys[2:])
    give(local, core, Received(ANN, StatusNews(news, True)), 1.0)
    told = [core._beliefs.piggyback(BEN) for _ in range(100)]
    assert max(map(len, told)) == MAX_PIGGYBACK
    assert {len([1 for part in told for update in part if update == one]) for one in news} == {
        3 * math.ceil(math.log(61))
    }
    assert told[-1] == ()


def test_a_whole_list_is_answered_with_what_is_newer() -> None:
    local, core = one_node(ANN)
    theirs = (
        StatusUpdate(ANN[:8], INCARNATION, 0),
        StatusUpdate(ME[:8], INCARNATION, 0),
        StatusUpdate(BEN[:8], INCARNATION, 0),
    )
    assert not any(
        isinstance(effect, Send)
        for effect in give(local, core, Received(ANN, StatusNews(theirs, True)), 101.0)
    )
    (answer,) = give(local, core, Received(ANN, StatusNews(theirs[:1], True)), 101.0)
    assert answer == Send(ANN, StatusNews((theirs[1], theirs[2]), False))


def test_a_refused_redial_shortens_the_wait() -> None:
    local, core = one_node(ANN, BEN)
    del local.links[ANN]
    give(local, core, LinkDown(ANN), 101.0)
    assert local.status[ANN] is Status.ALIVE
    effects = give(local, core, DialFailed(ANN, "x", "refused", refused=True), 101.01)
    assert changes(effects) == [StatusChanged(ANN, Status.SUSPECT)]
    give(local, core, Received(BEN, StatusNews((accuse(ANN, BEN),), False)), 101.05)
    sent = tick_until(local, core, 101.6)
    assert local.status[ANN] is Status.DEAD
    assert not any(
        isinstance(one, SendAll) and isinstance(one.message, PingRequest) for _, one in sent
    )


def test_a_closed_link_is_pursued_through_the_others_at_once() -> None:
    local, core = one_node(ANN, BEN)
    tick_until(local, core, 100.2)
    del local.links[ANN]
    give(local, core, LinkDown(ANN), 100.3)
    (asked,) = [effect for _, effect in tick_until(local, core, 100.36)]
    assert isinstance(asked, SendAll)
    assert isinstance(asked.message, PingRequest)
    assert asked.message.target == ANN[:8]
    give(local, core, Received(BEN, PingReport(asked.message.number, True)), 100.4)
    assert not core._probes
    give(local, core, DialFailed(ANN, "x", "timed out"), 110.0)  # each failure asks again
    assert core._probes


def test_when_no_helper_reaches_it_either_nothing_is_waited_for() -> None:
    local, core = one_node(ANN, BEN)
    del local.links[ANN]
    give(local, core, LinkDown(ANN), 101.0)
    requests = [
        one.message
        for _, one in tick_until(local, core, 101.06)
        if isinstance(one, SendAll) and isinstance(one.message, PingRequest)
    ]
    give(local, core, Received(BEN, PingReport(requests[0].number, False)), 101.1)
    tick_until(local, core, 101.1)
    assert local.status[ANN] is Status.SUSPECT


def test_an_accused_peer_is_probed_before_all_others_until_it_refutes() -> None:
    local, core = one_node(*KEYS[1:])
    core.health.worse(7)
    give(local, core, Received(BEN, StatusNews((accuse(ANN, BEN),), False)), 100.1)
    number = next(n for n, one in core._probes.items() if one.target == ANN)
    give(local, core, Received(ANN, Ack(number, INCARNATION, ())), 100.2)
    for _ in range(2):
        tick_until(local, core, core._probe_at)
    assert any(one.target == ANN for one in core._probes.values())
    # More of the same talk makes it probed again, once it was silent for a while.
    for number in list(core._probes):
        give(local, core, Received(ANN, Ack(number, INCARNATION, ())), 110.0)
    again = StatusNews((accuse(ANN, COY),), False)
    give(local, core, Received(COY, again), 110.5)
    assert not any(one.target == ANN for one in core._probes.values())
    give(local, core, Received(COY, again), 111.1)
    assert any(one.target == ANN for one in core._probes.values())


def test_the_last_link_closing_leaves_everybody_suspect_soon() -> None:
    local, core = one_node(ANN)
    del local.links[ANN]
    give(local, core, LinkDown(ANN), 101.0)
    tick_until(local, core, 101.5)
    assert local.status[ANN] is Status.SUSPECT
    tick_until(local, core, 110.0)
    assert local.status[ANN] is Status.DEAD
    assert core.deadline == math.inf


def test_who_is_no_member_any_more_has_left() -> None:
    local, core = one_node(ANN, BEN)
    local.members = member_list([ME, ANN])
    assert give(local, core, MembersChanged(), 101.0) == [Raise(StatusChanged(BEN, Status.LEFT))]
    assert give(local, core, MembersChanged(), 101.0) == []


@pytest.mark.parametrize("told", [True, False])
def test_our_own_absence_is_not_held_against_others(told: bool) -> None:
    local, core = one_node(ANN, BEN)
    tick_until(local, core, 101.0)
    stale = {number: probe.target for number, probe in core._probes.items()}
    assert stale
    if told:
        give(local, core, Stalled(8.0), 109.0)
    note(local, core.tick(109.0))
    assert local.status[ANN] is Status.ALIVE
    assert core.health.factor == 2
    for number, target in stale.items():
        effects = give(local, core, Received(target, Ack(number, INCARNATION, ())), 109.1)
        assert effects == []  # and no round trip is made of it


def test_a_link_on_which_nothing_comes_is_closed_once_others_reach_the_peer() -> None:
    """Only its end lets another link, or a relayed one, take its place."""
    local, core = one_node(ANN, BEN)
    now, ended = 101.0, 0.0
    while not ended and now < 130.0:
        for at, one in tick_until(local, core, now):
            match one:
                case Send(peer, Ping(number)) if peer == BEN:
                    give(local, core, Received(BEN, Ack(number, INCARNATION, ())), at)
                case SendAll(_, PingRequest(number)):
                    found = give(local, core, Received(BEN, PingReport(number, True)), at)
                    if Disconnect(ANN, "silent link") in found:
                        ended = at
        now += 0.1
    assert 5.0 <= ended - 100.0 <= 8.0
    assert local.status[ANN] is Status.ALIVE
