"""Which builds a key for some workspaces gets to."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.identity import node_id_of
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.reach import Reach
from buildnet.node.auth.actions import Action
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.refusal import KeyElsewhereError, NotAllowedError
from buildnet.node.other_builds import OtherBuild, Recorder
from buildnet.node.service import NodeService

KEY = Caller(CallerKind.KEY, "agent:ci", Rights.BUILDER, workspaces=frozenset({"shop"}))


class Service:
    """A node where one build runs and two are over."""

    def __init__(self) -> None:
        self.builder = self.history = self
        self.others = Others()

    def find(self, prefix: str) -> Any:
        running = SimpleNamespace(id="1" * 32, workspace=SimpleNamespace(name="shop"))
        return running if running.id.startswith(prefix) else None

    async def build(self, prefix: str) -> Any:
        over = {"2" * 32: "shop", "3" * 32: "other"}
        for name, workspace in over.items():
            if name.startswith(prefix):
                return SimpleNamespace(id=name, workspace=workspace)
        raise NotFoundError("there is none")


class Others:
    """Other nodes have a build of the workspace ``shop`` and one of another one."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def find(self, name: str) -> OtherBuild:
        self.asked.append(name)
        for build in ("5" * 32, "6" * 32):
            if build.startswith(name):
                return OtherBuild(
                    build, (Recorder(b"r" * 32, "worker"), Recorder(b"t" * 32, "taker"))
                )
        raise NotFoundError("no node tells")

    async def record(self, build: OtherBuild) -> Any:
        return SimpleNamespace(data={"workspace": "shop" if build.id[0] == "5" else "other"})


def named(asking: Caller, build: str) -> str:
    return asyncio.run(Reach(cast(NodeService, Service())).build(asking, build))


def test_a_key_for_some_workspaces_names_whole_builds() -> None:
    # The same beginning may be that of another's build on another node, or in a moment.
    assert named(KEY, "1") == "1" * 32
    assert named(KEY, "2") == "2" * 32
    assert named(OWNER, "2") == "2"
    for build in ("3", "4"):
        with pytest.raises(NotAllowedError):
            named(KEY, build)


def found(asking: Caller, build: str, service: Service | None = None) -> Any:
    return asyncio.run(Reach(cast(NodeService, service or Service())).find(asking, build))


def test_builds_of_other_nodes_are_found_where_this_one_has_none() -> None:
    service = Service()
    assert found(OWNER, "2", service).id == "2" * 32
    assert service.others.asked == []
    assert found(OWNER, "5", service).id == "5" * 32
    with pytest.raises(NotFoundError, match="there is none"):
        found(OWNER, "7", service)


def test_a_key_for_some_workspaces_or_nodes_gets_to_no_others_elsewhere() -> None:
    assert found(KEY, "5").id == "5" * 32
    for build in ("6", "7"):
        with pytest.raises(NotAllowedError):
            found(KEY, build)
    there = replace(OWNER, nodes=frozenset({node_id_of(b"r" * 32)}))
    assert found(there, "6").id == "6" * 32
    for key in (b"r" * 32, b"t" * 32):  # nobody else is asked for it
        there = replace(OWNER, nodes=frozenset({node_id_of(key)}))
        assert [one.key for one in found(there, "6").recorders] == [key]
    with pytest.raises(KeyElsewhereError):
        found(replace(OWNER, nodes=frozenset({"0" * 16})), "6")


def test_a_node_that_asks_is_told_of_this_one_s_builds_alone() -> None:
    service = Service()
    node = Caller(CallerKind.NODE, "node:1", Rights.OBSERVER)
    assert found(node, "2", service).id == "2" * 32
    with pytest.raises(NotFoundError):
        found(node, "5", service)
    assert service.others.asked == []


def test_only_who_could_keep_a_configuration_says_how_far_commands_are_kept_apart() -> None:
    reach = Reach(cast(NodeService, Service()))
    for level in (None, "strict"):
        reach.isolation(KEY, level)
    for asking in (OWNER, replace(KEY, rights=Rights.ADMIN)):
        reach.isolation(asking, "staged")
    for asking in (
        KEY,
        replace(KEY, rights=Rights.ADMIN, actions=frozenset({Action.TRIGGER_BUILD})),
    ):
        with pytest.raises(NotAllowedError):
            reach.isolation(asking, "staged")
