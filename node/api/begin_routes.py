"""Beginning builds: of what a request names, or of the one package that its path names."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from buildnet import __version__
from buildnet.node.api.answers.builds import BegunBuild
from buildnet.node.api.asked_build import BuildBody, PackageBuildBody, asked_build
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller
from buildnet.node.build_lines import lines_of
from buildnet.node.service import NodeService

NDJSON = "application/x-ndjson"
UP_TO_DATE = "text/x-buildnet-up-to-date"
_SAID: dict[str, Any] = {
    "status_code": 202,
    "response_model": None,
    "responses": {
        202: {"description": "It has begun"},
        **answers_as(NDJSON, UP_TO_DATE, description="Its events, or that it has nothing to do"),
    },
}


def begin_routes(service: NodeService) -> APIRouter:
    """Return the routes that begin builds. As a package may be called anything, they come after all
    others whose paths begin like theirs."""
    router = declared_router(tags=["builds"])
    reach = Reach(service)

    @router.post("/api/build", **_SAID)
    @does(Action.TRIGGER_BUILD, answer=BegunBuild, within=True)
    async def build(body: BuildBody, request: Request, asking: Asking) -> Response | dict[str, Any]:
        """Begin a build. With ``Accept: application/x-ndjson`` the answer is its events, as they
        happen, and the build's report in the last of them; where the short form is accepted
        besides, a build with nothing to do is answered with its number of packages, milliseconds
        and id alone. Any other answer is its id at once; `estimated_duration_ms` is null there
        where it is not known yet: events of type ``estimate`` tell it. Over the network only
        workspaces are built that the owner of the host built there before, or named in
        `access.workspaces` of node.yaml; the variables that may be given are those of
        `access.environment`."""
        return await begin(body, request, asking)

    @router.post("/api/build/{name:path}", **_SAID)
    @does(Action.TRIGGER_BUILD, answer=BegunBuild, within=True)
    async def build_package(
        name: str, body: PackageBuildBody, request: Request, asking: Asking
    ) -> Response | dict[str, Any]:
        """Begin a build of one package, with what it depends on; else as without its name. One that
        is called as another path here is (``estimate``, ``ID/cancel``) stands in ``packages``
        there."""
        return await begin(body.of_package(name), request, asking)

    async def begin(body: BuildBody, request: Request, asking: Caller) -> Response | dict[str, Any]:
        asked = await asked_build(service, reach, body, asking)
        running = await service.builder.start(asked)
        if asking.is_owner:
            service.opened.opened(running.workspace.root)
        asker = running.askers.add(asked.actor)
        accepted = request.headers.get("accept", "")
        if UP_TO_DATE in accepted and request.headers.get("buildnet-version") == __version__:
            await running.looked.wait()
            if running.had_nothing_to_do and not asked.choice.warnings:
                return Response(running.in_short(), media_type=UP_TO_DATE)
        if NDJSON in accepted:
            every = body.detail == "all"
            version = {"buildnet-version": __version__}
            return StreamingResponse(
                lines_of(running, every=every, asker=asker), media_type=NDJSON, headers=version
            )
        return {
            "build_id": running.id,
            "asker": asker.number,
            "estimated_duration_ms": running.estimated_ms,
        }

    return router
