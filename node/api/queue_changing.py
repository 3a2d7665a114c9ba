"""What somebody wants of a build, or of the queue: done here, or by the node that can do it.

Who drives a build decides about it, so the end of one is asked for there: only that node knows all
those who asked for it. All else is the coordinator's.
"""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.declared import caller_of
from buildnet.node.api.sending_on import send_on, was_sent_on
from buildnet.node.auth.caller import Caller, CallerKind
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.queue_access import AnsweredElsewhereError, queue_of
from buildnet.node.running import RunningBuild
from buildnet.node.service import NodeService
from buildnet.node.sharing.queue_asking import QueueUnknownError
from buildnet.node.sharing.queue_desk import Wisher


async def change_queue(
    service: NodeService,
    request: Request,
    what: str,
    build: str,
    *,
    actor: str = "local",
    reason: str = "",
    value: int = 0,
) -> dict[str, Any] | Response:
    """Do something with a build, or (empty) with the queue; see
    :meth:`~buildnet.node.queue_access.QueueAccess.change`. ``actor``: who asks, on the socket.

    Raises:
        BuildNetError: it can't be done, or who asks may not.
    """
    asking, queue = caller_of(request), queue_of(service)
    if what == "cancel" and (elsewhere := await _driver_s(service, request, build)) is not None:
        return elsewhere
    try:
        return await queue.change(
            what,
            build,
            value,
            actor=asking.name(actor),
            reason=reason,
            wisher=None if asking.is_owner else _wisher(service, asking),
        )
    except AnsweredElsewhereError:
        view = service.pool.view()
        member = None if view.office is None else view.member(view.office.coordinator)
        if member is None:
            raise QueueUnknownError(
                "nobody coordinates now", hint="ask again in some seconds"
            ) from None
        return await send_on(service.access.forwarding, request, member.key, member.name)


def cancel_here(build: RunningBuild, asking: Caller, asker: int | None) -> dict[str, Any]:
    """End a build that this node drives, for one asker, else for who asks; for all of them if that
    is an admin, or the owner of this node.

    Raises:
        NotAllowedError: they did not ask for it, or their key is for others.
    """
    asking.require_reach(build.workspace.name)
    is_for_all = asking.is_owner or asking.rights is Rights.ADMIN
    if not (is_for_all or build.is_asked_by(asking.actor)):
        asking.require_touch(build.actor, "this build")
    if asker is not None and not is_for_all and len(build.askers):
        _require_own(build, asking, asker)
    by = asking.actor
    if asking.kind is CallerKind.OWNER and asker is not None:
        by = build.askers.actor_of(asker) or by
    ends = build.drop(None if is_for_all else asking.actor, asker, by=by)
    return {"success": True, "build_id": build.id, "goes_on": not ends}


def _require_own(build: RunningBuild, asking: Caller, asker: int) -> None:
    if not build.askers.is_of(asker, asking.actor):
        raise NotAllowedError(
            f"it was not {asking.actor} who asked for this build under the number {asker}",
            hint="leave the number away: it ends for you, and goes on for others",
        )


def _wisher(service: NodeService, asking: Caller) -> Wisher:
    nodes = None if asking.nodes is None else asking.nodes | {service.key.node_id}
    return Wisher(
        asking.rights is Rights.ADMIN,
        actor=asking.actor,
        workspaces=asking.workspaces,
        nodes=nodes,
    )


async def _driver_s(service: NodeService, request: Request, build: str) -> Response | None:
    """Return the answer of another node that drives a build; None: it is of this one, it is not
    known whose it is, or that one can't be asked."""
    is_here = service.builder.find(build) is not None
    if is_here or was_sent_on(request) or caller_of(request).kind is not CallerKind.KEY:
        return None
    driver = await queue_of(service).driver_of(build)
    member = None if driver is None else service.pool.view().member(driver)
    forwarding = service.access.forwarding
    if member is None or not forwarding.reaches(member.key):
        return None
    return await send_on(forwarding, request, member.key, member.name)
