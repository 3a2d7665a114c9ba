"""Who belongs to the cluster."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from buildnet.mesh.members.member_list import Rights, Role
from buildnet.node.api.answers.answer import Answer, Cluster, NodeDone, Page, Success


class JoinedCluster(Success):
    """The cluster that this node belongs to now; ``members``: how many, this one included."""

    cluster: Cluster
    node_id: str
    members: int
    already: bool


class LeftCluster(Success):
    """The cluster of its own that this node is now."""

    cluster: Cluster


class Candidates(Page):
    """Addresses of nodes on the local network that are no members."""

    candidates: list[str]


class ClusterMember(Answer):
    """A member, or who was one: ``status`` says how that ended; ``successor``: its new key."""

    id: str
    name: str
    key: str
    status: str
    role: str
    coordinator: bool
    rights: str
    priority: int
    voter: bool
    this_node: bool
    addresses: list[str]
    successor: str | None = None


class ClusterMembers(Page):
    """The signed member list; ``former``: ids of those that were members."""

    cluster: Cluster
    version: int
    epoch: int
    members: list[ClusterMember]
    former: list[str]
    problem: str | None


class NewInvitation(Answer):
    """An invitation that was made; ``token`` is a secret."""

    id: str
    token: str
    command: str
    expires_at: str
    uses: int
    role: Role
    rights: Rights
    warning: str | None


class OpenInvitation(Answer):
    """An invitation that still lets somebody in."""

    id: str
    made_by: str
    uses_left: int
    expires_at: str
    role: Role
    rights: Rights


class OpenInvitations(Page):
    """Those that there are."""

    invitations: list[OpenInvitation]


class WithdrawnInvitation(Success):
    """One that lets nobody in any more."""

    id: str


class JoinRequest(Answer):
    """Who asks to be admitted; ``code``: to be compared with what they see."""

    id: str
    node_id: str
    name: str
    role: Role
    code: str
    remote: Annotated[str, Field(alias="from")]
    asked_node: str
    asked_at: str
    expires_at: str


class JoinRequests(Page):
    """Those that wait."""

    requests: list[JoinRequest]


class DecidedRequest(Success, JoinRequest):
    """One that was decided on."""


class MemberPriority(NodeDone):
    """How soon a member is to coordinate."""

    priority: int


class MemberRights(NodeDone):
    """What a member's owner may do."""

    rights: Rights


class RevokedMember(NodeDone):
    """A member whose key was revoked; ``final``: it can't be undone any more."""

    final: bool


class RotatedKey(Success):
    """This node's new id."""

    former_node_id: str
    node_id: str


class Recovered(Success):
    """Who decides from now on."""

    epoch: int
    voters: list[str]
    voter_ids: list[str]
