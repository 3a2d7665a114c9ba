"""The member list: who may change what, and that nobody gets in or up any other way."""

from __future__ import annotations

from dataclasses import replace

import pytest
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
    admit,
    after,
    beginning,
    denied,
    invitation,
    join,
    put,
    recover,
    refusal,
    said,
    team,
)
from tests.mesh.member_network import CLUSTER, CheapSigner

from buildnet.mesh.identity import NodeKey, is_signed_by
from buildnet.mesh.members.changes import (
    ChangeBody,
    CloseInvitation,
    Leave,
    Remove,
    Rename,
    Revoke,
    Rotate,
    SetPriority,
    SetRights,
    SetVoters,
    rotate,
    rotate_statement,
)
from buildnet.mesh.members.member import MAX_OWN_CHANGES
from buildnet.mesh.members.member_list import (
    MAX_AGE_S,
    MAX_AHEAD_S,
    Ending,
    MemberList,
    Refused,
    Revocation,
    Rights,
    Role,
)
from buildnet.mesh.members.recent import RecentChanges
from buildnet.mesh.testing import key_number


def test_founder_is_first_member_admin_and_voter() -> None:
    members = beginning()
    key = FOUNDER.public_key
    assert members.is_member(key)
    assert members.is_admin(key)
    assert members.stands(key)
    assert members.voters == (key,)
    assert members.majority == 1
    assert members.version == 0
    assert members.head == members.cluster_id
    assert MemberList.of(members.genesis, CHECK) == members


def test_forged_genesis_is_refused() -> None:
    genesis = beginning().genesis
    for forged in (
        replace(genesis, cluster_signature=bytes(64)),
        replace(genesis, founder_signature=bytes(64)),
        replace(genesis, name="other"),
    ):
        with pytest.raises(Refused, match="not signed"):
            MemberList.of(forged, CHECK)


def test_real_signatures_work_too() -> None:
    class Real:
        def sign(self, message: bytes) -> bytes:
            return founder.sign(message)

        def verify(self, key: bytes, message: bytes, signature: bytes) -> bool:
            return is_signed_by(key, message, signature)

    cluster, founder = NodeKey.generate(), NodeKey.generate()
    members = MemberList.found(
        cluster, founder, name="x", founder_name="y", created=START, nonce=bytes(16)
    )
    assert MemberList.of(members.genesis, Real()).cluster_id == members.cluster_id


def test_rank_is_priority_then_seniority_then_id() -> None:
    members = team()
    founder, ben, cara = (one.public_key for one in (FOUNDER, BEN, CARA))
    assert members.rank(founder) > members.rank(ben) > members.rank(cara)
    members = after(members, FOUNDER, SetPriority(cara, 5))
    assert members.rank(cara) > members.rank(founder)


def test_observers_never_stand_nor_vote() -> None:
    members = after(beginning(), FOUNDER, admit(DAN, role=Role.OBSERVER))
    assert members.is_member(DAN.public_key)
    assert not members.stands(DAN.public_key)
    assert denied(members, FOUNDER, SetVoters(DAN.public_key, None)) == "no new voter"


ADMINS_ONLY = [
    invitation(),
    CloseInvitation(TOKEN.public_key),
    admit(DAN),
    Remove(CARA.public_key),
    Revoke(CARA.public_key, "lost"),
    SetPriority(BEN.public_key, 9),
    SetRights(BEN.public_key, Rights.ADMIN.value),
    Rename(CARA.public_key, "other"),
    Rename(None, "other"),
]


@pytest.mark.parametrize("what", ADMINS_ONLY, ids=lambda what: type(what).__name__)
@pytest.mark.parametrize("who", [BEN, EVE], ids=["builder", "stranger"])
def test_only_admins_may(who: CheapSigner, what: ChangeBody) -> None:
    assert denied(team(), who, what) == "no admin"


