"""Entries of the ledger as soon as they are on this node's disk: the channel ``ledger``."""

from __future__ import annotations

import asyncio
import time

from buildnet.ledger.entry_view import entry_view
from buildnet.ledger.query import Query
from buildnet.node.events.channel import Channel
from buildnet.node.events.hub import Hub
from buildnet.node.events.service import Ready
from buildnet.node.ledger_tail import LedgerTail


class LedgerSource:
    """Follows the ledger's tail."""

    channels = frozenset({Channel.LEDGER})

    def __init__(self, tail: LedgerTail, hub: Hub) -> None:
        self._tail = tail
        self._hub = hub

    async def run(self, ready: Ready) -> None:
        """Feed until it is cancelled."""
        entries = self._tail.follow(
            Query(),
            cursor=None,
            last=0,
            ended=asyncio.Event(),  # never
            on_begun=lambda: ready(Channel.LEDGER),
        )
        async for stored, after in entries:
            data = {**entry_view(stored), "cursor": str(after)}
            self._hub.tell(Channel.LEDGER, "ledger_entry", data, time.time())
