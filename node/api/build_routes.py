"""Builds: watch one, cancel it, look at earlier ones."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse

from buildnet.ledger.history_filter import Wanted
from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.answers.builds import (
    BuildReport,
    Builds,
    CancelledBuild,
    ListedStatus,
    RecordedBuild,
)
from buildnet.node.api.blob_text import text_of
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.numbers import MOST_COUNTED
from buildnet.node.api.queue_changing import cancel_here, change_queue
from buildnet.node.api.reach import Reach
from buildnet.node.api.task_log import log_of
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import CallerKind
from buildnet.node.build_lines import last_line, lines_of
from buildnet.node.other_builds import OtherBuild
from buildnet.node.records import Records, listed
from buildnet.node.running import RunningBuild
from buildnet.node.service import NodeService
from buildnet.pool.estimation.accuracy import LATEST, summed_up
from buildnet.pool.workspace import BUILD

NDJSON = "application/x-ndjson"


def build_routes(service: NodeService) -> APIRouter:
    """Return the routes of builds and workspaces."""
    router = declared_router(tags=["builds"])
    builder, history, reach = service.builder, service.history, Reach(service)
    records = Records(builder, history, service.store, service.others)

    @router.get("/api/build/{name}")
    @does(Action.VIEW_BUILDS, answer=BuildReport | RecordedBuild, within=True, of_build=True)
    async def status(name: str, asking: Asking) -> dict[str, Any]:
        """A build of any node by its id or a unique prefix: its report, or how far it is.
        `recorded_on`: the other node that tells of it."""
        found = await reach.find(asking, name)
        if isinstance(found, RunningBuild) and asking.kind is not CallerKind.NODE:
            return found.report()
        return await records.told(found)  # another node keeps what is on record

    @router.get(
        "/api/build/{build_id}/events", response_class=Response, responses=answers_as(NDJSON)
    )
    @does(Action.VIEW_BUILDS, within=True)
    async def events(build_id: str, asking: Asking) -> StreamingResponse:
        """The events of a build of any node from its start on, one JSON a line. Of output the
        latest 128 KiB of each running task come first (``so_far``), then what follows. Of a build
        that is over only the last event is left, with its report. Where the node is lost that the
        events come from, those of the one that goes on follow."""
        build_id = await reach.build(asking, build_id)
        running = builder.find(build_id)
        if running is not None:
            return StreamingResponse(lines_of(running), media_type=NDJSON)
        with suppress(NotFoundError):
            found = await history.build(build_id)
            if found.status != "running":
                return StreamingResponse(iter([last_line(found)]), media_type=NDJSON)
        if service.watching is None:
            raise _none_runs(build_id)
        await service.others.meet(build_id)
        return StreamingResponse(await service.watching.open(build_id), media_type=NDJSON)

    @router.post("/api/build/{build_id}/cancel", response_model=None)
    @does(Action.CANCEL_BUILD, answer=CancelledBuild, within=True)
    async def cancel(
        build_id: str,
        request: Request,
        asking: Asking,
        asker: Annotated[int | None, Query(ge=0, le=MOST_COUNTED)] = None,
    ) -> dict[str, Any] | Response:
        """Ask for a build's end, whichever node drives it; what runs is ended, what is done stays
        in the cache. ``asker``: the number from its first event, of who wants it no more; without
        it, all that who asks has asked for, or for an admin and the owner of that node everybody.
        ``goes_on``: others that asked for the same still want it."""
        running = builder.find(build_id)
        if running is None:
            return await change_queue(service, request, "cancel", build_id)
        return cancel_here(running, asking, asker)

    @router.get(
        "/api/build/{build_id}/log", response_class=Response, responses=answers_as("text/plain")
    )
    @does(Action.VIEW_BUILDS, within=True)
    async def log(build_id: str, package: str, asking: Asking, task: str = BUILD) -> Response:
        """The output of one task of a build of any node, as the command printed it; the task
        ``test 2/3`` is the second shard of ``test``."""
        found = await reach.find(asking, build_id)
        if isinstance(found, OtherBuild):
            packages = (await service.others.record(found)).data["packages"]
            digest, worker = log_of(packages, build_id, package, task)
            await service.others.bring(found, digest, worker)
        else:
            packages = found.packages() if isinstance(found, RunningBuild) else found.packages
            digest, _ = log_of(packages, build_id, package, task)
        return await text_of(service.store, digest)

    @router.get("/api/builds")
    @does(Action.VIEW_BUILDS, answer=Builds, within=True)
    async def builds(
        asking: Asking,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
        cursor: Annotated[str | None, Query(max_length=128)] = None,
        status: ListedStatus | None = None,
        actor: Annotated[str | None, Query(max_length=128)] = None,
        workspace: Annotated[str | None, Query(max_length=256)] = None,
        node: Annotated[str | None, Query(min_length=1, max_length=128)] = None,
        text: Annotated[str | None, Query(max_length=256)] = None,
    ) -> dict[str, Any]:
        """The builds of all nodes, newest first: this node's by its record, the others' by what the
        ledger tells of them; ``next`` is the cursor of the following page; ``node``: only those
        that this one drove, by its name or the beginning of its id; ``actor``, ``workspace``: only
        those of this one; ``text``: only those that have it in their id, workspace, who asked,
        or the packages and task asked for. ``counts``: how many of each status there are in all
        that are else as asked for; ``unknown``: nobody tells their end, and their node is away.
        ``estimates``: how good the estimates of the latest 20 builds of this node (of this
        actor) were that had one."""
        wanted = Wanted(status, asking.workspaces, actor, workspace, text)
        page = await service.pool_builds.page(
            limit=limit, before=cursor, wanted=wanted, node=node, nodes=asking.nodes
        )
        latest = await history.estimated(LATEST, Wanted(None, asking.workspaces, actor))
        return {
            "complete": page.complete,
            "builds": [listed(each, service.keys.current.node_id) for each in page.builds],
            "next": page.next,
            "counts": page.counts,
            "estimates": summed_up(latest),
        }

    return router


def _none_runs(build_id: str) -> NotFoundError:
    return NotFoundError(
        f"no build {build_id!r} runs here", hint="buildnet history lists earlier builds"
    )
