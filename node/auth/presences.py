"""What each of those who use a node does there: their connections, and how far their builds are."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from buildnet.node.auth import actors
from buildnet.node.auth.activity import Seen, Way
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.sessions import Session, Sessions
from buildnet.node.running import RunningBuild

_MOST_CONNECTIONS = 8
_MOST_BUILDS = 16


class Presences:
    """Those of one node. ``builds`` returns the builds that run there."""

    def __init__(
        self,
        connections: Connections,
        sessions: Callable[[], Sessions],
        builds: Callable[[], Iterable[RunningBuild]],
    ) -> None:
        self._connections = connections
        self._sessions = sessions
        self._builds = builds

    def view(self, now: float) -> list[dict[str, Any]]:
        """Return everybody who is here, who came first before the others: who logged in, or asked
        for something lately, or has a connection open. ``now``: seconds since 1970 UTC."""
        sessions = {each.id: each for each in self._sessions().all()}
        seen = {each.id: each for each in self._connections.activity.now(now)}
        known = {each.caller.actor for each in seen.values()}
        known |= {each.grant.known_as for each in sessions.values()}
        found = [_seen(each, sessions.get(each.id)) for each in seen.values()]
        found += [_silent(each) for name, each in sessions.items() if name not in seen]
        connections = self._connections.by_name()
        for each in found:
            mine = connections.get(each["id"], [])[-_MOST_CONNECTIONS:]
            each["connections"] = [{"what": one.what, "since": _moment(one.since)} for one in mine]
            each["builds"] = self._builds_of(each, known)
        return sorted(found, key=lambda each: (each["since"], each["id"]))

    def _builds_of(self, each: dict[str, Any], known: set[str]) -> list[dict[str, Any]]:
        """Return the builds of somebody: those of their name; who uses the socket without saying
        one may have said any for a build, so also those of all names that are nobody else's."""
        says_none = each["way"] == Way.CLI and each["actor"] == actors.LOCAL
        mine = [
            one
            for one in self._builds()
            if one.actor == each["actor"] or (says_none and one.actor not in known)
        ]
        return [build_view(one) for one in mine[:_MOST_BUILDS]]


def build_view(build: RunningBuild) -> dict[str, Any]:
    """Return how far a build is, in short."""
    far = build.how_far()
    return {
        "build_id": build.id,
        "workspace": build.workspace.name,
        "actor": build.actor,
        "since": _moment(build.started_at),
        "running": far.running,
        "left_ms": far.left_ms,
        "waits_for": far.waits_for,
    }


def _seen(seen: Seen, session: Session | None) -> dict[str, Any]:
    caller = seen.caller
    return {
        "id": seen.id,
        "way": seen.way.value,
        "actor": caller.actor,
        "rights": None if caller.rights is None else caller.rights.value,
        "is_owner": caller.is_owner,
        "address": caller.address,
        "agent": "" if session is None else session.agent,
        "since": _moment(seen.first if session is None else session.opened),
        "last": _moment(seen.last),
        "ends": None if session is None else _moment(session.ends),
        "requests": seen.requests,
    }


def _silent(session: Session) -> dict[str, Any]:
    rights = session.grant.rights
    return {
        "id": session.id,
        "way": Way.WEB.value,
        "actor": session.grant.known_as,
        "rights": None if rights is None else rights.value,
        "is_owner": session.grant.is_owner,
        "address": session.address,
        "agent": session.agent,
        "since": _moment(session.opened),
        "last": _moment(session.seen),
        "ends": _moment(session.ends),
        "requests": 0,
    }


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
