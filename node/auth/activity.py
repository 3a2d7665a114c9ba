"""Who uses this node: from where, since when, how much. A pure core.

Somebody is one who asks with one credential from one address. Who was silent for
:data:`GONE_S` and has no connection open is gone. Nothing is asked for it: each request that comes
is noted.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum

from buildnet.node.auth.caller import Caller, CallerKind

GONE_S = 900.0
MOST_SEEN = 1000


class Way(StrEnum):
    """How somebody asks."""

    CLI = "cli"
    WEB = "web"
    API = "api"


@dataclass(slots=True)
class Seen:
    """Somebody who asks. ``id``: of their session where they logged in; ``first``, ``last``:
    seconds since 1970 UTC; ``requests``: how many since then."""

    id: str
    way: Way
    caller: Caller
    first: float
    last: float
    requests: int = 0


class Activity:
    """Takes note of requests. ``connected``: the ids of those who have a connection open;
    ``here``: the id of the node, which those of its users follow from."""

    def __init__(
        self, connected: Callable[[], Collection[str]] = frozenset, here: str = ""
    ) -> None:
        self._connected = connected
        self._here = here
        self._seen: dict[str, Seen] = {}

    def note(self, caller: Caller, now: float) -> Seen:
        """Take note of a request; return who it is of. Of too many the longest silent go."""
        name = presence_of(caller, self._here)
        found = self._seen.pop(name, None)
        if found is None or now - found.last >= GONE_S:
            way = _WAYS.get(caller.kind, Way.API)
            found = Seen(name, way, caller, now, now)
        self._seen[name] = found
        found.caller, found.last = caller, max(now, found.last)
        found.requests += 1
        while len(self._seen) > MOST_SEEN:
            del self._seen[next(iter(self._seen))]
        return found

    def forget(self, name: str) -> None:
        """Forget somebody, who was sent away."""
        self._seen.pop(name, None)

    def now(self, now: float) -> list[Seen]:
        """Return those who are here, who came first before the others; not those whose credential
        counts no more."""
        connected = self._connected()
        for name, each in list(self._seen.items()):
            is_gone = now - each.last >= GONE_S and name not in connected
            if is_gone or each.caller.problem() is not None:
                del self._seen[name]
        return sorted(self._seen.values(), key=lambda each: (each.first, each.id))


_WAYS = {CallerKind.OWNER: Way.CLI, CallerKind.SESSION: Way.WEB}


def presence_of(caller: Caller, here: str = "") -> str:
    """Return the id under which somebody is known: a session's own, else one that follows from
    credential, name and address, and from the node (``here``: its id): each node has its own."""
    if caller.kind is CallerKind.SESSION:
        return caller.credential
    said = "\0".join((here, caller.kind, caller.credential, caller.actor, caller.address))
    return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:12]
