"""Nodes with their whole mesh over loopback: alone, as a cluster, and how to wait for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import Status
from buildnet.mesh.identity import load_or_create
from buildnet.mesh.service.service import MeshService
from buildnet.mesh.service.testing import Node, listening_node


async def until(service: MeshService, holds: Callable[[], object]) -> None:
    """Wait until something holds; what is wrong is shown if it never does."""
    try:
        async with asyncio.timeout(20):
            while not holds():
                await service.changed(service.version)
    except TimeoutError:
        raise AssertionError(service.view()) from None


def coordinates(node: Node) -> Callable[[], object]:
    def holds() -> bool:
        office = node.service.view().office
        return office is not None and office.quorum

    return holds


def sees(node: Node, others: list[Node]) -> Callable[[], object]:
    """All of them are members, alive and linked, and one coordinates with quorum."""

    def holds() -> bool:
        view = node.service.view()
        keys = {other.service.key for other in others}
        return (
            {member.key for member in view.members} == keys
            and all(member.status is Status.ALIVE for member in view.members)
            and all(member.linked or member.key == view.me for member in view.members)
            and view.office is not None
            and view.office.quorum
            and view.office.coordinator in keys
        )

    return holds


async def all_see_all(nodes: list[Node]) -> None:
    for node in nodes:
        await until(node.service, sees(node, nodes))


def node_at(directory: Path, name: str, port: int = 0) -> AbstractAsyncContextManager[Node]:
    key_file = directory / name / "node.key"
    key_file.parent.mkdir(parents=True, exist_ok=True)
    return listening_node(directory / name, name, key=load_or_create(key_file), port=port)


@asynccontextmanager
async def nodes_at(directory: Path, *names: str) -> AsyncIterator[list[Node]]:
    """Start nodes, each a cluster of its own."""
    async with AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(node_at(directory, name)) for name in names]
        for node in nodes:
            await until(node.service, coordinates(node))
        yield nodes


@asynccontextmanager
async def cluster_at(directory: Path, *names: str) -> AsyncIterator[list[Node]]:
    """Start nodes and let all join the first one."""
    async with nodes_at(directory, *names) as nodes:
        invited = await nodes[0].service.invite(uses=len(names))
        for node in nodes[1:]:
            await node.service.join(nodes[0].address, token=invited.token)
        await all_see_all(nodes)
        yield nodes


async def refused_join(node: Node, address: str, token: str | None) -> BuildNetError:
    before = node.service.view()
    with pytest.raises(BuildNetError) as caught:
        await node.service.join(address, token=token)
    after = node.service.view()
    assert (after.cluster_id, after.boot) == (before.cluster_id, before.boot)
    assert caught.value.hint
    return caught.value


def has_three_voters(node: Node) -> Callable[[], bool]:
    """Three voters, and that is final."""

    def holds() -> bool:
        return len(node.service.cluster.machine.log.committed.voters) == 3

    return holds


def is_coordinated_by(node: Node, other: Node) -> Callable[[], bool]:
    def holds() -> bool:
        office = node.service.view().office
        return office is not None and office.coordinator == other.service.key

    return holds
