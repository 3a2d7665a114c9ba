"""Which voters may decide a seal, over member lists that change at random."""

from __future__ import annotations

import itertools
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mesh.member_changes import (
    BEN,
    CARA,
    DAN,
    EVE,
    FOUNDER,
    admit,
    after,
    beginning,
    put,
    recover,
    said,
)
from tests.mesh.member_network import CheapSigner

from buildnet.ledger.entry import Chain
from buildnet.ledger.membership import Closed, Membership, Recorded
from buildnet.ledger.voters import VoterHistory, VoterSet
from buildnet.mesh.members.changes import ChangeBody, Remove, Rename, Revoke, SetVoters, rotate
from buildnet.mesh.members.entry import Entry
from buildnet.mesh.members.member_list import MemberList, Refused, Rights
from buildnet.mesh.testing import key_number

A, B, C = b"a" * 32, b"b" * 32, b"c" * 32
STEPS = VoterHistory(
    (
        VoterSet(0, 0, (A,)),
        VoterSet(3, 0, (A, B)),
        VoterSet(7, 0, (A, B, C)),
        VoterSet(9, 1, (C,), b"r" * 32),
        VoterSet(12, 1, (B, C), b"r" * 32),
    )
)
PEOPLE = (BEN, CARA, DAN, EVE)


def versions(history: VoterHistory, before: int | None) -> list[int]:
    return [one.version for one in history.allowed(before)]


def grown() -> list[MemberList]:
    """The founder with four more members, none of them voter yet."""
    lists = [beginning()]
    for who in PEOPLE:
        lists.append(after(lists[-1], FOUNDER, admit(who, Rights.ADMIN)))
    return lists


@pytest.mark.parametrize(
    ("before", "allowed", "required"),
    [(0, [0, 3, 9], 9), (3, [3, 7, 9], 9), (7, [7, 9], 9), (9, [9, 12], 12)],
)
def test_the_same_the_next_or_a_recovery(before: int, allowed: list[int], required: int) -> None:
    assert versions(STEPS, before) == allowed
    found = STEPS.required(before)
    assert found is not None
    assert found.version == required


def test_without_recovery_the_next_one_is_required() -> None:
    history = VoterHistory(STEPS.sets[:3])
    assert [history.required(version) for version in (0, 3, 7)] == [
        *(history.at(3), history.at(7), history.at(7)),
    ]


def test_any_set_may_decide_the_first_seal_and_the_newest_is_asked() -> None:
    assert STEPS.allowed(None) == STEPS.sets
    assert STEPS.required(None) == STEPS.newest


def test_a_version_that_is_not_known_is_not_required() -> None:
    assert STEPS.required(13) is None
    assert STEPS.at(4) is None
    assert STEPS.after(12) is None
    assert versions(STEPS, 13) == []


def test_of_two_recoveries_the_newest_is_required_and_each_may_have_decided() -> None:
    history = VoterHistory((*STEPS.sets, VoterSet(20, 2, (A,), b"s" * 32)))
    assert versions(history, 0) == [0, 3, 9, 20]
    assert versions(history, 7) == [7, 9, 20]
    assert history.required(7) == history.at(20)


@pytest.mark.parametrize(
    ("version", "epoch", "voters", "objection"),
    [
        (3, 0, (A, B), None),
        (7, 0, (A, B, C), None),
        (9, 1, (C,), None),
        (0, 0, (A,), "voters out of turn"),
        (12, 1, (B, C), "voters out of turn"),
        (7, 1, (A, B, C), "another epoch"),
        (9, 0, (C,), "another epoch"),
        (7, 0, (A, B), "other voters"),
        (5, 0, (A, B), "members without new voters"),
        (13, 1, (B, C), "members not known yet"),
    ],
)
def test_an_objection_says_why(
    version: int, epoch: int, voters: tuple[bytes, ...], objection: str | None
) -> None:
    assert STEPS.objection(3, version=version, epoch=epoch, voters=voters) == objection


def test_only_changes_of_voters_are_kept() -> None:
    lists = grown()
    lists.append(after(lists[-1], FOUNDER, SetVoters(BEN.public_key, None)))
    lists.append(after(lists[-1], FOUNDER, Rename(None, "other")))
    history = VoterHistory((VoterSet.of(lists[0]),))
    for members in lists[1:]:
        history = history.plus(members)
    assert [one.version for one in history.sets] == [0, 5]
    assert history.newest.voters == lists[-1].voters
    assert history.newest.majority == lists[-1].majority == 2
    with pytest.raises(ValueError, match="ascend"):
        history.plus(lists[1])


def test_a_recovery_counts_even_with_the_same_voters() -> None:
    members = grown()[-1]
    history = VoterHistory((VoterSet.of(beginning()),))
    recovered = after(members, FOUNDER, recover(members, FOUNDER, at=FOUNDER))
    assert recovered.voters == members.voters
    history = history.plus(recovered)
    assert [one.epoch for one in history.sets] == [0, 1]
    assert history.newest.recovery == recovered.head
    assert history.required(None) == history.newest


@pytest.mark.parametrize(
    "sets", [(), (STEPS.sets[1], STEPS.sets[0]), (STEPS.sets[3], replace(STEPS.sets[4], epoch=0))]
)
def test_a_history_that_does_not_ascend_is_refused(sets: tuple[VoterSet, ...]) -> None:
    with pytest.raises(ValueError, match=r"ascend|begins"):
        VoterHistory(sets)


