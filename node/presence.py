"""That a node is there: what the ledger is told when it joins, starts and stops."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from buildnet import __version__
from buildnet.ledger.draft import EntryDraft, node_actor
from buildnet.ledger.query import Query
from buildnet.mesh.identity import node_id_of
from buildnet.node.recording import OpenLedger


def _request() -> bytes:
    return os.urandom(16)


@dataclass(frozen=True, slots=True)
class NodeJoined:
    """The node takes part in a cluster. Written once in each cluster's ledger."""

    name: str
    role: str
    address: str
    request: bytes = field(default_factory=_request)

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write: nothing, if the ledger knows the node already."""
        known = Query(types=("node.joined",), origin=ledger.key.hex())
        if (await ledger.store.query(known, limit=1)).entries:
            return ()
        node_id = node_id_of(ledger.key)
        return (
            EntryDraft(
                "node.joined",
                node_actor(ledger.key, self.name),
                entity=f"node:{node_id}",
                request=self.request,
                data={
                    "node_id": node_id,
                    "name": self.name,
                    "role": self.role,
                    "address": self.address,
                },
            ),
        )


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """The node's program began to run."""

    name: str
    role: str
    address: str
    request: bytes = field(default_factory=_request)

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        return (
            EntryDraft(
                "node.started",
                node_actor(ledger.key, self.name),
                entity=f"node:{node_id_of(ledger.key)}",
                request=self.request,
                data={
                    "version": __version__,
                    "name": self.name,
                    "role": self.role,
                    "address": self.address,
                },
            ),
        )


@dataclass(frozen=True, slots=True)
class NodeStopped:
    """The node's program is about to end. One that is killed can't tell."""

    name: str
    reason: str
    request: bytes = field(default_factory=_request)

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        return (
            EntryDraft(
                "node.stopped",
                node_actor(ledger.key, self.name),
                entity=f"node:{node_id_of(ledger.key)}",
                request=self.request,
                data={"reason": self.reason, "version": __version__},
            ),
        )
