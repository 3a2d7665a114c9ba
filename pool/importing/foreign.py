"""What another tool's files say, in the words of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from buildnet.pool.workspace import Problem

AT_ROOT = "$TURBO_ROOT$/"
DEFAULT = "$TURBO_DEFAULT$"


@dataclass(frozen=True, slots=True)
class Said:
    """A text of the imported file and where it stands."""

    text: str
    file: str
    line: int

    def problem(self, message: str, hint: str) -> Problem:
        """Return what is to be told of it."""
        return Problem(self.file, self.line, message, hint)


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """What is described for one task of one package, or of all of them.

    ``inputs`` and ``outputs`` are relative to the package; those of the root begin with
    :data:`AT_ROOT`. :data:`DEFAULT` among the inputs stands for all files of the package.
    ``depends_on`` as in turbo.json: ``task``, ``^task``, ``package#task``, ``$VARIABLE``.
    """

    name: Said
    depends_on: tuple[Said, ...] = ()
    inputs: tuple[Said, ...] | None = None
    outputs: tuple[Said, ...] | None = None
    env: tuple[Said, ...] = ()
    pass_through: tuple[Said, ...] = ()
    files: tuple[Said, ...] = ()
    """Read besides the inputs."""
    beside: tuple[Said, ...] = ()
    """Tasks that run at the same time."""
    cache: bool = True
    ends: bool = True
    """False: persistent or interactive."""
    command: str | None = None
    """None: that of the package's script."""
    tools: tuple[str, ...] = ()
    """With a ``command``: what it needs of the host."""
    in_place: bool = False
    """Whether it sees the workspace itself, since what it reads is not known."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """All that one tool says of a workspace; ``tasks`` by package and by their names here."""

    tool: str
    file: str
    """The one at the root."""
    files: tuple[str, ...]
    """All that were read."""
    tasks: Mapping[str, Mapping[str, ForeignTask]]
    build: str = "build"
    """What the tool calls a build."""
    env: tuple[Said, ...] = ()
    """Variables of all tasks."""
    sources: tuple[Said, ...] = ()
    """Files of all tasks."""

    def name(self, task: str) -> str:
        """Return what is called ``task`` there by its name here."""
        return "build" if task == self.build else task