@st.composite
def member_logs(draw: st.DrawFn) -> tuple[list[MemberList], list[Entry], dict[bytes, bytes]]:
    """Lists of consecutive versions, the entries between them, and whose key each one is."""
    members, lists, entries = beginning(), [beginning()], list[Entry]()
    owner = {one.public_key: one.public_key for one in (FOUNDER, *PEOPLE)}
    spare = iter(range(100, 200))
    for who in PEOPLE:
        entry = put(members, said(members, FOUNDER, admit(who, Rights.ADMIN)))
        members = members.apply(entry, None)
        lists.append(members)
        entries.append(entry)
    for _ in range(draw(st.integers(0, 12))):
        key = draw(st.sampled_from(sorted(members.members)))
        kind = draw(st.sampled_from(("add", "add", "drop", "remove", "revoke", "rotate")))
        coordinator = draw(st.sampled_from(sorted(members.members)))
        author, what = coordinator, _change(kind, key, members)
        if kind == "rotate":
            new = CheapSigner(key_number(next(spare)).public_key)
            owner[new.public_key] = owner[key]
            author, what = key, rotate(members.cluster_id, key, new)
        assert what is not None
        change = said(members, CheapSigner(author), what)
        term = (members.ballot[0] + 1, coordinator)
        entry = put(members, change, by=CheapSigner(coordinator), ballot=term)
        try:
            members = members.apply(entry, None)
        except Refused:
            continue
        lists.append(members)
        entries.append(entry)
    return lists, entries, owner


def _change(kind: str, key: bytes, members: MemberList) -> ChangeBody | None:
    match kind:
        case "add":
            return SetVoters(key, None)
        case "drop":
            return SetVoters(None, key)
        case "remove":
            return Remove(key)
        case "revoke":
            return Revoke(key, "lost")
    return None


@given(member_logs())
def test_majorities_of_sets_that_follow_each_other_meet(
    log: tuple[list[MemberList], list[Entry], dict[bytes, bytes]],
) -> None:
    lists, entries, owner = log
    history = VoterHistory.fold(lists[0], entries)
    for before in history.sets:
        allowed = history.allowed(before.version)
        assert len(allowed) <= 2
        for one, other in itertools.product(allowed, repeat=2):
            for some in itertools.combinations(one.voters, one.majority):
                for others in itertools.combinations(other.voters, other.majority):
                    assert {owner[key] for key in some} & {owner[key] for key in others}


@given(member_logs())
def test_every_version_leads_to_the_newest_by_required_steps(
    log: tuple[list[MemberList], list[Entry], dict[bytes, bytes]],
) -> None:
    lists, entries, _ = log
    history = VoterHistory.fold(lists[0], entries)
    assert history.newest.voters == lists[-1].voters
    at: int | None = None
    for _ in range(len(history.sets)):
        step = history.required(at)
        assert step is not None
        assert step in history.allowed(at)
        voters, epoch = step.voters, step.epoch
        assert history.objection(at, version=step.version, epoch=epoch, voters=voters) is None
        at = step.version
    assert at == history.newest.version


def test_versions_that_a_recovery_went_on_without_never_come_to_be() -> None:
    assert [STEPS.epoch_at(version) for version in (0, 8, 9, 20)] == [0, 0, 1, 1]
    assert [STEPS.is_void(version, 0) for version in (8, 9, 20)] == [False, True, True]
    assert not any(STEPS.is_void(version, 1) for version in (8, 9, 20))


def test_a_record_of_a_version_that_never_came_to_be_can_be_judged() -> None:
    membership = SimpleNamespace(version=12, epoch=1, voters=STEPS, at=lambda version: None)
    closed = Closed(cast(Membership, membership))
    assert closed.is_known(Recorded(20, A, epoch=0))
    assert not closed.is_known(Recorded(20, A, epoch=1))


class Told:
    """A member log that says what it is told to."""

    def __init__(self, begin: MemberList) -> None:
        self.genesis = begin.genesis
        self.committed = begin
        self.entries: tuple[Entry, ...] = ()
        self.voters = begin.voters

    def say(self, *entries: Entry) -> None:
        members = beginning()
        for entry in entries:
            members = members.apply(entry, None)
        self.entries, self.committed, self.voters = entries, members, members.voters


def test_who_is_admin_in_which_version_is_known_without_reading_the_list_again() -> None:
    lists = grown()
    log = Told(lists[0])
    membership = Membership(log)
    entries: list[Entry] = []
    for at, who in zip(lists, PEOPLE, strict=False):
        entries.append(put(at, said(at, FOUNDER, admit(who, Rights.ADMIN))))
    log.say(*entries)
    membership.refresh()
    log.entries = ()
    for version, who in enumerate(PEOPLE, start=1):
        assert membership.is_admin(who.public_key, version)
        assert not membership.is_admin(who.public_key, version - 1)
    assert membership.is_admin(FOUNDER.public_key, 0)
    assert membership.is_admin(FOUNDER.public_key, len(PEOPLE) + 1) is None


def test_who_went_in_a_version_that_a_recovery_went_on_without_did_not_go() -> None:
    begin = beginning()
    came = put(begin, said(begin, FOUNDER, admit(BEN)))
    members = begin.apply(came, None)
    went = put(members, said(members, FOUNDER, Remove(BEN.public_key)))
    log = Told(begin)
    log.say(came, went)
    membership = Membership(log)
    closed = Closed(membership)
    closed.take((Recorded(1, came.hash), Recorded(2, went.hash)))
    chain = Chain(BEN.public_key, bytes(8))
    assert chain in closed
    log.say(came, put(members, said(members, FOUNDER, recover(members, FOUNDER, at=FOUNDER))))
    membership.refresh()
    closed.refresh()
    assert chain not in closed
