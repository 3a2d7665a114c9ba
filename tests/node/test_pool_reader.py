"""The names that members tell of themselves: shown, and never a way into another's place."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.mesh.errors import UsageError
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.service.service import MeshService
from buildnet.mesh.service.testing import Node, listening_node
from buildnet.node.pool_reader import PoolReader
from buildnet.pool.advertisement import PROFILE, Profile


async def until(service: MeshService, holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await service.changed(service.version)


async def joined(stack: AsyncExitStack, directory: Path, *names: str) -> list[Node]:
    nodes = []
    for name in names:
        key = NodeKey.generate()
        nodes.append(
            await stack.enter_async_context(listening_node(directory / name, name, key=key))
        )
    founder = nodes[0].service
    await until(founder, lambda: founder.view().office is not None)
    token = (await founder.invite(uses=len(names))).token
    for node in nodes[1:]:
        await node.service.join(nodes[0].address, token=token)
    await until(founder, lambda: len(founder.view().members) == len(names))
    return nodes


def call_itself(node: Node, name: str) -> None:
    node.service.advertise(PROFILE, Profile(name=name, role="worker", version="1").encode())


def rights(service: MeshService) -> dict[str, str]:
    members = service.cluster.local.members.members.values()
    return {member.name: member.rights.value for member in members}


def test_nobody_gets_what_was_meant_for_another(tmp_path: Path) -> None:
    async def work() -> None:
        async with asyncio.timeout(60), AsyncExitStack() as stack:
            a, b, c = await joined(stack, tmp_path, "a", "b", "c")
            admin = a.service
            reader = PoolReader(cast(Any, SimpleNamespace(mesh=admin, name="a")))
            admin.told_names = reader.told_names
            other = c.service.view().node_id

            async def shown(name: str) -> None:
                call_itself(b, name)
                await until(admin, lambda: name_of(b) == name)

            def name_of(node: Node) -> str | None:
                member = reader.view().member(node.service.key)
                return member.name if member else None

            for name in (other, other[:6]):
                await shown(name)
                found = await admin.set_rights(name, Rights.ADMIN)
                assert (found.key, found.name) == (c.service.key, "c")
                await admin.set_rights(other, Rights.BUILDER)
            assert rights(admin) == {"a": "admin", "b": "builder", "c": "builder"}

            await shown("c")
            with pytest.raises(UsageError, match="several members are called 'c'"):
                admin.find("c")
            await shown("berta")
            assert {admin.find(name).key for name in ("b", "berta")} == {b.service.key}
            assert admin.find("b").name == "berta"

            call_itself(b, "a\x1b[2J")
            await until(admin, lambda: name_of(b) == "b")
            await shown("0123456789abcdef")
            assert "0123456789abcdef" not in reader.told_names().values()

    asyncio.run(work())