def test_nobody_claims_another_author() -> None:
    members = team()
    forged = replace(said(members, BEN, admit(DAN, Rights.ADMIN)), author=FOUNDER.public_key)
    assert refusal(members, put(members, forged)) == "forged change"


def test_change_of_another_cluster_is_refused() -> None:
    members = team()
    other = beginning(name="other")
    change = said(other, FOUNDER, admit(DAN), hlc=members.hlc)
    assert refusal(members, put(members, change)) == "forged change"


def test_change_is_made_once() -> None:
    members = beginning()
    change = said(members, FOUNDER, admit(BEN))
    members = members.apply(put(members, change), CHECK)
    members = after(members, FOUNDER, Remove(BEN.public_key))
    assert refusal(members, put(members, change)) == "change made already"
    # ... also after the list forgot its id.
    late = members.hlc + (MAX_AGE_S + 10) * SECOND
    other = said(members, FOUNDER, Rename(None, "later"), hlc=late)
    members = members.apply(put(members, other, hlc=late), CHECK)
    assert change.id not in members.recent
    assert refusal(members, put(members, change)) == "change too old"


def test_change_from_the_future_waits() -> None:
    members = beginning()
    change = said(members, FOUNDER, admit(BEN), hlc=members.hlc + (MAX_AHEAD_S + 9) * SECOND)
    assert refusal(members, put(members, change)) == "change from the future"


# --- entries ----------------------------------------------------------------------------


def test_entries_come_in_their_order() -> None:
    members = team()
    change = said(members, FOUNDER, admit(DAN))
    entry = put(members, change)
    later = members.apply(entry, CHECK)
    assert refusal(later, entry) == "not the next entry"
    assert refusal(beginning(), entry) == "not the next entry"
    past = put(members, change, hlc=members.hlc - 1)
    assert refusal(members, past) == "entry from the past"


def test_entry_needs_its_sequencers_signature_and_ballot() -> None:
    members = team()
    change = said(members, FOUNDER, admit(DAN))
    good = put(members, change)
    assert refusal(members, replace(good, signature=bytes(64))) == "forged entry"
    stranger = put(members, change, by=EVE, ballot=(9, EVE.public_key))
    assert refusal(members, stranger) == "sequencer no member"
    mine = (members.ballot[0] + 1, BEN.public_key)
    for voters in ((), (BEN,), (BEN, CARA), (EVE,)):
        entry = put(members, change, by=BEN, ballot=mine, voters=voters)
        assert refusal(members, entry) == "ballot not won"
    low = put(members, change, by=BEN, ballot=(0, BEN.public_key))
    assert refusal(members, low) == "old ballot"
    assert refusal(members, put(members, change, voters=(FOUNDER,))) == "votes for nothing"


def test_votes_count_once_and_all_must_be_good() -> None:
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    members = after(members, FOUNDER, SetVoters(CARA.public_key, None))
    change = said(members, FOUNDER, admit(DAN))
    ballot = (7, BEN.public_key)
    twice = put(members, change, by=BEN, ballot=ballot, voters=(BEN, BEN))
    assert refusal(members, twice) == "ballot not won"
    entry = put(members, change, by=BEN, ballot=ballot, voters=(BEN, CARA))
    assert members.apply(entry, CHECK).ballot == ballot


# --- invitations ------------------------------------------------------------------------


def test_token_lets_in_as_often_as_it_says() -> None:
    members = after(team(), FOUNDER, invitation(2))
    members = after(members, DAN, join(members, DAN))
    assert members.members[DAN.public_key].rights is Rights.BUILDER
    members = after(members, EVE, join(members, EVE))
    other = CheapSigner(key_number(7).public_key)
    assert denied(members, other, join(members, other)) == "token used up"


def test_token_of_an_admin_decides_the_rights() -> None:
    members = after(team(), FOUNDER, invitation(rights=Rights.OBSERVER))
    members = after(members, DAN, join(members, DAN))
    assert members.members[DAN.public_key].rights is Rights.OBSERVER


