"""Who is connected, and how they are cut off."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.node.auth import connections as module
from buildnet.node.auth.activity import GONE_S, presence_of
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.connections import Connections
from buildnet.node.auth.refusal import KeyRevokedError

WHY = KeyRevokedError("it was revoked")


def test_a_connection_is_known_while_it_is_open() -> None:
    connections = Connections(lambda: 5.0)
    with connections.track(OWNER, lambda why: None, "GET /x") as one:
        assert [(each.what, each.since) for each in connections.live()] == [("GET /x", 5.0)]
        assert one.ended is None
    assert connections.live() == ()


def test_those_whose_credential_counts_no_more_are_cut_off_once() -> None:
    connections, told = Connections(), list[str]()
    problems: list[BuildNetError | None] = [None]
    doubtful = Caller(CallerKind.KEY, "a", problem=lambda: problems[0])
    with connections.track(doubtful, told.append) as one, connections.track(OWNER, told.append):
        assert connections.look() == 0
        problems[0] = WHY
        assert connections.look() == 1
        assert connections.look() == 0
        assert one.ended is WHY
        assert told == ["it was revoked"]
        assert [each.caller for each in connections.live()] == [OWNER]


def test_those_of_one_credential_are_cut_off() -> None:
    connections, told = Connections(), list[str]()
    key, other = (Caller(CallerKind.KEY, "a", credential=name) for name in "ab")
    with connections.track(key, told.append), connections.track(other, told.append):
        assert connections.end("a", WHY) == 1
        assert [each.caller for each in connections.live()] == [other]


def test_who_asks_without_a_login_is_another_session_on_each_node() -> None:
    one, two = (Connections(here=name) for name in ("1f", "2f"))
    key = Caller(CallerKind.KEY, "a", credential="k")
    for caller in (OWNER, key):
        assert one.name_of(caller) != two.name_of(caller)
        with one.track(caller, lambda why: None):
            assert list(one.by_name()) == [one.name_of(caller)]
    assert [each.id for each in one.activity.now(0.0)] == [one.name_of(OWNER), one.name_of(key)]


def test_to_tell_who_is_there_each_connection_is_looked_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[Caller] = []

    def look(caller: Caller, here: str) -> str:
        looked.append(caller)
        return presence_of(caller, here)

    monkeypatch.setattr(module, "presence_of", look)
    connections = Connections(lambda: 5.0)
    people = [Caller(CallerKind.SESSION, "a", credential=f"s{number}") for number in range(20)]
    with ExitStack() as stack:
        for person in people:
            stack.enter_context(connections.track(person, lambda why: None))
        found = connections.activity.now(5.0 + GONE_S)  # they listen, and say nothing
    assert len(found) == len(people) == len(looked)
