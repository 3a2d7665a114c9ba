"""Builds: ask for one, watch it, cancel it, look at earlier ones; and what a workspace is."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from buildnet import __version__
from buildnet.ledger.history import BuildSummary
from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.queue_routes import PriorityName
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.choosing import Named, chosen
from buildnet.node.durable.watching import last_line, lines_of
from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.service import NodeService
from buildnet.pool.configuration import MOST_RUNS
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.workspace import BUILD, Workspace

NDJSON = "application/x-ndjson"
MOST_WAIT_S = 7 * 24 * 3600
UP_TO_DATE = "text/x-buildnet-up-to-date"
_LOG_MAX_BYTES = 64 * 1024 * 1024


class BuildBody(BaseModel):
    """A request for a build. ``root`` is a directory in the workspace, on this host. With the
    ``detail`` ``changed`` the report only counts the packages that stand as before; with
    ``explain`` it names the nearest cached result of each package that has to be built;
    ``local_only``: nothing of other nodes is used; ``durable``: another node has the request before
    anything runs, and goes on if this one is lost; ``wait_s``: it waits so long until it has all
    that its configuration asks for of other nodes, and keeps it to its end. ``config_id`` names a
    configuration; ``template`` makes one of its ``variables``; ``profile`` says how it is spread.
    What they say of packages and task counts where the request says nothing; so does their
    priority.
    ``verify``: each command that runs runs so many times, and the outputs are compared."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    packages: tuple[str, ...] = ()
    task: str = BUILD
    force: bool = False
    dry_run: bool = False
    keep_going: bool = False
    local_only: bool = False
    durable: bool = False
    wait_s: float | None = Field(default=None, gt=0, le=MOST_WAIT_S)
    priority: PriorityName | None = None
    config_id: str | None = None
    template: str | None = None
    variables: dict[str, bool | int | float | str] = Field(default_factory=dict)
    profile: str | None = None
    explain: bool = False
    verify: int | None = Field(default=None, ge=2, le=MOST_RUNS)
    environment: dict[str, str] = Field(default_factory=dict)
    actor: str = "local"
    detail: Literal["all", "changed"] = "all"


