"""Rooms above that have conversations of their own in the cluster: the ledger, the pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from buildnet.mesh.events import (
    LinkDown,
    LinkUp,
    MembersChanged,
    OfficeChanged,
    Received,
    Stalled,
    StatusChanged,
)
from buildnet.mesh.messages.kinds import kind_of

if TYPE_CHECKING:
    from buildnet.mesh.service.cluster import Cluster

FIRST_KIND = 100
"""Messages of this kind and above are the guests'."""

GuestEvent = LinkUp | LinkDown | OfficeChanged | MembersChanged | StatusChanged | Received | Stalled


class Guest(Protocol):
    """Told what happens, after the mesh itself took note of it. It must not wait, nor ask the
    mesh's machine from within :meth:`take`; saying something is fine."""

    def take(self, event: GuestEvent) -> None:
        """Take note of an event."""


GuestOf = Callable[["Cluster"], AbstractAsyncContextManager[Guest]]
"""Makes the guest of one cluster; it lives while this node takes part in that one."""


@dataclass(frozen=True, slots=True)
class _Party:
    """Several guests; ``kinds`` of messages concern one of them each, all else concerns all."""

    guests: Sequence[tuple[range, Guest]]

    def take(self, event: GuestEvent) -> None:
        """Hand an event to whom it concerns."""
        kind = kind_of(event.message).number if isinstance(event, Received) else None
        for kinds, guest in self.guests:
            if kind is None or kind in kinds:
                guest.take(event)


def together(*guests: tuple[range, GuestOf]) -> GuestOf:
    """Return several guests as one; each is given the kinds of messages that are its own. They are
    opened in their order and closed in the other."""

    @asynccontextmanager
    async def open_all(cluster: Cluster) -> AsyncIterator[Guest]:
        async with AsyncExitStack() as stack:
            yield _Party(
                [(kinds, await stack.enter_async_context(of(cluster))) for kinds, of in guests]
            )

    return open_all
