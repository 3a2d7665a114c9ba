"""Where the files of a build come from."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.other_builds import OtherBuild
from buildnet.node.provenance import provenance_of
from buildnet.node.service import NodeService
from buildnet.pool.workspace import BUILD

_MOST_PACKAGES = 100
_NAME = Annotated[str, Query(max_length=200)]


class StatementView(BaseModel):
    """Where the files of one task come from. ``statement``: a DSSE envelope with an in-toto
    statement, None: ``why`` there is none; ``file``: a name for it."""

    model_config = ConfigDict(frozen=True)

    package: str
    task: str
    file: str | None
    statement: dict[str, Any] | None
    why: str | None
    hint: str | None = None


class ProvenanceView(BaseModel):
    """Statements for a build. ``sealed``: they come with the proof that its end is sealed."""

    model_config = ConfigDict(frozen=True)

    build_id: str
    cluster_id: str
    sealed: bool
    statements: tuple[StatementView, ...]


def provenance_routes(service: NodeService) -> APIRouter:
    """Return the route that states where files come from."""
    router = declared_router(tags=["builds"])
    reach = Reach(service)

    @router.get("/api/build/{build_id}/provenance")
    @does(Action.VIEW_BUILDS, within=True, of_build=True)
    async def provenance(
        build_id: str,
        asking: Asking,
        package: Annotated[tuple[_NAME, ...], Query(max_length=_MOST_PACKAGES)] = (),
        task: _NAME = BUILD,
    ) -> ProvenanceView:
        """SLSA provenance of what a build of any node used: for each package (or those named) a
        statement that the node signed which ran its command, asked for now. It proves itself to who
        knows the cluster's id: buildnet audit verify."""
        found = await reach.find(asking, build_id)
        if isinstance(found, OtherBuild):
            wanted = {"package": package, "task": task}
            told = await service.others.tell(found, "/provenance", wanted, ProvenanceView)
        else:
            recorded = await service.history.build(found.id)
            told = await provenance_of(service, recorded, package, task)
        return ProvenanceView(**told)

    return router
