"""What happened in a run, line by line, for people and for comparing two runs."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from blake3 import blake3

from buildnet.mesh.events import (
    Effect,
    Event,
    Note,
    Persist,
    Persisted,
    Raise,
    Received,
    RecordChanged,
    RoundTrip,
    Send,
    SendAll,
)

if TYPE_CHECKING:
    from buildnet.mesh.simulation.host import Host

_MAX_TEXT = 400
_TALK = (Received, Send, SendAll, Persist, Persisted)


class History:
    """The lines of one run. ``talk`` lines are messages and disk writes: many, so kept apart."""

    def __init__(self) -> None:
        self.lines: list[tuple[bool, str]] = []
        self._names: dict[bytes, str] = {}
        self._digest = blake3()

    def name(self, key: bytes, name: str) -> None:
        """Call a key by a short name from now on."""
        self._names[key] = name

    def line(self, now: float, who: str, text: str, *, talk: bool = False) -> None:
        """Add a line."""
        line = f"{now:10.4f}  {who:<5} {text}"
        self._digest.update(line.encode() + b"\n")
        self.lines.append((talk, line))

    def event(self, host: Host, event: Event) -> None:
        """Add what a process was told."""
        now = host.world.timeline.now
        if isinstance(event, Received):
            sender = self.describe(event.sender)
            text = f"<- {sender} {self.describe(event.message)}"
            self.line(now, host.name, text, talk=True)
        else:
            self.line(now, host.name, self.describe(event), talk=isinstance(event, _TALK))

    def effect(self, host: Host, effect: Effect) -> None:
        """Add what the cores of a process want."""
        now = host.world.timeline.now
        if isinstance(effect, Send | SendAll):
            to = self.describe(effect.to)
            text = f"-> {to} {self.describe(effect.message)}"
            self.line(now, host.name, text, talk=True)
        elif isinstance(effect, Note):
            peer = "" if effect.peer is None else f" ({self.describe(effect.peer)})"
            self.line(now, host.name, f"notes: {effect.reason}{peer} {effect.detail}".rstrip())
        elif isinstance(effect, Raise):
            small = isinstance(effect.event, RecordChanged | RoundTrip)
            self.line(now, host.name, self.describe(effect.event), talk=small)
        else:
            self.line(now, host.name, self.describe(effect), talk=isinstance(effect, _TALK))

    def digest(self) -> str:
        """Return the hash of all lines."""
        return self._digest.hexdigest()

    def text(self, *, talk: bool = False) -> str:
        """Return the lines as they are printed; with ``talk`` messages and disk writes too."""
        return "\n".join(line for is_talk, line in self.lines if talk or not is_talk)

    def describe(self, value: object) -> str:
        """Return a value as people read it: nodes by name, other bytes by their beginning."""
        text = self._describe(value)
        return text if len(text) <= _MAX_TEXT else f"{text[:_MAX_TEXT]}…"

    def _describe(self, value: object) -> str:
        if isinstance(value, bytes):
            return self._names.get(value) or (f"<{value[:4].hex()}>" if value else "-")
        if isinstance(value, enum.Enum):
            return value.name
        if isinstance(value, float):
            return f"{value:.4f}"
        if isinstance(value, tuple):
            return "{" + " ".join(self._describe(item) for item in value) + "}"
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = (
                f"{field.name}={self._describe(getattr(value, field.name))}"
                for field in dataclasses.fields(value)
            )
            return f"{type(value).__name__}({', '.join(fields)})"
        return str(value)
