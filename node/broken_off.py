"""What to say of a build that did not come to its end here."""

from __future__ import annotations

import logging

from buildnet.mesh.errors import BuildNetError
from buildnet.node.failure import first_cause
from buildnet.node.running import RunningBuild

_log = logging.getLogger("buildnet.builds")


class HandedOverError(BuildNetError):
    """The node stops, and another one goes on with the build."""

    code = "HANDED_OVER"

    @classmethod
    def of(cls, build: RunningBuild) -> HandedOverError:
        """Say it of one build."""
        name = build.durable.node_name if build.durable is not None else None
        return cls(
            f"this node stops, and {name or 'another one'} goes on with the build",
            hint=f"on another node: buildnet build --attach {build.id}",
        )


def told(build: RunningBuild, failure: Exception) -> BuildNetError:
    """Return what to say of a build that broke off."""
    cause = first_cause(failure)
    if isinstance(cause, BuildNetError):
        return cause
    _log.error("build %s broke off", build.id, exc_info=failure)
    return BuildNetError(
        "the build broke off",
        cause=f"{type(cause).__name__}: {cause}",
        hint="the node's log has the details; please report it",
    )
