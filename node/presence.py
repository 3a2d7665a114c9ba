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
        async for _ in ledger.store.find(known):
            return ()
        data = {
            "node_id": node_id_of(ledger.key),
            "name": self.name,
            "role": self.role,
            "address": self.address,
        }
        return (_draft("node.joined", ledger, self.name, self.request, data),)


@dataclass(frozen=True, slots=True)
class NodeStarted:
    """The node's program began to run."""

    name: str
    role: str
    address: str
    request: bytes = field(default_factory=_request)

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        data = {
            "version": __version__,
            "name": self.name,
            "role": self.role,
            "address": self.address,
        }
        return (_draft("node.started", ledger, self.name, self.request, data),)


@dataclass(frozen=True, slots=True)
class NodeStopped:
    """The node's program is about to end. One that is killed can't tell."""

    name: str
    reason: str
    request: bytes = field(default_factory=_request)

    async def drafts(self, ledger: OpenLedger) -> Sequence[EntryDraft]:
        """Return what to write."""
        data = {"reason": self.reason, "version": __version__}
        return (_draft("node.stopped", ledger, self.name, self.request, data),)


def _draft(
    kind: str, ledger: OpenLedger, name: str, request: bytes, data: dict[str, str]
) -> EntryDraft:
    """Return what the node says of itself."""
    entity = f"node:{node_id_of(ledger.key)}"
    return EntryDraft(kind, node_actor(ledger.key, name), entity=entity, request=request, data=data)
