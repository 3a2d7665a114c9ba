"""A room above that has conversations of its own in the cluster: the ledger."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
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

if TYPE_CHECKING:
    from buildnet.mesh.service.cluster import Cluster

FIRST_KIND = 100
"""Messages of this kind and above are the guest's."""

GuestEvent = LinkUp | LinkDown | OfficeChanged | MembersChanged | StatusChanged | Received | Stalled


class Guest(Protocol):
    """Told what happens, after the mesh itself took note of it. It must not wait, nor ask the
    mesh's machine from within :meth:`take`; saying something is fine."""

    def take(self, event: GuestEvent) -> None:
        """Take note of an event."""


GuestOf = Callable[["Cluster"], AbstractAsyncContextManager[Guest]]
"""Makes the guest of one cluster; it lives while this node takes part in that one."""
