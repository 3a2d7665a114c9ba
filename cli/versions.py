"""A command and a node of different versions: said in words, whatever the answer lacks."""

from __future__ import annotations

from buildnet import __version__
from buildnet.cli.settings import Settings
from buildnet.mesh.errors import BuildNetError
from buildnet.node.home import Home, default_home

RESTART = "restart it: buildnet node stop, then buildnet node start --detach"


class OtherVersionError(BuildNetError):
    """The node's answer is not what this command knows: it is of another version."""

    code = "OTHER_VERSION"


def other_version(settings: Settings) -> str | None:
    """Say that the node which runs here is of another version than this command; None: it is not,
    or another node was asked."""
    runtime = None if settings.node is not None else Home(default_home()).read_runtime()
    if runtime is None or runtime.version == __version__:
        return None
    return f"the node that runs is BuildNet {runtime.version}, this command is {__version__}"


def unknown_answer(settings: Settings, error: Exception) -> OtherVersionError | None:
    """Return what to say of an answer that can't be used; None: no other version explains it."""
    cause = f"its answer can't be used: {type(error).__name__} {error}"
    if settings.node is not None:
        return OtherVersionError(
            f"the node at {settings.node} may be of another version than this command, "
            f"{__version__}",
            cause=cause,
            hint="use a command of the node's version, or update the node",
        )
    what = other_version(settings)
    if what is None:
        return None
    return OtherVersionError(what, cause=cause, hint=RESTART)
