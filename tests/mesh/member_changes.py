"""A small team and short words for changes of its member list."""

from __future__ import annotations

import pytest
from tests.mesh.member_network import CLUSTER, CheapSigner

from buildnet.mesh.members.changes import (
    Admit,
    Change,
    ChangeBody,
    Invite,
    Join,
    Recover,
    SetVoters,
    join_statement,
    sign_change,
)
from buildnet.mesh.members.entry import Ballot, Entry, Vote, ballot_statement, sign_entry
from buildnet.mesh.members.member_list import (
    MemberList,
    Refused,
    Rights,
    Role,
)
from buildnet.mesh.testing import MIDNIGHT_MS, CheapSignatures, key_number

SECOND = 1000 << 16
START = MIDNIGHT_MS << 16
CHECK = CheapSignatures(CLUSTER.public_key)
FOUNDER, BEN, CARA, DAN, EVE = (CheapSigner(key_number(number).public_key) for number in range(5))
TOKEN = CheapSigner(key_number(99).public_key)


def beginning(cluster: CheapSigner = CLUSTER, name: str = "team") -> MemberList:
    return MemberList.found(
        cluster, FOUNDER, name=name, founder_name="a", created=START, nonce=bytes(16)
    )


def said(
    members: MemberList, who: CheapSigner, what: ChangeBody, *, hlc: int | None = None
) -> Change:
    when = members.hlc + SECOND if hlc is None else hlc
    return sign_change(
        what, cluster_id=members.cluster_id, author=who.public_key, hlc=when, sign=who.sign
    )


def put(
    members: MemberList,
    change: Change,
    *,
    by: CheapSigner = FOUNDER,
    hlc: int | None = None,
    ballot: Ballot | None = None,
    voters: tuple[CheapSigner, ...] | None = None,
) -> Entry:
    """The change as the next entry, sequenced by ``by`` with votes of ``voters`` if need be."""
    ballot = ballot or (max(1, members.ballot[0]), by.public_key)
    votes: tuple[Vote, ...] = ()
    if ballot != members.ballot or voters is not None:
        statement = ballot_statement(members.cluster_id, members.lineage, ballot)
        keys = members.voters if voters is None else [one.public_key for one in voters]
        votes = tuple(Vote(key, CheapSigner(key).sign(statement)) for key in keys)
    return sign_entry(
        change,
        cluster_id=members.cluster_id,
        version=members.version + 1,
        previous=members.head,
        ballot=ballot,
        hlc=members.hlc + SECOND if hlc is None else hlc,
        votes=votes,
        sign=by.sign,
    )


def after(members: MemberList, who: CheapSigner, what: ChangeBody) -> MemberList:
    return members.apply(put(members, said(members, who, what)), CHECK)


def refusal(members: MemberList, entry: Entry) -> str:
    return _refused(members, entry).reason


def denied(members: MemberList, who: CheapSigner, what: ChangeBody) -> str:
    """Why it is refused; whoever asked for it, but a coordinator by itself, is told a remedy."""
    error = _refused(members, put(members, said(members, who, what)))
    assert error.hint or isinstance(what, SetVoters), error.message
    return error.reason


def _refused(members: MemberList, entry: Entry) -> Refused:
    with pytest.raises(Refused) as caught:
        members.apply(entry, CHECK)
    return caught.value


def admit(
    who: CheapSigner, rights: Rights = Rights.BUILDER, role: Role = Role.WORKER
) -> ChangeBody:
    return Admit(who.public_key, "node", role.value, rights.value)


def team() -> MemberList:
    """The founder, Ben (builder) and Cara (admin)."""
    members = after(beginning(), FOUNDER, admit(BEN))
    return after(members, FOUNDER, admit(CARA, Rights.ADMIN))


def invitation(
    uses: int = 1,
    *,
    role: Role = Role.WORKER,
    rights: Rights = Rights.BUILDER,
    expires: int = START + 3600 * SECOND,
) -> Invite:
    return Invite(TOKEN.public_key, expires, uses, role.value, rights.value)


def join(
    members: MemberList, who: CheapSigner, *, token: CheapSigner = TOKEN, role: Role = Role.WORKER
) -> Join:
    proof = token.sign(join_statement(members.cluster_id, who.public_key, "new", role.value))
    return Join("new", role.value, TOKEN.public_key, proof)


def recover(members: MemberList, *voters: CheapSigner, at: CheapSigner) -> Recover:
    keys = tuple(sorted(voter.public_key for voter in voters))
    return Recover(members.epoch + 1, members.head, at.public_key, keys)
