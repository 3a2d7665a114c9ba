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
                {"success": True, "build_id": None, "changed": True},
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
            await what_admins_sign(one, two, admin, builder)

    asyncio.run(run())


async def what_admins_sign(one: ApiNode, two: ApiNode, admin: str, builder: str) -> None:
    """What only the node of an admin can do is done there, of whichever node it is asked."""
    invite, account = {"uses": 2, "valid_s": 60}, {"id": "anna", "rights": "observer"}
    config = {"name": "mine"}
    asked: list[tuple[str, str, dict[str, Any]]] = [
        ("POST", "/api/node/invite", invite),
        ("POST", "/api/servers", {"name": "third"}),
        ("POST", "/api/accounts", account),
        ("PUT", "/api/accounts/anna", {"rights": "builder"}),
        ("POST", "/api/configs", config),
        ("DELETE", "/api/configs/mine", {}),
        ("POST", "/api/node/rights", {"node": two.service.key.node_id, "rights": "builder"}),
        ("POST", "/api/node/priority", {"node": two.service.key.node_id, "priority": 1}),
    ]
    here = key_of(one, "here", Rights.ADMIN, scope=(f"node:{one.service.key.node_id}",))
    for method, path, body in asked:
        status, told = await ask(two, method, path, admin, body)
        assert status in (200, 201), (path, told)
        status, told = await ask(two, method, path, builder, body)
        assert (status, told["code"]) == (403, "NOT_ALLOWED"), path
        status, told = await ask(two, method, path, here, body)
        assert (status, told["code"]) == (403, "KEY_ELSEWHERE"), path
        status, told = await ask(one, method, path, here, body)
        assert (status, told["code"]) == (403, "NOT_ALLOWED"), path
    _, told = await ask(two, "GET", "/api/node/invitations", admin)
    assert [each["uses_left"] for each in told["invitations"]] == [2, 1]
    # others tell who uses them to the node of an admin, so that one asks
    _, told = await ask(two, "GET", "/api/sessions", admin)
    assert told["silent"] == []
    nodes = {each["node_id"] for each in told["sessions"] if each["actor"] == "agent:boss"}
    assert nodes == {one.service.key.node_id, two.service.key.node_id}
    _, told = await ask(two, "GET", "/api/sessions", builder)
    assert {each["actor"] for each in told["sessions"]} == {"agent:ci"}
    _, told = await ask(one, "GET", "/api/sessions", here)  # it sees that node alone
    assert {each["actor"] for each in told["sessions"]} >= {"agent:boss", "agent:here"}
    assert {each.get("node_id") for each in told["sessions"]} == {None}
    (seen,) = (await ask(two, "GET", "/api/sessions", key_of(one, "solo", Rights.OBSERVER)))[1][
        "sessions"
    ]
    seen = seen["id"]
    assert (await ask(one, "DELETE", f"/api/sessions/{seen}", here))[0] == 404
    status, told = await ask(two, "DELETE", f"/api/sessions/{seen}", admin)
    assert (status, [each["id"] for each in told["sessions"]]) == (200, [seen])


def test_a_node_is_told_of_single_builds_alone_and_only_if_it_may_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr(detect, "_USUAL_DIRECTORIES", ())

    async def looked(node: ApiNode, at: ApiNode, path: str) -> tuple[int, dict[str, Any]]:
        key = at.service.key.public_key
        found = await node.service.access.forwarding.look(key, path, lambda answer: answer)
        return found.status, json.loads(found.body)

    async def run() -> None:
        async with asyncio.timeout(90), pair(tmp_path) as (one, two):
            told = [
                f"/api/build/none{part}" for part in ("", "/graph", "/artifacts", "/provenance")
            ]
            for path in (*told, "/api/builds/compare?before=a&after=b"):
                status, problem = await looked(two, one, path)
                assert (status, problem["code"]) == (404, "NOT_FOUND"), path
            for path in (
                "/api/builds",
                "/api/build/none/log?package=a",
                "/api/build/none/events",
                "/api/build/none/review",
                "/api/cache/actions",
                "/api/queue",
                "/api/node/logs",
                "/api/pool",
                "/api/ledger",
            ):
                status, problem = await looked(two, one, path)
                assert (status, problem["code"]) == (403, "NOT_ALLOWED"), path
            change = {"node": two.service.key.node_id, "rights": "observer"}
            admin = key_of(one, "boss", Rights.ADMIN)
            assert (await ask(one, "POST", "/api/node/rights", admin, change))[0] == 200
            status, problem = await looked(two, one, "/api/build/none")
            assert (status, problem["code"]) == (403, "NOT_ALLOWED")
            assert "may only look at the pool" in problem["detail"]
            status, problem = await looked(one, two, "/api/build/none")
            assert (status, problem["code"]) == (404, "NOT_FOUND")

    asyncio.run(run())
