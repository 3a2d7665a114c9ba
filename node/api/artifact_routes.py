"""What the tasks of a build made, as the store of the node has it that drove it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import NotFoundError
from buildnet.node.api.answers.workspaces import BuildArtifacts
from buildnet.node.api.blob_text import FILE, digest_of, file_of
from buildnet.node.api.declared import Asking, declared_router, does
from buildnet.node.api.media import answers_as
from buildnet.node.api.paging import Paged, Paging
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.other_builds import OtherBuild
from buildnet.node.records import FoundBuild
from buildnet.node.running import RunningBuild
from buildnet.node.service import NodeService
from buildnet.node.store import MissingBlobError, Store
from buildnet.pool.result import MalformedResultError, decode_result
from buildnet.pool.tree import FileEntry, Leaf
from buildnet.pool.workspace import BUILD

MOST_FILES = 200
"""Of one task."""
MOST_TASKS = 100
"""Of one part of the list: each is read from the store."""

_MOST_PATH = 4096


def artifact_routes(service: NodeService) -> APIRouter:
    """Return the routes of what builds made."""
    router = declared_router(tags=["builds"])
    reach, store = Reach(service), service.store

    @router.get("/api/build/{build_id}/artifacts")
    @does(Action.VIEW_BUILDS, answer=BuildArtifacts, within=True, of_build=True)
    async def artifacts(
        build_id: str,
        paged: Paged,
        asking: Asking,
        package: Annotated[str | None, Query(max_length=256)] = None,
        path: Annotated[str | None, Query(max_length=_MOST_PATH)] = None,
    ) -> dict[str, Any]:
        """What the tasks of a build of any node made, or got from a cache: the files with their
        sizes and digests, 200 of each task at most, those with the shortest paths first; `package`:
        of this one alone; `path`: only files at this one. A part of the list has 100 tasks at
        most."""
        return await _listed(await reach.find(asking, build_id), paged, package, path)

    @router.get("/api/build/{build_id}/file", response_class=Response, responses=answers_as(FILE))
    @does(Action.TRIGGER_BUILD, within=True)
    async def file(
        build_id: str,
        asking: Asking,
        package: Annotated[str, Query(max_length=256)],
        path: Annotated[str, Query(max_length=_MOST_PATH)],
        task: Annotated[str, Query(max_length=256)] = BUILD,
    ) -> Response:
        """A file that a task of a build of any node made: one of `artifacts`, by its path there."""
        found = await reach.find(asking, build_id)
        tasks = (await _listed(found, Paging(), package, path))["tasks"]
        made = next((one for one in tasks if one["task"] == task), None)
        leaves = made["files"] if made is not None else []
        digest = next((digest_of(f"{one['digest']}/{one['size_bytes']}") for one in leaves), None)
        if digest is None:
            raise NotFoundError(
                f"{package}#{task} of build {found.id} has no file {path!r:.200}",
                cause=None if made is None else made["problem"],
                hint=f"its files: GET /api/build/{found.id}/artifacts",
            )
        if isinstance(found, OtherBuild):
            await service.others.bring(found, digest, "")
        return await file_of(store, digest, path.rpartition("/")[2])

    async def _listed(
        found: FoundBuild, paged: Paging, package: str | None, path: str | None
    ) -> dict[str, Any]:
        if isinstance(found, OtherBuild):
            wanted = {
                "package": package,
                "path": path,
                "limit": paged.limit,
                "cursor": paged.cursor,
            }
            return await service.others.tell(found, "/artifacts", wanted, BuildArtifacts)
        packages = found.packages() if isinstance(found, RunningBuild) else found.packages
        made = [
            one
            for one in packages
            if one["action"] and one["status"] == "succeeded" and package in (None, one["name"])
        ]
        part, following = paged.at_most(MOST_TASKS).part(made, _which)
        told = await asyncio.to_thread(lambda: [_made(store, one, path) for one in part])
        return {"build_id": found.id, "tasks": told, "next": following}

    return router


def _which(task: Mapping[str, Any]) -> str:
    return f"{task['name']}#{task['task']}"


def _made(store: Store, task: Mapping[str, Any], path: str | None) -> dict[str, Any]:
    told: dict[str, Any] = {
        "name": task["name"],
        "task": task["task"],
        "action": task["action"],
        "count": None,
        "size_bytes": None,
        "files": [],
        "problem": None,
    }
    record = store.peek_action(Digest(task["action"], 0))
    if record is None:
        return {**told, "problem": "its result is not in this node's store any more"}
    try:
        leaves = list(decode_result(record.result, "", store.get).outputs.leaves())
    except (MalformedResultError, MissingBlobError) as error:
        return {**told, "problem": f"its result is not whole any more: {error}"}
    leaves.sort(key=lambda one: (one[0].count("/"), one[0]))
    files = [leaf for _, leaf in leaves if isinstance(leaf, FileEntry)]
    shown = [each for each in leaves if path in (None, each[0])][:MOST_FILES]
    return {
        **told,
        "count": len(leaves),
        "size_bytes": sum(leaf.digest.size_bytes for leaf in files),
        "files": [_file(*each) for each in shown],
    }


def _file(path: str, leaf: Leaf) -> dict[str, Any]:
    if isinstance(leaf, FileEntry):
        return {
            "path": path,
            "digest": leaf.digest.hash,
            "size_bytes": leaf.digest.size_bytes,
            "executable": leaf.executable,
            "target": None,
        }
    return {
        "path": path,
        "digest": None,
        "size_bytes": None,
        "executable": False,
        "target": leaf.target,
    }
