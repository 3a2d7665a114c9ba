"""Changes of the member list as entries of the ledger: which type, about whom, in which words.

The member list is agreed on by the mesh; the quorum coordinator records each version that is final.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.ledger.membership import MEMBER_TYPES, recording
from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.identity import node_id_of
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
)
from buildnet.mesh.members.entry import Entry as MemberEntry
from buildnet.mesh.members.genesis import Genesis
from buildnet.mesh.members.member import Member
from buildnet.mesh.members.member_list import MemberList


@dataclass(frozen=True, slots=True)
class Told:
    """What is told of a change. ``what``: the type without ``member.``; ``entity``: what it is
    about; ``words``: for people; ``reason``: as its author gave it; ``about``: the key of the
    member that it is about, None if it is about none."""

    what: str
    entity: str
    words: str
    about: bytes | None = None
    reason: str = ""


def member_draft(entry: MemberEntry, members: MemberList, epoch: int = 0) -> EntryDraft:
    """Return the entry that records a version of the member list. ``members``: the list with that
    version in it, or a later one, which knows the names; ``epoch``: recoveries up to it.

    Its request is the version's hash, so one node records it once.
    """
    told = _told(entry, members)
    data: dict[str, Any] = {**recording(entry, epoch), "change": told.words}
    member = None if told.about is None else _member(told.about, members)
    if member is not None:
        data["member"] = {
            "key": member.key.hex(),
            "name": member.name,
            "role": member.role.value,
            "rights": member.rights.value,
        }
    return EntryDraft(
        MEMBER_TYPES + told.what,
        _actor(entry.change.author, members),
        reason=told.reason,
        entity=told.entity,
        request=entry.hash,
        data=data,
    )


def founding_draft(genesis: Genesis) -> EntryDraft:
    """Return the entry that records how the cluster began, before the first version."""
    cluster = genesis.cluster_id
    return EntryDraft(
        "cluster.founded",
        Actor(node_id_of(genesis.founder), genesis.founder_name, ActorKind.NODE.value),
        entity=f"cluster:{cluster.hex()[:16]}",
        request=cluster,
        data={"name": genesis.name, "genesis": base64.b64encode(genesis.encode()).decode()},
    )


def _actor(author: bytes, members: MemberList) -> Actor:
    if author == members.genesis.cluster_key:
        return Actor(node_id_of(author), "the cluster key", ActorKind.SYSTEM.value)
    member = _member(author, members)
    name = "" if member is None else member.name
    return Actor(node_id_of(author), name, ActorKind.NODE.value)


def _told(entry: MemberEntry, members: MemberList) -> Told:
    author, change = entry.change.author, entry.change.what

    def of(key: bytes, what: str, words: str, reason: str = "") -> Told:
        return Told(what, f"node:{node_id_of(key)}", words, key, reason)

    def name(key: bytes) -> str:
        member = _member(key, members)
        return node_id_of(key) if member is None else f"{member.name} ({node_id_of(key)})"

    match change:
        case Invite(key=key, uses=uses, role=role, rights=rights, expires=expires):
            nodes = "one node" if uses == 1 else f"up to {uses} nodes"
            words = f"{nodes} may join as {role}, with the rights {rights}, {_until(expires)}"
            return Told("invitation", f"invitation:{node_id_of(key)}", words)
        case CloseInvitation(key=key):
            words = f"nobody joins by the invitation {node_id_of(key)} any more"
            return Told("invitation", f"invitation:{node_id_of(key)}", words)
        case Join(name=called, role=role, invitation=invitation):
            words = (
                f"{called} ({node_id_of(author)}) joined as {role}, "
                f"by the invitation {node_id_of(invitation)}"
            )
            return of(author, "admitted", words)
        case Admit(key=key, name=called, role=role, rights=rights):
            words = f"{called} ({node_id_of(key)}) was let in as {role}, with the rights {rights}"
            return of(key, "admitted", words)
        case Leave():
            return of(author, "left", f"{name(author)} left")
        case Remove(key=key):
            return of(key, "removed", f"{name(key)} is no member any more")
        case Revoke(key=key, reason=reason):
            words = f"nothing of {name(key)} is accepted any more"
            return of(key, "revoked", words, reason)
        case Rotate(new=new):
            return of(new, "rotated", f"{name(author)} goes on as {node_id_of(new)}")
        case SetPriority(key=key, priority=priority):
            return of(key, "priority", f"{name(key)} has the priority {priority}")
        case SetRights(key=key, rights=rights):
            return of(key, "rights", f"the owner of {name(key)} has the rights {rights}")
        case SetVoters(added=added, removed=removed):
            voter = removed if added is None else added
            assert voter is not None  # the record holds one of them
            words = f"{name(voter)} {'votes no more' if added is None else 'votes now'}"
            return of(voter, "voters", words)
        case Rename(key=key, name=called):
            if key is None:
                words = f"the cluster is called {called}"
                return Told("renamed", _cluster(members), words)
            return of(key, "renamed", f"the node {node_id_of(key)} is called {called}")
        case Recover(epoch=epoch, sequencer=sequencer, voters=voters):
            who = ", ".join(name(key) for key in voters)
            words = f"epoch {epoch} began at {name(sequencer)}; these vote: {who}"
            return Told("recovered", _cluster(members), words, sequencer)
    return _unknown(change)


def _unknown(change: ChangeBody) -> Told:
    raise TypeError(f"no words for {type(change).__name__}")


def _until(clock: int) -> str:
    at = datetime.fromtimestamp(milliseconds_of(clock) / 1000, UTC)
    return f"until {at:%Y-%m-%d %H:%M} UTC"


def _cluster(members: MemberList) -> str:
    return f"cluster:{members.cluster_id.hex()[:16]}"


def _member(key: bytes, members: MemberList) -> Member | None:
    member = members.members.get(key)
    if member is None and (former := members.former.get(key)) is not None:
        return former.member
    return member
