"""What a command needs of a host, and what a host grants one command.

Requirements stand in ``buildnet.yaml``. They are no part of an action's key: with less a command
fails or takes longer, and only what succeeded is kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

from buildnet.mesh.errors import BuildNetError
from buildnet.pool.quantity import bytes_below, bytes_text
from buildnet.pool.wanted_platform import WantedPlatform


class RequirementsError(BuildNetError):
    """A command needs more than the host grants."""

    code = "REQUIREMENTS"


@dataclass(frozen=True, slots=True)
class Requirements:
    """Of one command with all its processes; None: what the host gives one that asks nothing.

    ``cores`` are its own while it runs: it takes as many slots. ``memory_bytes`` is kept free for
    it among commands that say theirs, and ends it beyond; so is and does ``disk_bytes`` (what it
    writes); so do ``processes`` (at once) and ``timeout_s``.
    ``labels``: it runs only on hosts that have them all; ``platform``: only on such hosts.
    """

    cores: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    processes: int | None = None
    timeout_s: float | None = None
    labels: tuple[str, ...] | None = None
    platform: WantedPlatform | None = None

    @property
    def slots(self) -> int:
        """How many of the commands that a host runs at once it stands for."""
        return self.cores or 1

    def over(self, inherited: Requirements) -> Requirements:
        """Return these with what they do not say taken from ``inherited``."""
        missing = {
            each.name: getattr(inherited, each.name)
            for each in fields(self)
            if getattr(self, each.name) is None
        }
        return replace(self, **missing)


@dataclass(frozen=True, slots=True)
class Grant:
    """The most that one command may have on a host; None: no bound."""

    cores: int
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    processes: int | None = None

    def allows(self, needed: Requirements) -> bool:
        """Tell whether a command may have what it needs."""
        return not self._too_much(needed)

    def check(self, needed: Requirements) -> None:
        """See that a command may have what it needs.

        Raises:
            RequirementsError: it may not; the message names all that is too much.
        """
        if too_much := self._too_much(needed):
            raise RequirementsError(
                "it needs more than this node grants: "
                + ", ".join(
                    f"{name} {_text(name, wanted, bytes_text)} of at most "
                    f"{_text(name, most, bytes_below)}"
                    for name, wanted, most in too_much
                ),
                hint=f"lower {' and '.join(name for name, _, _ in too_much)} in buildnet.yaml, or "
                "raise what the node grants: workers and resource_limits in node.yaml",
            )

    def _too_much(self, needed: Requirements) -> list[tuple[str, int, int]]:
        return [
            (name, wanted, most)
            for name, wanted, most in (
                ("cores", needed.cores, self.cores),
                ("memory", needed.memory_bytes, self.memory_bytes),
                ("disk", needed.disk_bytes, self.disk_bytes),
                ("processes", needed.processes, self.processes),
            )
            if wanted is not None and most is not None and wanted > most
        ]


def _text(name: str, value: int, size: Callable[[int], str]) -> str:
    return size(value) if name in ("memory", "disk") else str(value)
