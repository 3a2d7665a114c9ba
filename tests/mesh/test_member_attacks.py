"""The member list against whoever signs, replays, reorders and garbles."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.mesh.member_changes import (
    BEN,
    CARA,
    CHECK,
    DAN,
    EVE,
    FOUNDER,
    SECOND,
    START,
    TOKEN,
    after,
    join,
    put,
    said,
    team,
)
from tests.mesh.member_network import CLUSTER, CheapSigner

from buildnet.mesh.members.changes import (
    Admit,
    Change,
    ChangeBody,
    CloseInvitation,
    Invite,
    Join,
    Leave,
    Recover,
    Remove,
    Rename,
    Revoke,
    Rotate,
    SetPriority,
    SetRights,
    SetVoters,
)
from buildnet.mesh.members.entry import Entry
from buildnet.mesh.members.member_list import (
    Refused,
    Rights,
    Role,
)
from buildnet.mesh.wire import WireError

PEOPLE = (FOUNDER, BEN, CARA, DAN, EVE, TOKEN, CLUSTER)
HONEST = (FOUNDER, CARA)
people = st.sampled_from(PEOPLE)
keys = people.map(lambda one: one.public_key)
roles = st.sampled_from([role.value for role in Role])
rights = st.sampled_from([one.value for one in Rights])
bodies: st.SearchStrategy[ChangeBody] = st.one_of(
    st.builds(Invite, keys, st.just(START + 9999 * SECOND), st.integers(1, 3), roles, rights),
    st.builds(CloseInvitation, keys),
    st.builds(Join, st.just("n"), roles, keys, st.just(bytes(64))),
    people.map(lambda one: join(team(), one)),
    st.builds(Admit, keys, st.just("n"), roles, rights),
    st.just(Leave()),
    st.builds(Remove, keys),
    st.builds(Revoke, keys, st.just("r")),
    st.builds(Rotate, keys, st.just(bytes(64))),
    st.builds(SetPriority, keys, st.integers(-5, 5)),
    st.builds(SetRights, keys, rights),
    st.builds(SetVoters, keys, st.none()),
    st.builds(SetVoters, st.none(), keys),
    st.builds(Rename, keys, st.just("m")),
    st.builds(Recover, st.just(1), st.just(team().head), keys, keys.map(lambda one: (one,))),
)
ATTACKERS = (BEN, DAN, EVE)  # a builder and two strangers
attacks = st.lists(st.tuples(bodies, st.sampled_from(ATTACKERS), people), max_size=12)


@given(attacks)
def test_no_sequence_of_forgeries_admits_or_elevates(
    attempts: list[tuple[ChangeBody, CheapSigner, CheapSigner]],
) -> None:
    """Attackers may sign by their own keys, claim any author, and even sequence."""
    start = members = after(team(), FOUNDER, SetVoters(CARA.public_key, None))
    for what, attacker, author in attempts:
        change = said(members, attacker, what)
        if author not in ATTACKERS:
            change = replace(change, author=author.public_key)
        entry = put(members, change, by=FOUNDER)
        try:
            members = members.apply(entry, CHECK)
        except Refused:
            continue
        assert members.members.keys() <= start.members.keys()
        for key, member in members.members.items():
            before = start.members[key]
            assert (member.rights, member.role, member.priority) == (
                before.rights,
                before.role,
                before.priority,
            )
        assert set(members.voters) <= set(start.voters)
        assert members.is_admin(FOUNDER.public_key)
        assert not members.revoked
        assert not members.invitations


@given(st.lists(st.tuples(bodies, people), max_size=15), st.data())
def test_fold_is_deterministic_and_takes_no_other_order(
    attempts: list[tuple[ChangeBody, CheapSigner]], data: st.DataObject
) -> None:
    members = start = team()
    entries: list[Entry] = []
    for what, author in attempts:
        entry = put(members, said(members, author, what))
        try:
            members = members.apply(entry, CHECK)
        except Refused:
            continue
        entries.append(Entry.decode(entry.encode()))
        if not members.is_member(FOUNDER.public_key):
            break
    again = start
    for entry in entries:
        again = again.apply(entry, CHECK)
    assert again == members
    trusting = start
    for entry in entries:
        trusting = trusting.apply(entry, None)
    assert trusting == members
    shuffled = data.draw(st.permutations(entries))
    taken = start
    for entry in shuffled:
        try:
            taken = taken.apply(entry, CHECK)
        except Refused:
            continue
    if shuffled != entries:
        assert taken.version <= members.version
        assert taken.head == members.head or taken.version < members.version


@given(st.binary(max_size=200))
def test_bytes_of_any_origin_are_no_crash(data: bytes) -> None:
    for record in (Entry, Change):
        with pytest.raises(WireError):
            record.decode(data)


def test_names_can_not_disturb_a_terminal() -> None:
    for name in ("a\x1b[2J", "a\nb", " a", "", "x" * 129):
        raw = [DAN.public_key, name, "worker", "builder"]
        with pytest.raises(WireError):
            Admit.from_array(raw)
