"""Asking how long a build would take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.types import Receive

from buildnet.mesh.errors import BuildNetError
from buildnet.node.api.answers.estimate import BuildEstimate
from buildnet.node.api.asked_build import BuildBody, asked_build
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.reach import Reach
from buildnet.node.api.work_response import hung_up
from buildnet.node.auth.actions import Action
from buildnet.node.cancelled import Cancelled
from buildnet.node.running import RunningBuild
from buildnet.node.service import NodeService
from buildnet.node.workers import either
from buildnet.pool.estimation.view import in_full


class NotEstimatedError(BuildNetError):
    """What a build would do can't be told, so neither can how long it would take."""

    code = "NOT_ESTIMATED"
    http_status = 409

    @classmethod
    def of(cls, build: RunningBuild) -> NotEstimatedError:
        """Say why, of a dry run that did not come to its end."""
        error = (build.outcome or {}).get("error") or {}
        return cls(
            error.get("message") or "the build was cancelled while it was looked at",
            cause=error.get("cause"),
            hint=error.get("hint") or "ask again",
        )


def estimate_routes(service: NodeService) -> APIRouter:
    """Return the route of estimates."""
    router = declared_router(tags=["builds"])
    reach = Reach(service)

    @router.post("/api/build/estimate")
    @does(Action.TRIGGER_BUILD, answer=BuildEstimate, within=True)
    async def estimate(body: BuildBody, asking: Asking, request: Request) -> dict[str, Any]:
        """How long the build would take that is asked for: its files are looked at as in a dry run,
        then it is played through with what commands took before. Nothing is built, and nothing is
        recorded. It waits for no build that runs, and ends where nobody waits for it any more.
        `estimated_ms` and all that follows from it are null where nothing of the workspace ever ran
        here."""
        asked = await asked_build(service, reach, body, asking)
        build = await service.builder.start(
            replace(asked, dry_run=True, durable=False, wait_s=None)
        )
        await over(build, asked.actor, request.receive)
        if build.rehearsed is None:
            raise NotEstimatedError.of(build)
        return {
            "workspace": build.workspace.name,
            "task": build.request.task,
            "choice": build.request.choice.view(),
            **in_full(build.rehearsed, _unchanged(build)),
            "problems": [
                {"name": task.package, "task": task.task, **report.error}
                for task, report in build.reports().items()
                if report.error is not None
            ],
        }

    return router


async def over(build: RunningBuild, actor: str, receive: Receive) -> None:
    """Wait for the end of a dry run, which is now if all who asked for it hung up."""
    asker = build.askers.add(actor).number
    try:
        await either(build.over.wait(), hung_up(receive))
    finally:
        if build.outcome is None and build.askers.withdraw(asker):
            build.cancel(Cancelled(actor, "nobody waits for it any more"))


def _unchanged(build: RunningBuild) -> int:
    found = sum(report.plan == "nothing" for report in build.reports().values())
    return len(build.unchanged) + found
