"""What can be subscribed to, and which rights that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import Caller


class Channel(StrEnum):
    """A kind of events. ``ledger``, ``logs`` and ``node_logs`` are streams of what happens; of all
    others there is a state, which events change."""

    RESOURCES = "resources"
    NODES = "nodes"
    BUILDS = "builds"
    QUEUE = "queue"
    POOL = "pool"
    LEDGER = "ledger"
    LOGS = "logs"
    SESSIONS = "sessions"
    """Who uses the nodes, for those who manage access."""
    NODE_LOGS = "node_logs"
    """The log of the node that is asked, for its owner alone; all others are of the whole pool."""


ALL = frozenset(Channel)
FOR_FEW = frozenset({Channel.SESSIONS, Channel.NODE_LOGS})
"""Told to who asks for them by name."""
FOR_ALL = ALL - FOR_FEW
STREAMS = frozenset({Channel.LEDGER, Channel.LOGS, Channel.NODE_LOGS})
NEEDS: Mapping[Channel, Action] = MappingProxyType(
    {
        Channel.RESOURCES: Action.VIEW_RESOURCES,
        Channel.NODES: Action.VIEW_RESOURCES,
        Channel.BUILDS: Action.VIEW_BUILDS,
        Channel.QUEUE: Action.VIEW_BUILDS,
        Channel.POOL: Action.VIEW_RESOURCES,
        Channel.LEDGER: Action.VIEW_LEDGER,
        Channel.LOGS: Action.VIEW_BUILDS,
        Channel.SESSIONS: Action.MANAGE_ACCESS,
        Channel.NODE_LOGS: Action.OWN_NODE,
    }
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody subscribes to. ``build``: of ``builds``, ``queue`` and ``logs`` only what
    concerns the one with this id; "": all."""

    channels: frozenset[Channel]
    build: str = ""

    def takes(self, channel: Channel, build: str) -> bool:
        """Tell whether an event of ``channel`` is wanted; ``build``: the one that it concerns."""
        return channel in self.channels and not (self.build and build and build != self.build)


def require_channels(caller: Caller, channels: Iterable[Channel]) -> None:
    """See that somebody may be told of all these channels.

    Raises:
        NotAllowedError: of one they may not.
    """
    for channel in channels:
        caller.require(NEEDS[channel])
