"""What the ledger is told of the queue: that somebody paused it, let it go on, or moved a build."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.node.recording import OpenLedger

QUEUE = "queue:all"
_MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """A person at this node changed the queue. ``type``: of the entry; ``entity``: the queue, or
    the build that was moved."""

    type: str
    actor: str
    entity: str = QUEUE
    data: Mapping[str, Any] = field(default_factory=dict)
    request: bytes = field(default_factory=lambda: os.urandom(16))

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        name = self.actor[:128] or "local"
        who = Actor(name, name, ActorKind.USER.value)
        return (
            EntryDraft(self.type, who, entity=self.entity, request=self.request, data=self.data),
        )


def paused(actor: str, reason: str) -> QueueChanged:
    """Return the record of a queue that was paused."""
    return QueueChanged("queue.paused", actor, data={"reason": reason[:_MAX_REASON]})


def resumed(actor: str) -> QueueChanged:
    """Return the record of a queue that goes on."""
    return QueueChanged("queue.resumed", actor)


def moved(actor: str, build: str, before: str) -> QueueChanged:
    """Return the record of a build that was moved before another one; an empty one: to the end."""
    return QueueChanged("queue.reordered", actor, f"build:{build}", {"before": before or None})
