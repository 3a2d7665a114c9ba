"""Who uses this node, and what may be done about it: see them, end a session, hand over builds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from buildnet.ledger.history import History
from buildnet.mesh.errors import UsageError
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.people import People
from buildnet.node.auth.presences import Presences, build_view
from buildnet.node.auth.sent_away import sent_away
from buildnet.node.auth.session_records import handed_over, kicked
from buildnet.node.auth.sessions import Ended
from buildnet.node.recording import Record
from buildnet.node.running import RunningBuild

_MOST_CHARACTERS = 128


class SessionDesk:
    """Of one node. ``builds`` returns those that run there."""

    def __init__(
        self,
        people: People,
        connections: Connections,
        builds: Callable[[], Iterable[RunningBuild]],
        history: History,
        record: Callable[[Record], None],
    ) -> None:
        self._people = people
        self._connections = connections
        self._builds = builds
        self._history = history
        self._record = record
        self._presences = Presences(connections, lambda: people.sessions, builds)

    def everybody(self) -> list[dict[str, Any]]:
        """Return who uses this node."""
        return self._presences.view(time.time())

    async def end(self, whose: str, by: str, reason: str) -> list[dict[str, Any]]:
        """End the session of this id with its connections, or cut off who has none; what they
        started goes on. Return whom; empty: there is none."""
        found = [each for each in self.everybody() if each["id"] == whose]
        for each in found:
            self._record(kicked(each["id"], each["actor"], by, reason))
            await self._people.end(each["id"], Ended.KICKED)
            self._connections.hang_up(each["id"], sent_away(each["way"]))
        return found

    async def hand_over(
        self, whose: str, to: str, by: str, only: str | None = None
    ) -> list[dict[str, Any]]:
        """Let the builds of a session, by its id, or of an actor be another actor's from now on;
        ``only``: those of this actor. Return them.

        Raises:
            UsageError: ``to`` is no name.
        """
        if not to or len(to) > _MOST_CHARACTERS or not to.isprintable():
            raise UsageError(
                f"{to!r:.80} is no name of an actor", hint="an account, or agent:NAME of a key"
            )
        builds = self._builds_of(whose)
        if only is not None:
            builds = [build for build in builds if build.actor == only]
        for build in builds:
            former = build.actor
            build.hand_over(to)
            await self._history.hand_over(build.id, to)
            self._record(handed_over(build.id, former, to, by))
        return [build_view(build) for build in builds]

    def _builds_of(self, whose: str) -> Sequence[RunningBuild]:
        theirs = [each["builds"] for each in self.everybody() if each["id"] == whose]
        shown = {one["build_id"] for builds in theirs for one in builds}
        return [one for one in self._builds() if one.id in shown or one.actor == whose]
