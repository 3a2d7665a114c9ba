"""Those who asked for one build: each ends it for themselves, and it ends with the last of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.queue_changing import cancel_here
from buildnet.node.askers import Askers
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.cancelled import NODE_STOPPED, Cancelled
from buildnet.node.pausing import Pausing
from buildnet.node.running import BuildRequest, RunningBuild


def test_a_build_ends_once_none_of_those_who_asked_wants_it() -> None:
    async def work() -> None:
        askers = Askers()
        one, other = askers.add("anna"), askers.add("agent:ci")
        assert not askers.withdraw(7)
        assert not askers.withdraw(one.number)
        assert one.left.is_set()
        assert askers.withdraw(other.number)
        assert not other.left.is_set()  # he sees how it ends

    asyncio.run(work())


def build_of(*actors: str) -> RunningBuild:
    """A build that was asked for by these, the first of whom began it."""
    made: Any = object.__new__(RunningBuild)
    made.request = BuildRequest(Path("/w"), actor="began")
    made.askers, made.cancelled, made.pausing = Askers(), asyncio.Event(), Pausing()
    made.hook = made.performer = made.cancelled_how = None
    for actor in actors:
        made.askers.add(actor)
    found: RunningBuild = made
    return found


def test_who_asked_for_a_build_that_others_want_ends_it_for_themselves_alone() -> None:
    async def work() -> None:
        build = build_of("anna", "agent:ci", "anna", "agent:ci")
        assert (build.actor, build.is_asked_by("agent:ci")) == ("anna", True)
        assert not build.is_asked_by("agent:other")
        assert not build.drop("anna", by="anna")
        assert build.actor == "agent:ci"  # whose it is now
        assert not build.drop("anna", by="anna")  # said again
        assert not build.drop("agent:ci", 1, by="agent:ci")
        assert not build.drop("agent:ci", 9, by="agent:ci")
        assert not build.cancelled.is_set()
        assert build.drop("agent:ci", 3, by="agent:ci")
        assert build.cancelled.is_set()
        assert build.cancelled_how == Cancelled("agent:ci", "it is wanted no more")

    asyncio.run(work())


def test_for_all_of_them_it_is_ended_by_who_may() -> None:
    async def work() -> None:
        build = build_of("anna", "agent:ci")
        assert build.drop(None, by="root")
        assert build.cancelled.is_set()
        assert build.cancelled_how == Cancelled("root", "anna had asked for it")
        build.cancel(NODE_STOPPED)
        assert build.cancelled_how.by == "root", "who ended it first"
        taken_over = build_of()
        assert taken_over.actor == "began"
        assert taken_over.drop("began", 0, by="began")  # whose askers are those of another node
        assert taken_over.cancelled.is_set()

    asyncio.run(work())


def test_what_is_handed_over_ends_with_who_has_it_now() -> None:
    async def work() -> None:
        build = build_of("anna", "anna")
        build.hand_over("berta")
        assert (build.actor, build.is_asked_by("anna")) == ("berta", False)
        assert build.drop("berta", by="berta")

    asyncio.run(work())


def test_nobody_ends_it_for_another_one_who_asked() -> None:
    async def work() -> None:
        build = build_of("agent:a", "agent:b")
        build_view: Any = build
        build_view.id, build_view.definition = (
            "1" * 32,
            SimpleNamespace(workspace=SimpleNamespace(name="shop")),
        )
        a, b, other = (
            Caller(CallerKind.KEY, f"agent:{name}", Rights.BUILDER, workspaces=frozenset({where}))
            for name, where in (("a", "shop"), ("b", "other"), ("c", "shop"))
        )
        for caller, asker in ((a, 1), (b, None), (other, None), (other, 0)):
            with pytest.raises(NotAllowedError):
                cancel_here(build, caller, asker)
        assert cancel_here(build, a, 0)["goes_on"]
        person = Caller(CallerKind.SESSION, "account:bob", Rights.BUILDER)
        of_user: Any = build_of("bob")
        of_user.id, of_user.definition = build.id, build.definition
        with pytest.raises(NotAllowedError):  # the account is not the user of the host
            cancel_here(of_user, person, None)
        boss = Caller(CallerKind.KEY, "agent:boss", Rights.ADMIN)
        assert not cancel_here(build, boss, None)["goes_on"]
        assert build.cancelled.is_set()
        assert build.cancelled_how == Cancelled("agent:boss", "agent:b had asked for it")
        for asker, who in ((0, "bob"), (None, "local")):  # whose Ctrl-C it is, else nobody's name
            own: Any = build_of("bob")
            own.id, own.definition = build.id, build.definition
            cancel_here(own, OWNER, asker)
            assert own.cancelled_how.by == who

    asyncio.run(work())
