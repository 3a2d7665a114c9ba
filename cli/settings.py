"""The options every command takes, before the noun or after the command."""

from __future__ import annotations

import itertools
import os
import sys

from buildnet.mesh.errors import UsageError

TYPE_CHECKING = False  # importing typing would take longer than most builds of one package
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMATS = ("table", "json", "yaml")
_CHOICES = {
    "--format": FORMATS,
    "--progress": ("auto", "tty", "plain", "json"),
    "--color": ("auto", "always", "never"),
}
_VALUED = ("--node", "--key", *_CHOICES)

HELP = """Options of every command: --node URL (another node than this directory's), --key FILE (the
key to ask it with), --format table|json|yaml (--json for short), --quiet (ids only),
--progress auto|tty|plain|json, --color auto|always|never."""


class Settings:
    """What the general options, or the environment in their place, say. No dataclass: that module
    takes longer to load than most builds of one package."""

    __slots__ = ("color", "format", "key", "node", "progress", "quiet")

    def __init__(
        self,
        node: str | None = None,
        format: str = "table",
        quiet: bool = False,
        progress: str = "auto",
        color: str = "auto",
        key: str | None = None,
    ) -> None:
        self.node = node
        self.key = key
        self.format = format
        self.quiet = quiet
        self.progress = progress
        self.color = color

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    __hash__ = None  # type: ignore[assignment]

    def colored(self, stream_is_terminal: bool, environment: Mapping[str, str]) -> bool:
        """Tell whether to print colours, as ``NO_COLOR`` and ``FORCE_COLOR`` ask for it."""
        if self.color != "auto":
            return self.color == "always"
        if environment.get("NO_COLOR"):
            return False
        if environment.get("FORCE_COLOR"):
            return True
        return stream_is_terminal and environment.get("TERM") != "dumb"

    def progress_mode(self, environment: Mapping[str, str]) -> str:
        """Return ``tty``, ``plain`` or ``json``."""
        if self.progress != "auto":
            return self.progress
        return "tty" if sys.stderr.isatty() and not environment.get("CI") else "plain"


def split_arguments(
    arguments: Sequence[str], environment: Mapping[str, str] = os.environ
) -> tuple[Settings, list[str]]:
    """Take the general options out of ``arguments``; return them and what is left.

    Nothing after ``--`` is looked at.

    Raises:
        UsageError: an option has no value or one that it doesn't know.
    """
    values = {
        "--node": environment.get("BUILDNET_NODE"),
        "--key": None,
        "--format": environment.get("BUILDNET_FORMAT", "table"),
        "--progress": environment.get("BUILDNET_PROGRESS", "auto"),
        "--color": environment.get("BUILDNET_COLOR", "auto"),
    }
    quiet = False
    # The forms of an export are others than those of an answer.
    has_own_format = ("audit", "export") in itertools.pairwise(arguments)
    left: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        name, equals, value = argument.partition("=")
        if argument == "--":
            left += [argument, *reversed(waiting)]
            break
        if name == "--format" and has_own_format:
            left.append(argument)
        elif name in _VALUED:
            if not equals:
                if not waiting:
                    raise UsageError(f"{name} needs a value", hint="see buildnet --help")
                value = waiting.pop()
            values[name] = value
        elif argument == "--json":
            values["--format"] = "json"
        elif argument in ("--quiet", "-q"):
            quiet = True
        else:
            left.append(argument)
    for name, choices in _CHOICES.items():
        if values[name] not in choices:
            raise UsageError(
                f"{name} {values[name]!r} is not known", hint=f"choose one of {', '.join(choices)}"
            )
    settings = Settings(
        values["--node"],
        str(values["--format"]),
        quiet,
        str(values["--progress"]),
        str(values["--color"]),
        # Who has the socket of a node needs none there.
        values["--key"] or (environment.get("BUILDNET_KEY") if values["--node"] else None),
    )
    return settings, left
