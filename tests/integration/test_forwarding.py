"""What only another node can do is done there, by the rights of who asks and by nobody else's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from buildnet.mesh.members.member_list import Rights
from buildnet.node.joining import join
from buildnet.node.scan import detect
from testbed.api_keys import key_of
from testbed.api_node import ApiNode, asked_node


@asynccontextmanager
async def pair(directory: Path) -> AsyncIterator[tuple[ApiNode, ApiNode]]:
    """An admin's node, which coordinates, and a builder's; each knows the other."""
    async with asked_node(directory / "one") as one, asked_node(directory / "two") as two:
        invited = await one.service.mesh.invite(uses=1)
        await join(two.service, one.service.address, invited.token)
        async with asyncio.timeout(30):
            for node in (one, two):
                while not sees(node, one.service.key.public_key):
                    await node.service.mesh.changed(node.service.mesh.version)
        yield one, two


def sees(node: ApiNode, coordinator: bytes) -> bool:
    """Tell whether a node is linked with the other one and knows who coordinates."""
    local = node.service.mesh.cluster.local
    office = local.office
    return len(local.links) == 1 and office is not None and office.coordinator == coordinator


async def ask(
    node: ApiNode, method: str, path: str, key: str, body: Any = None
) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of the answer of a node's own port."""

    def go() -> tuple[int, dict[str, Any]]:
        parts = urlsplit(node.service.address)
        connection = HTTPConnection(str(parts.hostname), parts.port, timeout=30)
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        try:
            connection.request(method, path, json.dumps(body or {}), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    return await asyncio.to_thread(go)


def test_each_node_goes_by_the_key_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(detect, "_USUAL_DIRECTORIES", ())

    async def run() -> None:
        async with asyncio.timeout(90), pair(tmp_path) as (one, two):
            admin, builder = (
                key_of(one, name, rights)
                for name, rights in (("boss", Rights.ADMIN), ("ci", Rights.BUILDER))
            )
            # the owner of the second node is a builder, and lends none of that
            assert await ask(two, "POST", "/api/queue/pause", admin) == (
                200,
                {"success": True, "build_id": None},
            )
            assert one.service.builder.workshop.sharing is not None
            assert one.service.builder.workshop.sharing.desk is not None
            held = one.service.builder.workshop.sharing.desk.held
            assert (held.paused, held.actor) == (True, "agent:boss")
            status, problem = await ask(two, "POST", "/api/queue/resume", builder)
            assert (status, problem["code"]) == (403, "NOT_ALLOWED")
            status, problem = await ask(two, "POST", "/api/queue/none/cancel", builder)
            assert (status, problem["code"]) == (404, "NOT_FOUND")
            # the owner of the first node is an admin, and lends none of that either
            name = two.service.key.node_id
            status, told = await ask(one, "POST", f"/api/servers/{name}/drain", admin)
            assert (status, told["draining"]) == (200, True)
            assert two.service.in_force.terms.draining
            status, problem = await ask(one, "POST", f"/api/servers/{name}/resume", builder)
            assert (status, problem["code"]) == (403, "NOT_ALLOWED")
            change = {"tags": ["fast"]}
            for node in (one, two):  # there the owner's word counts, whichever way it is asked
                status, problem = await ask(node, "PUT", f"/api/servers/{name}", admin, change)
                assert (status, problem["code"]) == (403, "SERVER_REFUSED")
            assert two.service.in_force.terms.draining

    asyncio.run(run())
