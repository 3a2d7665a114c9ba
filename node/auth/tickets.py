"""Tickets: by them a page opens a WebSocket, which can't show more than an address. A pure core.

A browser lets every page open WebSockets everywhere, and sends cookies along. So cookies count for
none: a page of the node's own asks for a ticket, which another page could not read, and which is
good once.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from buildnet.node.auth.caller import Caller
from buildnet.node.auth.secret import hash_of, new_secret

TICKET_S = 30.0
"""How long a ticket is good for."""
MOST_TICKETS = 256
_MOST_OF_ONE = 8


@dataclass(frozen=True, slots=True)
class _Waiting:
    caller: Caller
    ends: float


class Tickets:
    """Those that wait to be used; times are monotonic seconds."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[bytes, _Waiting] = OrderedDict()

    def issue(self, caller: Caller, now: float) -> str:
        """Return a ticket for ``caller``; of more than a few that one has, the oldest is void."""
        mine = [
            key
            for key, each in self._waiting.items()
            if each.caller.credential == caller.credential
        ]
        for key in mine[: max(0, len(mine) - _MOST_OF_ONE + 1)]:
            del self._waiting[key]
        ticket = new_secret()
        self._waiting[hash_of(ticket)] = _Waiting(caller, now + TICKET_S)
        while len(self._waiting) > MOST_TICKETS:
            self._waiting.popitem(last=False)
        return ticket

    def redeem(self, ticket: str, now: float) -> Caller | None:
        """Return whose ticket it is, which is void from now on; None: it is none that is good."""
        found = self._waiting.pop(hash_of(ticket), None)
        return None if found is None or now >= found.ends else found.caller

    def forget(self, credential: str) -> None:
        """Take back the tickets of a session that ended."""
        self._waiting = OrderedDict(
            (key, each)
            for key, each in self._waiting.items()
            if each.caller.credential != credential
        )
