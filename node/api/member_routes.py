"""Who belongs to the cluster: invite, join, leave, admit, and what admins do about members."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from buildnet.mesh.clock import milliseconds_of
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import Invitation, Member, Rights, Role
from buildnet.mesh.service.service import Joined
from buildnet.mesh.service.view import FormerView, MemberView, MeshView, RequestView
from buildnet.node.api.answers.answer import (
    NodeDone,
)
from buildnet.node.api.answers.members import (
    Candidates,
    ClusterMembers,
    DecidedRequest,
    JoinedCluster,
    JoinRequests,
    LeftCluster,
    MemberPriority,
    MemberRights,
    NewInvitation,
    OpenInvitations,
    Recovered,
    RevokedMember,
    RotatedKey,
    WithdrawnInvitation,
)
from buildnet.node.api.declared import declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.api.work_response import Event, Tell, WorkResponse
from buildnet.node.auth.actions import Action
from buildnet.node.joining import join as join_cluster
from buildnet.node.service import NodeService
from buildnet.pool.membership import own_problem
from buildnet.pool.view import NodeStatus


class Body(BaseModel):
    """Base of the bodies here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class JoinBody(Body):
    """Whom to join: the address of any member, or those in the token; without a token an admin must
    approve."""

    address: str | None = Field(default=None, min_length=1, max_length=512)
    token: str | None = Field(default=None, min_length=1, max_length=4096)


class LeaveBody(Body):
    """``force``: leave even if nobody can be told."""

    force: bool = False


class InviteBody(Body):
    """What who joins with the token gets, for how many nodes it works (1 to 1000), and for how many
    seconds (1 second to 30 days)."""

    uses: int = 1
    valid_s: float = 3600
    role: Role = Role.WORKER
    rights: Rights = Rights.BUILDER


class ApproveBody(Body):
    """What the owner of the admitted node may do."""

    rights: Rights = Rights.BUILDER


class NodeBody(Body):
    """A member by name, id or the unique beginning of an id."""

    node: str = Field(min_length=1, max_length=128)


class PromoteBody(NodeBody):
    """Who is to coordinate; ``keep``: also while one that is more entitled is there."""

    keep: bool = False


class RevokeBody(NodeBody):
    """Whose key to revoke, and why."""

    reason: str = Field(default="", max_length=200)


class PriorityBody(NodeBody):
    """Higher priorities coordinate sooner; 0 is usual."""

    priority: int = Field(ge=-1000, le=1000)


class RightsBody(NodeBody):
    """What a member's owner may do from now on."""

    rights: Rights


class RecoverBody(Body):
    """The members that decide from now on."""

    voters: Annotated[tuple[str, ...], Field(min_length=1, max_length=7)]


