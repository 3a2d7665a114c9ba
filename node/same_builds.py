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
    inherits = inherited_by(definition)
    alike = [
        build
        for build in running
        if build.workspace == workspace and build.request.is_like(request, inherits)
    ]
    if not alike:
        return None
    for build in alike:
        view = build.view
        is_as_read = view is not None and await asyncio.to_thread(
            opened.is_as_read, view, definition.outputs
        )
        is_wanted = not build.cancelled.is_set() and build.outcome is None
        if is_wanted and (is_as_read or not build.has_read):
            return build
    return None


def inherited_by(definition: Definition) -> tuple[str, ...] | None:
    """Return the names of the variables that a build of a workspace can depend on; None: all."""
    workspace = definition.workspace
    is_open = workspace.pre_build or workspace.post_build or workspace.install is not None
    return None if is_open else definition.inherits