def test_token_for_observers_admits_no_worker() -> None:
    members = after(team(), FOUNDER, invitation(role=Role.OBSERVER))
    assert denied(members, DAN, join(members, DAN)) == "observers only"
    members = after(members, DAN, join(members, DAN, role=Role.OBSERVER))
    assert members.members[DAN.public_key].role is Role.OBSERVER


def test_wrong_token_is_refused() -> None:
    members = after(team(), FOUNDER, invitation())
    assert denied(members, DAN, join(members, DAN, token=EVE)) == "wrong token"
    # What Dan's token signed lets in nobody else, under no other name or role, nowhere else.
    for stolen in (
        join(members, DAN),
        replace(join(members, EVE), name="eve2"),
        replace(join(members, EVE), role=Role.OBSERVER.value),
        join(beginning(name="other"), EVE),
    ):
        assert denied(members, EVE, stolen) == "wrong token"
    assert denied(team(), DAN, join(team(), DAN)) == "unknown invitation"


def test_expired_token_is_refused() -> None:
    members = after(team(), FOUNDER, invitation(expires=START + 60 * SECOND))
    late = START + 61 * SECOND
    entry = put(members, said(members, DAN, join(members, DAN), hlc=late), hlc=late)
    assert refusal(members, entry) == "token expired"


def test_closed_token_is_refused_and_so_is_one_of_a_former_admin() -> None:
    members = after(team(), CARA, invitation())
    closed = after(members, FOUNDER, CloseInvitation(TOKEN.public_key))
    assert denied(closed, DAN, join(closed, DAN)) == "unknown invitation"
    for what in (
        SetRights(CARA.public_key, Rights.BUILDER.value),
        Remove(CARA.public_key),
        Revoke(CARA.public_key, "stolen"),
    ):
        without = after(members, FOUNDER, what)
        assert denied(without, DAN, join(without, DAN)) == "inviter no admin"


# --- keys -------------------------------------------------------------------------------


def test_second_key_with_one_node_id_is_refused() -> None:
    twin = CheapSigner(BEN.public_key[:8] + bytes(24))
    assert denied(team(), FOUNDER, admit(twin)) == "node id in use"
    gone = after(team(), FOUNDER, Remove(BEN.public_key))
    assert denied(gone, FOUNDER, admit(twin)) == "node id in use"


def test_key_serves_one_purpose() -> None:
    members = after(team(), FOUNDER, invitation())
    assert denied(members, FOUNDER, admit(TOKEN)) == "key in use"
    assert denied(members, FOUNDER, admit(CLUSTER)) == "key in use"
    assert denied(members, FOUNDER, admit(BEN)) == "already a member"


def test_removed_node_may_come_back_and_a_revoked_one_may_not() -> None:
    members = after(team(), FOUNDER, Remove(BEN.public_key))
    assert not members.is_member(BEN.public_key)
    assert members.former[BEN.public_key].ending is Ending.REMOVED
    assert after(members, FOUNDER, admit(BEN)).is_member(BEN.public_key)
    members = after(members, FOUNDER, Revoke(BEN.public_key, "stolen"))
    assert denied(members, FOUNDER, admit(BEN)) == "revoked"
    assert denied(members, FOUNDER, Revoke(BEN.public_key, "again")) == "already revoked"
    assert denied(members, FOUNDER, Revoke(EVE.public_key, "who?")) == "unknown member"


def test_rotation_needs_both_keys_and_keeps_the_place() -> None:
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    alone = Rotate(EVE.public_key, bytes(64))
    assert denied(members, BEN, alone) == "new key not proven"
    members = after(members, BEN, rotate(members.cluster_id, BEN.public_key, EVE))
    assert members.members[EVE.public_key].seniority == 1
    assert members.current(BEN.public_key) == EVE.public_key
    assert members.voters == (FOUNDER.public_key,)
    assert not members.is_member(BEN.public_key)
    assert denied(members, FOUNDER, admit(BEN)) == "key rotated"