def member_routes(service: NodeService) -> APIRouter:
    """Return the routes of membership."""
    router = declared_router(tags=["members"])

    @router.post("/api/pool/join")
    @does(Action.OWN_NODE, answer=JoinedCluster)
    async def join(body: JoinBody, request: Request) -> Any:
        """Join the cluster of a peer; answers once that is done. With `Accept:
        application/x-ndjson` the answer is a line for each step: `pending` with the short
        authentication string, then `joined` or `error`; hanging up withdraws the request."""

        async def work(tell: Tell) -> Event:
            def pending(code: str) -> None:
                tell({"type": "pending", "code": code, "node_id": service.key.node_id})

            joined = await join_cluster(service, body.address, body.token, pending)
            return {"type": "joined", **_joined(service, joined)}

        if "application/x-ndjson" in request.headers.get("accept", ""):
            return WorkResponse(work)
        return _joined(service, await join_cluster(service, body.address, body.token))

    @router.post("/api/pool/leave")
    @does(Action.OWN_NODE, answer=LeftCluster)
    async def leave(body: LeaveBody) -> dict[str, Any]:
        """Leave the cluster; the node is a cluster of its own afterwards."""
        await service.leave(force=body.force)
        return {"success": True, "cluster": service.cluster}

    @router.get("/api/node/candidates")
    @does(Action.VIEW_RESOURCES, answer=Candidates)
    async def candidates(paged: Paged) -> dict[str, Any]:
        """Nodes that announce themselves on the local network and are no members."""
        found, following = paged.part(service.mesh.candidates(), str)
        return {"candidates": list(found), "next": following}

    @router.get("/api/node/members")
    @does(Action.VIEW_RESOURCES, answer=ClusterMembers)
    async def members(paged: Paged, all: bool = False) -> dict[str, Any]:
        """The signed member list: who belongs to the cluster with which role and rights, and what
        each is doing; with `all` also who left, was removed, revoked or has a new key."""
        picture = await service.pool.picture()
        view = picture.view
        everybody = [
            *(_member(view, one, picture.nodes[one.key].status) for one in view.members),
            *(_former(one) for one in view.former if all),
        ]
        found, following = paged.part(everybody, lambda one: str(one["key"]))
        return {
            "cluster": service.cluster,
            "version": view.member_version,
            "epoch": view.epoch,
            "members": found,
            "next": following,
            "former": sorted(former.node_id for former in view.former),
            "problem": own_problem(view),
        }

    @router.post("/api/node/invite")
    @does(Action.MANAGE_NODES, answer=NewInvitation, by_admin=True, tells_secret=True)
    async def invite(body: InviteBody) -> dict[str, Any]:
        """Make a token with which nodes can join."""
        made = await service.mesh.invite(
            valid_s=body.valid_s, uses=body.uses, role=body.role, rights=body.rights
        )
        peer = service.address.removeprefix("http://")
        return {
            "id": made.id,
            "token": made.token,
            "command": f"buildnet node join {peer} --token {made.token}",
            "expires_at": _iso(made.expires),
            "uses": made.uses,
            "role": made.role,
            "rights": made.rights,
            "warning": await service.way_in_problem(),
        }

    @router.get("/api/node/invitations")
    @does(Action.MANAGE_NODES, answer=OpenInvitations)
    async def invitations(paged: Paged) -> dict[str, Any]:
        """The invitations that still let somebody in."""
        view = service.pool.view()
        found, following = paged.part(service.mesh.invitations(), lambda one: one.id)
        return {"invitations": [_invitation(view, one) for one in found], "next": following}

    @router.delete("/api/node/invitations/{invitation_id}")
    @does(Action.MANAGE_NODES, answer=WithdrawnInvitation, by_admin=True)
    async def withdraw(invitation_id: str) -> dict[str, Any]:
        """Let nobody else in by an invitation."""
        withdrawn = await service.mesh.withdraw(invitation_id)
        return {"success": True, "id": withdrawn.id}

    @router.get("/api/node/requests")
    @does(Action.MANAGE_NODES, answer=JoinRequests)
    async def requests(paged: Paged) -> dict[str, Any]:
        """Who asks to be admitted, on whatever node they asked."""
        view = service.pool.view()
        found, following = paged.part(service.mesh.requests(), lambda one: one.id)
        return {"requests": [_request(view, one) for one in found], "next": following}

    @router.post("/api/node/requests/{request_id}/approve")
    @does(Action.MANAGE_NODES, answer=DecidedRequest, by_admin=True)
    async def approve(request_id: str, body: ApproveBody) -> dict[str, Any]:
        """Admit who asked. Compare the short authentication strings first."""
        approved = await service.mesh.approve(request_id, rights=body.rights)
        return {"success": True, **_request(service.pool.view(), approved)}

    @router.post("/api/node/requests/{request_id}/reject")
    @does(Action.MANAGE_NODES, answer=DecidedRequest, by_admin=True)
    async def reject(request_id: str) -> dict[str, Any]:
        """Turn down who asked."""
        rejected = await service.mesh.reject(request_id)
        return {"success": True, **_request(service.pool.view(), rejected)}

    @router.post("/api/node/promote")
    @does(Action.MANAGE_NODES, answer=NodeDone, by_admin=True)
    async def promote(body: PromoteBody) -> dict[str, Any]:
        """Hand the office of coordinator to a member."""
        return _done(await service.mesh.promote(body.node, keep=body.keep))

    @router.post("/api/node/priority")
    @does(Action.MANAGE_NODES, answer=MemberPriority, by_admin=True)
    async def priority(body: PriorityBody) -> dict[str, Any]:
        """Set how soon a member is to coordinate."""
        member = await service.mesh.set_priority(body.node, body.priority)
        return {**_done(member), "priority": body.priority}

    @router.post("/api/node/rights")
    @does(Action.MANAGE_NODES, answer=MemberRights, by_admin=True)
    async def rights(body: RightsBody) -> dict[str, Any]:
        """Set what a member's owner may do."""
        member = await service.mesh.set_rights(body.node, body.rights)
        return {**_done(member), "rights": body.rights}

    @router.post("/api/node/revoke")
    @does(Action.MANAGE_NODES, answer=RevokedMember, by_admin=True)
    async def revoke(body: RevokeBody) -> dict[str, Any]:
        """Never accept anything of a node's key again; its links are cut at once."""
        member, final = await service.mesh.revoke(body.node, reason=body.reason)
        return {**_done(member), "final": final}

    @router.post("/api/node/remove")
    @does(Action.MANAGE_NODES, answer=NodeDone, by_admin=True)
    async def remove(body: NodeBody) -> dict[str, Any]:
        """End the membership of a node that is gone for good; it may join again."""
        return _done(await service.mesh.remove(body.node))

    @router.post("/api/node/rotate-key")
    @does(Action.OWN_NODE, answer=RotatedKey)
    async def rotate_key() -> dict[str, Any]:
        """Give this node a new key; the old one signs it over and counts no more."""
        before = service.key.node_id
        await service.rotate_key()
        return {"success": True, "former_node_id": before, "node_id": service.key.node_id}

    @router.post("/api/node/recover")
    @does(Action.OWN_NODE, answer=Recovered)
    async def recover(body: RecoverBody) -> dict[str, Any]:
        """Let other voters decide where the majority of the old ones is gone for good."""
        voters = await service.mesh.recover(body.voters)
        return {
            "success": True,
            "epoch": service.pool.view().epoch,
            "voters": [voter.name for voter in voters],
            "voter_ids": [voter.node_id for voter in voters],
        }

    return router


