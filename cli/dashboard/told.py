"""What the model of the dashboard is told: events, answers, and what did not come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from buildnet.cli.client.shapes import Event
from buildnet.mesh.errors import BuildNetError

Source = Literal["events", "node", "health", "sessions", "cache", "ledger"]
"""Where figures come from: the live events, and what the node is asked again and again."""


@dataclass(frozen=True, slots=True)
class Happened:
    """An event of the pool, or the snapshot that they begin with."""

    event: Event


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer of the node. ``ledger``: entries, newest first; see
    :mod:`buildnet.cli.dashboard.feed`."""

    source: Source
    data: Any


@dataclass(frozen=True, slots=True)
class Failed:
    """A source that has nothing new to tell, and why; it is asked again."""

    source: Source
    error: BuildNetError


Told = Happened | Answered | Failed
