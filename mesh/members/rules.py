"""Who may change what of the member list. One function a kind of change; each gives the new list
or refuses.

The author's signature has been checked before; ``entry`` says when (its clock) and by whom the
change was put in its place. Nothing here depends on anything but the list and the entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from buildnet.mesh.identity import node_id_of
from buildnet.mesh.local import Signatures
from buildnet.mesh.members.changes import (
    Admit,
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
    join_statement,
    rotate_statement,
)
from buildnet.mesh.members.entry import Entry
from buildnet.mesh.members.genesis import Rights, Role
from buildnet.mesh.members.member import (
    MAX_FORMER,
    MAX_INVITATIONS,
    MAX_MEMBERS,
    MAX_OWN_CHANGES,
    MAX_VOTERS,
    Ending,
    Former,
    Invitation,
    Member,
    Refused,
    Revocation,
)
from buildnet.mesh.members.voters import may_lose_voter

if TYPE_CHECKING:
    from buildnet.mesh.members.member_list import MemberList

_SHOW_MEMBERS = "buildnet node list shows the members"
_NEW_KEY = "give this node a new key: stop it, move node.key away, start it and join again"
_RECOVER_AGAIN = "the cluster changed meanwhile: look at buildnet pool health, and recover again"

_A_DAY = 24 * 3600 * 1000 << 16  # of the hybrid clock

Rule = Callable[["MemberList", Any, Entry, "Signatures | None"], "MemberList"]


def perform(members: MemberList, entry: Entry, signatures: Signatures | None) -> MemberList:
    """Return the list after the entry's change. ``signatures``: None where all were checked before.

    Raises:
        Refused: the author may not, or it can't be done.
    """
    what = entry.change.what
    return _RULES[type(what)](members, what, entry, signatures)


def _invite(
    members: MemberList, what: Invite, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    _check_new_key(members, what.key)
    if what.expires <= entry.hlc:
        raise Refused(
            "already expired",
            "the invitation would have expired already",
            hint="give it longer: buildnet node invite --expires 1h; check this host's clock",
        )
    kept = dict(members.invitations)
    if len(kept) >= MAX_INVITATIONS:
        kept = {
            key: one for key, one in kept.items() if one.uses_left > 0 and one.expires > entry.hlc
        }
    if len(kept) >= MAX_INVITATIONS:
        raise Refused(
            "too many invitations",
            f"{MAX_INVITATIONS} invitations are open",
            hint="wait until some expire, or close some",
        )
    kept[what.key] = Invitation(
        what.key,
        entry.change.author,
        what.expires,
        what.uses,
        Role(what.role),
        Rights(what.rights),
    )
    return replace(members, invitations=kept)


def _close_invitation(
    members: MemberList, what: CloseInvitation, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    if what.key not in members.invitations:
        raise Refused(
            "unknown invitation",
            "there is no such invitation",
            hint="it was withdrawn already, or was never made in this cluster",
        )
    kept = {key: one for key, one in members.invitations.items() if key != what.key}
    return replace(members, invitations=kept)


def _join(
    members: MemberList, what: Join, entry: Entry, signatures: Signatures | None
) -> MemberList:
    joiner = entry.change.author
    invitation = members.invitations.get(what.invitation)
    ask_again = "ask for a new one: buildnet node invite"
    if invitation is None:
        raise Refused("unknown invitation", "the token is not known here", hint=ask_again)
    said = join_statement(members.cluster_id, joiner, what.name, what.role)
    if signatures is not None and not signatures.verify(what.invitation, said, what.proof):
        raise Refused("wrong token", "the token's proof is wrong", hint=ask_again)
    if not members.is_admin(invitation.author):
        raise Refused("inviter no admin", "who made the token is no admin now", hint=ask_again)
    if invitation.expires <= entry.hlc:
        raise Refused("token expired", "the token has expired", hint=ask_again)
    if invitation.uses_left < 1:
        raise Refused("token used up", "the token was used already", hint=ask_again)
    if invitation.role is Role.OBSERVER and what.role != Role.OBSERVER:
        raise Refused(
            "observers only", "the token admits observers only", hint="join with --role observer"
        )
    used = replace(invitation, uses_left=invitation.uses_left - 1)
    members = replace(members, invitations={**members.invitations, used.key: used})
    return _admitted(members, joiner, what.name, what.role, invitation.rights, entry)


def _admit(
    members: MemberList, what: Admit, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    return _admitted(members, what.key, what.name, what.role, Rights(what.rights), entry)


def _leave(
    members: MemberList, what: Leave, entry: Entry, signatures: Signatures | None
) -> MemberList:
    author = _check_member(members, entry.change.author)
    _check_admin_left(members, author)
    return _ended(members, author, Ending.LEFT, entry)


def _remove(
    members: MemberList, what: Remove, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    member = _check_member(members, what.key)
    _check_admin_left(members, member)
    return _ended(members, member, Ending.REMOVED, entry)


def _revoke(
    members: MemberList, what: Revoke, entry: Entry, signatures: Signatures | None
) -> MemberList:
    check_revocation(members, entry.change.author, what.key)
    revoked = dict(members.revoked)
    # Whoever stole the key may have rotated it before the revocation got its place.
    for key in members.succession(what.key):
        revoked[key] = Revocation(key, entry.change.author, what.reason, entry.version)
        if key in members.members:
            members = _ended(members, members.members[key], Ending.REVOKED, entry)
        else:
            was = replace(members.former[key], ending=Ending.REVOKED)
            members = replace(members, former={**members.former, key: was})
    return replace(members, revoked=revoked)


def check_revocation(members: MemberList, author: bytes, key: bytes) -> None:
    """Refuse a revocation that the list never takes. (That of the last voter has to wait.)

    Raises:
        Refused: its author may not, or the key can't be revoked.
    """
    _check_is_admin(members, author)
    if key in members.revoked:
        raise Refused(
            "already revoked",
            "the key is revoked already",
            hint="nothing is left to do: no node accepts anything of it any more",
        )
    if key not in members.members and key not in members.former:
        raise Refused("unknown member", "no such node is or was a member", hint=_SHOW_MEMBERS)
    succession = members.succession(key)
    if author in succession:
        raise Refused(
            "own key",
            "a node does not revoke its own key",
            hint="if it is lost, revoke it on another admin's node; to end this node's "
            "membership: buildnet node leave",
        )
    if succession[-1] in members.members:
        _check_admin_left(members, members.members[succession[-1]])


def _rotate(
    members: MemberList, what: Rotate, entry: Entry, signatures: Signatures | None
) -> MemberList:
    old = entry.change.author
    member = _counted(_check_member(members, old), entry)
    _check_new_key(members, what.new)
    said = rotate_statement(members.cluster_id, old, what.new)
    if signatures is not None and not signatures.verify(what.new, said, what.proof):
        raise Refused(
            "new key not proven",
            "the new key did not sign its rotation",
            hint="rotate again: buildnet node rotate-key",
        )
    # A sole voter goes on as one; of several it is taken out and added again, since voters change
    # one at a time.
    voters = (what.new,) if members.voters == (old,) else _without(members.voters, old)
    invitations = {
        key: replace(one, author=what.new) if one.author == old else one
        for key, one in members.invitations.items()
    }
    return replace(
        members,
        members={
            **{key: one for key, one in members.members.items() if key != old},
            what.new: replace(member, key=what.new),
        },
        voters=voters,
        former={**members.former, old: Former(member, Ending.ROTATED, entry.version, what.new)},
        invitations=invitations,
    )


def _set_priority(
    members: MemberList, what: SetPriority, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    return _with(members, replace(_check_member(members, what.key), priority=what.priority))


def _set_rights(
    members: MemberList, what: SetRights, entry: Entry, signatures: Signatures | None
) -> MemberList:
    _check_admin(members, entry)
    member = _check_member(members, what.key)
    if what.rights != Rights.ADMIN:
        _check_admin_left(members, member)
    return _with(members, replace(member, rights=Rights(what.rights)))


def _set_voters(
    members: MemberList, what: SetVoters, entry: Entry, signatures: Signatures | None
) -> MemberList:
    if entry.change.author != entry.sequencer or not members.stands(entry.sequencer):
        raise Refused("not the coordinator", "only the coordinator changes the voters")
    if what.added is not None:
        if not members.stands(what.added) or what.added in members.voters:
            raise Refused("no new voter", "a voter is a worker that is none yet")
        if len(members.voters) >= MAX_VOTERS:
            raise Refused("too many voters", f"there are {MAX_VOTERS} voters at most")
        return replace(members, voters=tuple(sorted((*members.voters, what.added))))
    assert what.removed is not None  # one of the two, says the record
    if what.removed not in members.voters:
        raise Refused("no voter", "who is taken out is no voter")
    if not may_lose_voter(members, what.removed):
        raise Refused("too few voters", "another voter comes before one more goes")
    return replace(members, voters=_without(members.voters, what.removed))


def _rename(
    members: MemberList, what: Rename, entry: Entry, signatures: Signatures | None
) -> MemberList:
    if what.key is None:
        _check_admin(members, entry)
        _check_new_name(members.cluster_name, what.name)
        return replace(members, cluster_name=what.name)
    member = _check_member(members, what.key)
    if what.key == entry.change.author:
        member = _counted(member, entry)
    else:
        _check_admin(members, entry)
    _check_new_name(member.name, what.name)
    return _with(members, replace(member, name=what.name))


def _recover(
    members: MemberList, what: Recover, entry: Entry, signatures: Signatures | None
) -> MemberList:
    by_cluster_key = entry.change.author == members.genesis.cluster_key
    if not by_cluster_key:
        _check_admin(members, entry)
    if what.epoch != members.epoch + 1:
        raise Refused(
            "another epoch",
            f"the next epoch is {members.epoch + 1}, not {what.epoch}",
            hint=_RECOVER_AGAIN,
        )
    if (what.previous, what.sequencer) != (members.head, entry.sequencer):
        raise Refused(
            "recovers another chain",
            "the recovery was meant for another chain",
            hint=_RECOVER_AGAIN,
        )
    if not all(members.stands(key) for key in what.voters):
        raise Refused(
            "no new voter",
            "a voter is a worker and a member",
            hint="name workers of the cluster, no observers: buildnet node list",
        )
    if by_cluster_key:  # the last admin may be among who is gone
        recovering = _check_member(members, what.sequencer)
        members = _with(members, replace(recovering, rights=Rights.ADMIN))
    return replace(members, epoch=what.epoch, recovery=entry.hash, voters=what.voters)


_RULES: dict[type[ChangeBody], Rule] = {
    Invite: _invite,
    CloseInvitation: _close_invitation,
    Join: _join,
    Admit: _admit,
    Leave: _leave,
    Remove: _remove,
    Revoke: _revoke,
    Rotate: _rotate,
    SetPriority: _set_priority,
    SetRights: _set_rights,
    SetVoters: _set_voters,
    Rename: _rename,
    Recover: _recover,
}


def _check_admin(members: MemberList, entry: Entry) -> None:
    _check_is_admin(members, entry.change.author)


def _check_is_admin(members: MemberList, author: bytes) -> None:
    if not members.is_admin(author):
        raise Refused("no admin", "only an admin may do that", hint="ask an admin of the cluster")


def _counted(member: Member, entry: Entry) -> Member:
    """Return the member with one more change of its own; refuse one too many within a day."""
    if member.rights is Rights.ADMIN:
        return member
    lately = tuple(hlc for hlc in member.own_changes if hlc + _A_DAY > entry.hlc)
    if len(lately) >= MAX_OWN_CHANGES:
        raise Refused(
            "too many changes",
            f"a node changes its own name or key at most {MAX_OWN_CHANGES} times a day",
            hint="wait a day",
        )
    return replace(member, own_changes=(*lately, entry.hlc))


def _check_new_name(old: str, new: str) -> None:
    if old == new:
        raise Refused("same name", "that is its name already", hint="nothing is left to do")


def _check_member(members: MemberList, key: bytes) -> Member:
    if not members.is_member(key):
        raise Refused("unknown member", "no such node is a member", hint=_SHOW_MEMBERS)
    return members.members[key]


def _check_admin_left(members: MemberList, member: Member) -> None:
    """Refuse to take its rights from the last admin."""
    admins = [key for key in members.members if members.is_admin(key)]
    if admins == [member.key]:
        raise Refused(
            "last admin",
            f"{member.name} is the last admin",
            hint="make another member an admin first: buildnet rights set NODE admin",
        )


def check_leaving(members: MemberList, key: bytes) -> None:
    """Refuse that a member leaves, as :class:`Leave` would be, before anybody is told."""
    _check_admin_left(members, _check_member(members, key))


def _check_new_key(members: MemberList, key: bytes) -> None:
    """Refuse a key that stands for something already, or did."""
    if key in members.revoked:
        raise Refused("revoked", "this key was revoked, for ever", hint=_NEW_KEY)
    was = members.former.get(key)
    if was is not None and was.ending is Ending.ROTATED:
        raise Refused("key rotated", "this key was given up for another one", hint=_NEW_KEY)
    if key in members.members:
        raise Refused(
            "already a member",
            "this node is a member already",
            hint="nothing is left to do: buildnet node list shows it",
        )
    if key in members.invitations or key == members.genesis.cluster_key:
        raise Refused("key in use", "this key serves another purpose", hint=_NEW_KEY)
    node_id = node_id_of(key)
    known = (*members.members, *members.former, *members.revoked)
    if any(other != key and node_id_of(other) == node_id for other in known):
        raise Refused(
            "node id in use",
            f"another node has the id {node_id}",
            hint=_NEW_KEY,
        )


def _admitted(
    members: MemberList, key: bytes, name: str, role: str, rights: Rights, entry: Entry
) -> MemberList:
    _check_new_key(members, key)
    if len(members.members) >= MAX_MEMBERS:
        raise Refused(
            "cluster full",
            f"a cluster has {MAX_MEMBERS} members at most",
            hint="remove members that are gone for good: buildnet node remove NODE",
        )
    former = {other: one for other, one in members.former.items() if other != key}
    return _with(
        replace(members, former=former),
        Member(key, name, Role(role), rights, seniority=entry.version),
    )


def _with(members: MemberList, member: Member) -> MemberList:
    return replace(members, members={**members.members, member.key: member})


def _without(voters: tuple[bytes, ...], key: bytes) -> tuple[bytes, ...]:
    left = tuple(voter for voter in voters if voter != key)
    if not left:
        raise Refused(
            "last voter",
            "the last voter can't go",
            hint="let another worker join first; if it is lost, see: buildnet node recover",
        )
    return left


def _ended(members: MemberList, member: Member, ending: Ending, entry: Entry) -> MemberList:
    voters = _without(members.voters, member.key)
    former = {**members.former, member.key: Former(member, ending, entry.version)}
    passing = [
        (one.version, key)
        for key, one in former.items()
        if one.ending in (Ending.LEFT, Ending.REMOVED)
    ]
    for _, key in sorted(passing)[:-MAX_FORMER]:
        del former[key]
    kept = {key: one for key, one in members.members.items() if key != member.key}
    return replace(members, members=kept, voters=voters, former=former)
