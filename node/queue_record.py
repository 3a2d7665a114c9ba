"""What the ledger is told of the queue, and tells of it after all nodes were stopped: that somebody
paused it or let it go on. And what somebody wants of one build: paused, moved, more urgent."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.entry import Actor, ActorKind
from buildnet.ledger.query import Query
from buildnet.mesh.wire import MAX_COUNTER
from buildnet.node.recording import Ledger, OpenLedger
from buildnet.pool.demand import Priority
from buildnet.pool.messages.queueing import QueueHeld

QUEUE = "queue:all"
PAUSED, RESUMED = "queue.paused", "queue.resumed"
BUILD_PAUSED = "queue.build_paused"
_PAUSES = (PAUSED, BUILD_PAUSED)
_LOOKED_AT = 64
"""Of what was paused longer ago the reason stands in the ledger alone."""
_RECALLED = 8
"""What was said last is among so many: who writes it may be a moment later than another one."""
_MAX_REASON = 1000


@dataclass(frozen=True, slots=True)
class QueueChanged:
    """A person at this node changed the queue. ``type``: of the entry; ``entity``: the queue, or
    the build that it is about."""

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


def held(actor: str, paused: bool, since_ms: int, reason: str) -> QueueChanged:
    """Return the record of a queue that was paused, or goes on, since a time of the coordinator."""
    since = {"since_ms": since_ms}
    if paused:
        return QueueChanged(PAUSED, actor, data={"reason": reason[:_MAX_REASON], **since})
    return QueueChanged(RESUMED, actor, data=since)


def of_build(
    actor: str, build: str, what: str, priority: Priority, reason: str
) -> QueueChanged | None:
    """Return the record of what somebody wants of a build; None: its own end tells of it."""
    entity = f"build:{build}"
    match what:
        case "pause":
            data = {"reason": reason[:_MAX_REASON]}
            return QueueChanged(BUILD_PAUSED, actor, entity, data)
        case "resume":
            return QueueChanged("queue.build_resumed", actor, entity)
        case "priority":
            named = {"priority": priority.name.lower()}
            return QueueChanged("queue.build_prioritized", actor, entity, named)
    return None


async def recalled(ledger: Ledger) -> list[tuple[bytes, QueueHeld]]:
    """Return what was said last of the whole queue, each with the key of the node that wrote it.

    Raises:
        BuildNetError: the ledger can't be read.
    """
    opened, found = await ledger.current(), list[tuple[bytes, QueueHeld]]()
    wanted = Query(types=(PAUSED, RESUMED), entity=QUEUE)
    async for stored in opened.store.find(wanted, backwards=True):
        entry = stored.entry
        since_ms = entry.data.get("since_ms")
        if isinstance(since_ms, int) and 0 < since_ms <= MAX_COUNTER:
            paused = entry.body.type == PAUSED
            found.append((entry.body.origin, QueueHeld(paused, since_ms, entry.body.actor.name)))
        if len(found) == _RECALLED:
            break
    return found


@dataclass(frozen=True, slots=True)
class Reasons:
    """Why somebody paused what is paused: ``whole``: the whole queue; ``builds``: by their ids.
    Nothing is known of what nobody gave a reason for."""

    whole: str | None = None
    builds: Mapping[str, str] = field(default_factory=dict)


async def reasons(ledger: Ledger, since_ms: int | None, builds: Collection[str]) -> Reasons:
    """Return what the ledger tells of pauses that are in force. ``since_ms``: of the whole queue,
    None: it is not paused; ``builds``: the paused ones.

    Raises:
        BuildNetError: the ledger can't be read.
    """
    opened, whole, found = await ledger.current(), None, dict[str, str]()
    looked = 0
    async for stored in opened.store.find(Query(types=_PAUSES), backwards=True):
        body, data = stored.entry.body, stored.entry.data
        reason, build = data.get("reason"), (body.entity or "").removeprefix("build:")
        if isinstance(reason, str):
            if body.type == PAUSED and data.get("since_ms") == since_ms:
                whole = reason
            elif body.type == BUILD_PAUSED and build in builds:
                found.setdefault(build, reason)
        looked += 1
        if looked == _LOOKED_AT:
            break
    return Reasons(whole or None, {build: reason for build, reason in found.items() if reason})


def moved(actor: str, build: str, before: str) -> QueueChanged:
    """Return the record of a build that was moved before another one; an empty one: to the end."""
    return QueueChanged("queue.reordered", actor, f"build:{build}", {"before": before or None})