def _joined(service: NodeService, joined: Joined) -> dict[str, Any]:
    return {
        "success": True,
        "cluster": {"id": joined.cluster_id.hex(), "name": joined.cluster_name},
        "node_id": service.key.node_id,
        "members": joined.members,
        "already": joined.already,
    }


def _done(member: Member) -> dict[str, Any]:
    return {"success": True, "node_id": member.node_id, "name": member.name}


def _invitation(view: MeshView, invitation: Invitation) -> dict[str, Any]:
    author = view.member(invitation.author)
    return {
        "id": invitation.id,
        "made_by": author.name if author else node_id_of(invitation.author),
        "uses_left": invitation.uses_left,
        "expires_at": _iso(milliseconds_of(invitation.expires) / 1000),
        "role": invitation.role,
        "rights": invitation.rights,
    }


def _member(view: MeshView, member: MemberView, status: NodeStatus) -> dict[str, Any]:
    return {
        "id": member.node_id,
        "name": member.name,
        "key": member.key.hex(),
        "status": status,
        "role": member.role,
        "coordinator": view.office is not None and view.office.coordinator == member.key,
        "rights": member.rights,
        "priority": member.priority,
        "voter": member.voter,
        "this_node": member.key == view.me,
        "addresses": list(member.addresses),
    }


def _former(former: FormerView) -> dict[str, Any]:
    return {
        "id": former.node_id,
        "name": former.name,
        "key": former.key.hex(),
        "status": former.ending,
        "role": former.role,
        "coordinator": False,
        "rights": "none",
        "priority": 0,
        "voter": False,
        "this_node": False,
        "addresses": [],
        "successor": former.successor,
    }


def _request(view: MeshView, request: RequestView) -> dict[str, Any]:
    responder = view.member(request.responder)
    return {
        "id": request.id,
        "node_id": request.node_id,
        "name": request.name,
        "role": request.role,
        "code": request.code,
        "from": request.remote,
        "asked_node": responder.name if responder else request.responder[:8].hex(),
        "asked_at": _iso(request.since),
        "expires_at": _iso(request.expires),
    }


def _iso(unix_s: float) -> str:
    moment = datetime.fromtimestamp(unix_s, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
