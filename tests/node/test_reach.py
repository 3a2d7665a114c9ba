"""Which builds a key for some workspaces gets to."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.errors import NotFoundError
from buildnet.mesh.members.member_list import Rights
from buildnet.node.api.reach import Reach
from buildnet.node.auth.caller import OWNER, Caller, CallerKind
from buildnet.node.auth.refusal import NotAllowedError
from buildnet.node.service import NodeService

KEY = Caller(CallerKind.KEY, "agent:ci", Rights.BUILDER, workspaces=frozenset({"shop"}))


class Service:
    """A node where one build runs and two are over."""

    def __init__(self) -> None:
        self.builder = self.history = self

    def find(self, prefix: str) -> Any:
        running = SimpleNamespace(id="1" * 32, workspace=SimpleNamespace(name="shop"))
        return running if running.id.startswith(prefix) else None

    async def build(self, prefix: str) -> Any:
        over = {"2" * 32: "shop", "3" * 32: "other"}
        for name, workspace in over.items():
            if name.startswith(prefix):
                return SimpleNamespace(id=name, workspace=workspace)
        raise NotFoundError("there is none")


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
