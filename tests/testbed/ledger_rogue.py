"""A member of a cluster whose ledger is not to be trusted: signs whatever it likes."""

from __future__ import annotations

import os
import time
from typing import Any

from buildnet.ledger.chain import BEGINNING, Tip
from buildnet.ledger.draft import EntryDraft, next_body, node_actor, opening_body
from buildnet.ledger.entry import Chain, Entry
from buildnet.ledger.opening import Opening, Why
from buildnet.mesh.identity import NodeKey


def hybrid_now(ahead_s: float = 0.0) -> int:
    """Return a hybrid timestamp of now, or of a moment ahead."""
    return int((time.time() + ahead_s) * 1000) << 16


class RogueChain:
    """A chain of a member's key. What :meth:`make` returns fits its end, and is nobody's yet."""

    def __init__(self, key: NodeKey, cluster_id: bytes) -> None:
        self.key = key
        self.chain = Chain(key.public_key, os.urandom(8))
        self._cluster_id = cluster_id
        body = opening_body(cluster_id, self.chain, Opening(Why.FIRST), clock=hybrid_now())
        self.entries = [Entry.sign(body, key.sign)]

    @property
    def tip(self) -> Tip:
        """Its end."""
        return Tip.of(self.entries[-1])

    def grow(self, count: int = 1, **changes: Any) -> list[Entry]:
        """Append ``count`` entries; return them."""
        made = []
        for _ in range(count):
            made.append(self.make(**changes))
            self.entries.append(made[-1])
        return made

    def make(
        self,
        type: str = "system.note",
        *,
        after: Tip | None = None,
        ahead_s: float = 0.0,
        signer: NodeKey | None = None,
        cluster_id: bytes | None = None,
        **fields: Any,
    ) -> Entry:
        """Return an entry that follows ``after`` (its end). ``ahead_s``: by how much its clock is
        wrong; ``signer``: another key than the chain's."""
        fields.setdefault("data", {"text": os.urandom(8).hex()})
        draft = EntryDraft(type, node_actor(self.key.public_key, "rogue"), **fields)
        place = after or self.tip
        assert place != BEGINNING
        body = next_body(
            cluster_id or self._cluster_id, self.chain, place, draft, clock=hybrid_now(ahead_s)
        )
        return Entry.sign(body, (signer or self.key).sign)