class WorkspaceBody(BaseModel):
    """Names a workspace by a directory in it, on this host."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path


def build_routes(service: NodeService) -> APIRouter:
    """Return the routes of builds and workspaces."""
    router = declared_router(tags=["builds"])
    builder, history, reach = service.builder, service.history, Reach(service)

    @router.post(
        "/api/build",
        status_code=202,
        response_model=None,
        responses={
            202: {"description": "It has begun"},
            **answers_as(
                NDJSON, UP_TO_DATE, description="Its events, or that it has nothing to do"
            ),
        },
    )
    @does(Action.TRIGGER_BUILD, within=True)
    async def build(body: BuildBody, request: Request, asking: Asking) -> Response | dict[str, Any]:
        """Begin a build. With ``Accept: application/x-ndjson`` the answer is its events, as they
        happen, and the build's report in the last of them; where the short form is accepted
        besides, a build with nothing to do is answered with its number of packages, milliseconds
        and id alone. Over the network only workspaces are built that the owner of the host built
        there before, or named in `access.workspaces` of node.yaml; the variables that may be given
        are those of `access.environment`."""
        directory = await reach.directory(asking, body.root)
        reach.environment(asking, body.environment)
        found = await chosen(
            service,
            Named(
                body.config_id,
                body.template,
                body.variables,
                body.profile,
                body.local_only,
                body.wait_s is not None,
            ),
            directory,
        )
        choice, said = found.choice, found.build
        if body.priority is not None:
            choice = replace(choice, priority=body.priority)
        running = await builder.start(
            BuildRequest(
                directory=directory,
                packages=body.packages or said.packages,
                task=(said.task or BUILD) if body.task == BUILD else body.task,
                force=body.force or said.force,
                dry_run=body.dry_run,
                keep_going=body.keep_going or said.keep_going,
                local_only=body.local_only or choice.local_only,
                durable=body.durable,
                wait_s=None if body.dry_run else body.wait_s,
                explain=body.explain,
                times=body.verify or choice.redundancy,
                environment=body.environment,
                actor=asking.name(body.actor),
                choice=choice,
            )
        )
        if asking.is_owner:
            service.opened.opened(running.workspace.root)
        asker = running.askers.add()
        accepted = request.headers.get("accept", "")
        if UP_TO_DATE in accepted and request.headers.get("buildnet-version") == __version__:
            await running.looked.wait()
            if running.had_nothing_to_do and not choice.warnings:
                return Response(running.in_short(), media_type=UP_TO_DATE)
        if NDJSON in accepted:
            every = body.detail == "all"
            version = {"buildnet-version": __version__}
            return StreamingResponse(
                lines_of(running, every=every, asker=asker), media_type=NDJSON, headers=version
            )
        return {"build_id": running.id, "estimated_duration_ms": None}

    @router.get("/api/build/{build_id}")
    @does(Action.VIEW_BUILDS, within=True)
    async def status(build_id: str, asking: Asking) -> dict[str, Any]:
        """A build by its id or a unique prefix: its report, or how far it is."""
        build_id = await reach.build(asking, build_id)
        running = builder.find(build_id)
        if running is None:
            return _recorded(await history.build(build_id))
        return running.report()

    @router.get("/api/build/{build_id}/events", response_model=None, responses=answers_as(NDJSON))
    @does(Action.VIEW_BUILDS, within=True)
    async def events(build_id: str, asking: Asking) -> StreamingResponse:
        """The events of a build of any node from its start on, one JSON a line. Output is not kept:
        it is there from the request on. Of a build that is over only the last event is left, with
        its report. Where the node is lost that the events come from, those of the one that goes on
        follow."""
        build_id = await reach.build(asking, build_id)
        running = builder.find(build_id)
        if running is not None:
            return StreamingResponse(lines_of(running), media_type=NDJSON)
        with suppress(NotFoundError):
            recorded = await history.build(build_id)
            if recorded.status != "running":
                return StreamingResponse(iter([last_line(recorded)]), media_type=NDJSON)
        if service.watching is None:
            raise _none_runs(build_id)
        return StreamingResponse(await service.watching.open(build_id), media_type=NDJSON)

    @router.post("/api/build/{build_id}/cancel")
    @does(Action.CANCEL_BUILD, within=True)
    async def cancel(build_id: str, asking: Asking, asker: int | None = None) -> dict[str, Any]:
        """Ask for a build's end; what runs is ended, what is done stays in the cache. ``asker``:
        the number from its first event, of who wants it no more; it goes on for others that asked
        for the same."""
        build_id = await reach.build(asking, build_id)
        running = _running(build_id)
        asking.require_touch(running.request.actor, "this build")
        if asker is None or running.askers.withdraw(asker):
            running.cancel()
        return {"success": True, "build_id": running.id}

    @router.get(
        "/api/build/{build_id}/log", response_model=None, responses=answers_as("text/plain")
    )
    @does(Action.VIEW_BUILDS, within=True)
    async def log(build_id: str, package: str, asking: Asking, task: str = BUILD) -> Response:
        """The output of one task of a build, as the command printed it."""
        build_id = await reach.build(asking, build_id)
        running = builder.find(build_id)
        packages = running.packages() if running else (await history.build(build_id)).packages
        for entry in packages:
            if entry["name"] == package and entry["task"] == task and entry["log"]:
                name, _, size = entry["log"].partition("/")
                digest = Digest(name, int(size))
                text = await asyncio.to_thread(service.store.read, digest, 0, _LOG_MAX_BYTES)
                return Response(text, media_type="text/plain; charset=utf-8")
        raise NotFoundError(
            f"build {build_id} has no output of {package}#{task}",
            hint="only tasks that ran or came from the cache have one: buildnet history BUILD-ID",
        )

    @router.get("/api/builds")
    @does(Action.VIEW_BUILDS, within=True)
    async def builds(
        asking: Asking,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
        cursor: str | None = None,
        status: Literal["running", "succeeded", "failed", "cancelled"] | None = None,
        actor: Annotated[str | None, Query(max_length=128)] = None,
    ) -> dict[str, Any]:
        """The record of builds, newest first; ``next`` is the cursor of the following page;
        ``actor``: only those of this one."""
        page, following = await history.page(
            limit=limit, before=cursor, status=status, workspaces=asking.workspaces, actor=actor
        )
        return {"builds": [_recorded(each) for each in page], "next": following}

    @router.post("/api/workspace")
    @does(Action.TRIGGER_BUILD, within=True)
    async def workspace(body: WorkspaceBody, asking: Asking) -> dict[str, Any]:
        """What the workspace at a directory is: packages, how it was found, and as a file. Over the
        network of those that can be built there."""
        directory = await reach.directory(asking, body.root)
        return await asyncio.to_thread(_described, await builder.workspace(directory))

    def _running(build_id: str) -> RunningBuild:
        running = builder.find(build_id)
        if running is None:
            raise _none_runs(build_id)
        return running

    return router


def _none_runs(build_id: str) -> NotFoundError:
    return NotFoundError(
        f"no build {build_id!r} runs here", hint="buildnet history lists earlier builds"
    )


def _recorded(build: BuildSummary) -> dict[str, Any]:
    entry = asdict(build)
    entry["build_id"] = entry.pop("id")
    return entry


def _described(workspace: Workspace) -> dict[str, Any]:
    return {
        "name": workspace.name,
        "root": str(workspace.root),
        "file": str(workspace.file) if workspace.file else None,
        "packages": [
            {
                "name": package.name,
                "path": package.path,
                "dependencies": list(package.dependencies),
                "tasks": sorted(package.tasks),
                "command": package.tasks[BUILD].command,
                "outputs": list(package.tasks[BUILD].outputs),
            }
            for package in workspace.packages.values()
        ],
        "install": workspace.install.manager if workspace.install else None,
        "notes": list(workspace.notes),
        "yaml": write_workspace(workspace),
    }
