"""Whether a build that runs does just what somebody asks for now."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from buildnet.node.running import BuildRequest, RunningBuild
from buildnet.node.workspaces import Definition, OpenWorkspace


async def same_build(
    running: Iterable[RunningBuild],
    request: BuildRequest,
    opened: OpenWorkspace,
    definition: Definition,
) -> RunningBuild | None:
    """Return one of the builds that does just what is asked for, of what stands in the workspace
    now; where that can't be told, none does."""
    workspace = definition.workspace
    is_open = workspace.pre_build or workspace.post_build or workspace.install is not None
    inherits = None if is_open else definition.inherits
    alike = [
        build
        for build in running
        if build.workspace == workspace and build.request.is_like(request, inherits)
    ]
    if not alike:
        return None
    is_as_read = await asyncio.to_thread(opened.is_as_read, definition.outputs)
    fresh = (build for build in alike if is_as_read or not build.has_read)
    wanted = (build for build in fresh if not build.cancelled.is_set() and build.outcome is None)
    return next(wanted, None)