def test_sole_voter_stays_one_when_it_rotates_and_signs_by_its_old_key_once() -> None:
    members = beginning()
    members = after(members, FOUNDER, rotate(members.cluster_id, FOUNDER.public_key, EVE))
    assert members.voters == (EVE.public_key,)
    assert members.signers(members.ballot) == (FOUNDER.public_key,)
    assert members.signers((2, EVE.public_key)) == (EVE.public_key,)
    entry = put(members, said(members, EVE, Rename(None, "x")), by=EVE, ballot=(2, EVE.public_key))
    members = members.apply(entry, CHECK)
    assert members.signers(members.ballot) == (EVE.public_key,)


def test_invitation_outlives_its_makers_rotation() -> None:
    members = after(team(), CARA, invitation())
    members = after(members, CARA, rotate(members.cluster_id, CARA.public_key, EVE))
    assert after(members, DAN, join(members, DAN)).is_member(DAN.public_key)


def test_held_revocation_counts_at_once() -> None:
    held = Revocation(CARA.public_key, FOUNDER.public_key, "stolen", None)
    members = team().with_revocations([held])
    assert not members.is_member(CARA.public_key)
    assert not members.is_admin(CARA.public_key)
    assert not members.stands(CARA.public_key)


# --- who must stay ----------------------------------------------------------------------


def test_last_admin_and_last_voter_stay() -> None:
    members = after(beginning(), FOUNDER, admit(BEN))
    assert denied(members, FOUNDER, Leave()) == "last admin"
    downgrade = SetRights(FOUNDER.public_key, Rights.BUILDER.value)
    assert denied(members, FOUNDER, downgrade) == "last admin"
    members = team()
    assert denied(members, FOUNDER, Leave()) == "last voter"
    assert denied(members, CARA, Revoke(FOUNDER.public_key, "x")) == "last voter"
    members = after(members, FOUNDER, SetVoters(BEN.public_key, None))
    members = after(members, FOUNDER, Leave())
    assert members.voters == (BEN.public_key,)


def test_only_the_coordinator_changes_voters() -> None:
    members = team()
    assert denied(members, BEN, SetVoters(BEN.public_key, None)) == "not the coordinator"
    assert denied(members, FOUNDER, SetVoters(EVE.public_key, None)) == "no new voter"
    assert denied(members, FOUNDER, SetVoters(None, BEN.public_key)) == "no voter"
    with pytest.raises(ValueError, match="one voter"):
        SetVoters(BEN.public_key, CARA.public_key)


def test_no_coordinator_makes_itself_the_only_voter() -> None:
    members = after(team(), FOUNDER, SetVoters(BEN.public_key, None))
    members = after(members, FOUNDER, SetVoters(CARA.public_key, None))
    won = (members.ballot[0] + 1, BEN.public_key)
    change = said(members, BEN, SetVoters(None, FOUNDER.public_key))
    members = members.apply(put(members, change, by=BEN, ballot=won), CHECK)
    change = said(members, BEN, SetVoters(None, CARA.public_key))
    assert refusal(members, put(members, change, by=BEN, ballot=won)) == "too few voters"
    change = said(members, BEN, SetVoters(FOUNDER.public_key, None))
    members = members.apply(put(members, change, by=BEN, ballot=won), CHECK)
    assert len(members.voters) == 3


# --- recovery ---------------------------------------------------------------------------


@pytest.mark.parametrize("author", [CARA, CLUSTER], ids=["admin", "cluster key"])
def test_recovery_begins_an_epoch_without_a_majority(author: CheapSigner) -> None:
    members = team()
    change = said(members, author, recover(members, BEN, CARA, at=BEN))
    term = members.ballot[0]
    entry = put(members, change, by=BEN, ballot=(term, BEN.public_key), voters=())
    recovered = members.apply(entry, CHECK)
    assert recovered.epoch == 1
    assert recovered.lineage > members.lineage
    assert set(recovered.voters) == {BEN.public_key, CARA.public_key}
    # Nobody goes on in the ballot that nobody won.
    more = put(recovered, said(recovered, FOUNDER, admit(DAN)), by=BEN, voters=())
    assert refusal(recovered, more) == "ballot not won"


