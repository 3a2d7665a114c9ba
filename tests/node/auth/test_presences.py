"""With whom a build is shown."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

from buildnet.node.auth.caller import OWNER, Caller
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.presences import Presences
from buildnet.node.auth.sessions import Grant, SessionLimits, Sessions
from buildnet.node.running import RunningBuild

ROOT = replace(OWNER, actor="root")


def build_of(actor: str) -> RunningBuild:
    found: Any = SimpleNamespace(
        id=f"of {actor}",
        actor=actor,
        workspace=SimpleNamespace(name="shop"),
        started_at=0.0,
        how_far=lambda: SimpleNamespace(running=0, left_ms=None, waits_for=None),
    )
    return cast(RunningBuild, found)


def shown(callers: tuple[Caller, ...], builds: tuple[str, ...]) -> dict[tuple[str, str], list[str]]:
    """Return which builds stand with whom, by way and name; there is a page of root's."""
    connections = Connections(lambda: 1.0)
    for caller in callers:
        connections.activity.note(caller, 1.0)
    sessions = Sessions(SessionLimits())
    sessions.open("page", "secret", Grant("root", is_owner=True), 1.0)
    running = [build_of(each) for each in builds]
    found = Presences(connections, lambda: sessions, lambda: running).view(1.0)
    return {
        (each["way"], each["actor"]): [one["actor"] for one in each["builds"]] for each in found
    }


def test_each_has_the_builds_of_their_name_in_whichever_way_they_are_there() -> None:
    ann = replace(OWNER, actor="ann")
    assert shown((ROOT, ann), ("root", "ann", "ben")) == {
        ("cli", "root"): ["root"],
        ("cli", "ann"): ["ann"],
        ("web", "root"): ["root"],
    }


def test_builds_of_names_that_are_nobodys_stand_with_who_says_none() -> None:
    assert shown((ROOT, OWNER), ("root", "ben", "local")) == {
        ("cli", "root"): ["root"],
        ("cli", "local"): ["ben", "local"],
        ("web", "root"): ["root"],
    }
