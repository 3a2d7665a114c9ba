"""Who is connected now; whose credential counts no more is cut off."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from buildnet.mesh.errors import BuildNetError
from buildnet.node.auth.activity import Activity, presence_of
from buildnet.node.auth.caller import Caller


@dataclass(slots=True)
class Connection:
    """One request that is being answered, a stream or a WebSocket. ``what``: method and path;
    ``since``: seconds since 1970; ``ended``: why it was cut off."""

    number: int
    caller: Caller
    what: str
    since: float
    end: Callable[[str], None] = field(repr=False)
    ended: BuildNetError | None = None


class Connections:
    """All of them. ``clock``: seconds since 1970; ``here``: the id of the node."""

    def __init__(self, clock: Callable[[], float] = time.time, here: str = "") -> None:
        self._clock = clock
        self._here = here
        self.activity = Activity(self.by_name, here)
        self._numbers = itertools.count(1)
        self._live: dict[int, Connection] = {}

    @contextmanager
    def track(
        self, caller: Caller, end: Callable[[str], None], what: str = ""
    ) -> Iterator[Connection]:
        """Know of a connection while the context is open. ``end`` is called once at most, with the
        reason in words, and has to see that the connection ends."""
        self.activity.note(caller, self._clock())
        connection = Connection(next(self._numbers), caller, what, self._clock(), end)
        self._live[connection.number] = connection
        try:
            yield connection
        finally:
            del self._live[connection.number]

    def live(self) -> tuple[Connection, ...]:
        """Return those that are open and were not cut off, the oldest first."""
        return tuple(one for one in self._live.values() if one.ended is None)

    def name_of(self, caller: Caller) -> str:
        """Return the id under which somebody is known on this node."""
        return presence_of(caller, self._here)

    def by_name(self) -> dict[str, list[Connection]]:
        """Return all that are open by whose they are, as :func:`presence_of` tells it; each is
        looked at once, for there may be thousands."""
        found: dict[str, list[Connection]] = {}
        for one in self.live():
            found.setdefault(self.name_of(one.caller), []).append(one)
        return found

    def look(self) -> int:
        """Cut off those whose credential counts no more; return how many."""
        found = [(one, one.caller.problem()) for one in self.live()]
        return sum(self._end(one, why) for one, why in found if why is not None)

    def end(self, credential: str, why: BuildNetError, but: int = 0) -> int:
        """Cut off those of one key or session, ``but`` for the one of this number; return how
        many."""
        self.activity.forget(credential)
        found = [one for one in self.live() if one.caller.credential == credential]
        found = [one for one in found if one.number != but]
        return sum(self._end(one, why) for one in found)

    def hang_up(self, name: str, why: BuildNetError) -> int:
        """Cut off those of somebody, whatever credential they have; return how many."""
        self.activity.forget(name)
        return sum(self._end(one, why) for one in self.by_name().get(name, ()))

    def _end(self, connection: Connection, why: BuildNetError) -> bool:
        connection.ended = why
        connection.end(why.message)
        return True