def test_the_cluster_key_recovers_and_does_nothing_else() -> None:
    members = team()
    change = said(members, CLUSTER, recover(members, BEN, at=BEN))
    term = members.ballot[0]
    entry = put(members, change, by=BEN, ballot=(term, BEN.public_key), voters=())
    # Who holds the key takes the cluster over: the last admin may be gone.
    assert members.apply(entry, CHECK).is_admin(BEN.public_key)
    by_admin = said(members, CARA, recover(members, BEN, at=BEN))
    entry = put(members, by_admin, by=BEN, ballot=(term, BEN.public_key), voters=())
    assert not members.apply(entry, CHECK).is_admin(BEN.public_key)
    assert denied(members, CLUSTER, admit(DAN)) == "no admin"
    assert denied(members, CLUSTER, Revoke(BEN.public_key, "")) == "no admin"


def test_recovery_by_others_elsewhere_or_again_is_refused() -> None:
    members = team()
    assert denied(members, BEN, recover(members, BEN, at=FOUNDER)) == "no admin"
    change = said(members, CARA, recover(members, BEN, at=BEN))
    term = members.ballot[0]
    stolen = put(members, change, by=CARA, ballot=(term, CARA.public_key), voters=())
    assert refusal(members, stolen) == "recovers another chain"
    later = after(members, FOUNDER, admit(DAN))
    moved = put(later, change, by=BEN, ballot=(term, BEN.public_key), voters=())
    assert refusal(later, moved) == "recovers another chain"
    jump = replace(recover(members, BEN, at=FOUNDER), epoch=5)
    entry = put(members, said(members, CARA, jump), voters=())
    assert refusal(members, entry) == "another epoch"


# --- what a member may do to the chain ----------------------------------------------------


def test_member_changes_its_own_name_so_often_a_day() -> None:
    members = team()
    for number in range(MAX_OWN_CHANGES):
        members = after(members, BEN, Rename(BEN.public_key, f"ben-{number}"))
    assert denied(members, BEN, Rename(BEN.public_key, "again")) == "too many changes"
    assert after(members, CARA, Rename(BEN.public_key, "again")) is not members
    late = members.hlc + MAX_AGE_S * SECOND
    change = said(members, BEN, Rename(BEN.public_key, "next day"), hlc=late)
    members = members.apply(put(members, change, hlc=late), CHECK)
    assert members.members[BEN.public_key].name == "next day"


def test_another_key_starts_no_other_count() -> None:
    members = team()
    for number in range(MAX_OWN_CHANGES - 1):
        members = after(members, BEN, Rename(BEN.public_key, f"ben-{number}"))
    statement = rotate_statement(members.cluster_id, BEN.public_key, DAN.public_key)
    members = after(members, BEN, Rotate(DAN.public_key, DAN.sign(statement)))
    assert denied(members, DAN, Rename(DAN.public_key, "again")) == "too many changes"


def test_name_that_it_has_already_is_refused() -> None:
    members = after(team(), BEN, Rename(BEN.public_key, "ben"))
    assert denied(members, BEN, Rename(BEN.public_key, "ben")) == "same name"
    assert denied(members, CARA, Rename(None, "team")) == "same name"


def test_recent_changes_are_known_for_their_time_and_shared() -> None:
    ids = [number.to_bytes(4) for number in range(1000)]
    recent = RecentChanges()
    for number, one in enumerate(ids):
        recent = recent.plus(one, number + 1, horizon=number - 100)
    assert [one in recent for one in ids] == [number >= 899 for number in range(1000)]
    after_it = recent.plus(b"more", 1001, horizon=0)
    assert after_it.chunks[0] is recent.chunks[0]
    assert b"more" not in recent
