"""Workspaces: which can be built here, and what one is."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from buildnet.mesh.errors import BuildNetError, NotFoundError
from buildnet.node.api.answers.workspaces import ForgottenWorkspace, KnownWorkspaces
from buildnet.node.api.answers.workspaces import Workspace as WorkspaceAnswer
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.paging import Paged
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.service import NodeService
from buildnet.pool.definition_text import write_workspace
from buildnet.pool.importing.importing import Tool, import_workspace
from buildnet.pool.workspace import BUILD, WORKSPACE_FILE, Package, Workspace

MOST_WORKSPACES = 100
"""Of one part of the list: each is read."""


class WorkspaceBody(BaseModel):
    """Names a workspace by a directory in it, on this host. ``import_from``: it is read from the
    configuration of that tool, whether or not there is a buildnet.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    root: Path
    import_from: Tool | None = None


def workspace_routes(service: NodeService) -> APIRouter:
    """Return the routes of workspaces."""
    router = declared_router(tags=["builds"])
    builder, reach = service.builder, Reach(service)

    @router.post("/api/workspace")
    @does(Action.TRIGGER_BUILD, answer=WorkspaceAnswer, within=True)
    async def workspace(body: WorkspaceBody, asking: Asking) -> dict[str, Any]:
        """What the workspace at a directory is: packages, how it was found, and as a file. Over the
        network of those that can be built there."""
        directory = await reach.directory(asking, body.root)
        if body.import_from is not None:
            return await asyncio.to_thread(_taken_over, directory, body.import_from)
        return await asyncio.to_thread(_described, await builder.workspace(directory))

    @router.get("/api/workspaces")
    @does(Action.TRIGGER_BUILD, answer=KnownWorkspaces, within=True)
    async def workspaces(paged: Paged, asking: Asking) -> dict[str, Any]:
        """The workspaces of this host that can be built over the network: those that its owner
        built there, the newest first, and those that `access.workspaces` of node.yaml names; then
        those whose directory is gone. A part of the list has 100 at most."""
        roots = await asyncio.to_thread(service.opened.roots)
        gone = await asyncio.to_thread(service.opened.gone)
        roots += [root for root in gone if root not in roots]
        part, following = paged.at_most(MOST_WORKSPACES).part(roots, str)
        known = await asyncio.gather(*(_known(root, root in gone) for root in part))
        reached = asking.workspaces
        kept = [one for one in known if reached is None or one["name"] in reached]
        return {"workspaces": kept, "next": following}

    @router.delete("/api/workspaces")
    @does(Action.OWN_NODE, answer=ForgottenWorkspace)
    async def forget(root: Annotated[str, Query(min_length=1, max_length=4096)]) -> dict[str, Any]:
        """Forget a workspace that the owner of this host built there: it is listed, and can be
        built over the network, only when it was built there again. ``root``: as it is listed."""
        if not await asyncio.to_thread(service.opened.forget, Path(root)):
            raise NotFoundError(
                f"no workspace {root!r:.300} was built here",
                hint="what access.workspaces of node.yaml names is closed there",
            )
        return {"success": True, "root": root}

    async def _known(root: Path, is_gone: bool) -> dict[str, Any]:
        no = {"root": str(root), "name": None, "packages": None}
        if is_gone:
            return {**no, "problem": "its directory is gone", "problem_kind": "gone"}
        try:
            found = await builder.workspace(root)
        except BuildNetError as error:
            return {**no, "problem": str(error), "problem_kind": "unreadable"}
        known = {"name": found.name, "packages": len(found.packages)}
        return {**no, **known, "problem": None, "problem_kind": None}

    return router


def _taken_over(directory: Path, tool: Tool) -> dict[str, Any]:
    imported = import_workspace(directory, tool)
    file = imported.workspace.root / WORKSPACE_FILE
    return {
        **_described(imported.workspace),
        "file": str(file) if file.exists() else None,
        "findings": [problem._asdict() for problem in imported.findings],
        "yaml": write_workspace(imported.annotated()),
    }


def _described(workspace: Workspace) -> dict[str, Any]:
    return {
        "name": workspace.name,
        "root": str(workspace.root),
        "file": str(workspace.file) if workspace.file else None,
        "packages": [_package(package) for package in workspace.packages.values()],
        "install": workspace.install.manager if workspace.install else None,
        "notes": list(workspace.notes),
        "findings": [],
        "yaml": write_workspace(workspace),
    }


def _package(package: Package) -> dict[str, Any]:
    return {
        "name": package.name,
        "path": package.path,
        "dependencies": list(package.dependencies),
        "tasks": sorted(package.tasks),
        "command": package.tasks[BUILD].command,
        "outputs": list(package.tasks[BUILD].outputs),
        "details": [
            {
                "name": task.name,
                "command": task.command,
                "depends_on": [str(each) for each in task.depends_on],
                "sources": list(task.sources),
                "all_files": task.default_sources,
                "outputs": list(task.outputs),
                "tools": list(task.tools),
            }
            for task in package.tasks.values()
        ],
    }
