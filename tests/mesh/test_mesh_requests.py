"""Nodes ask to be let in over loopback, and wait for people: what ends their waiting."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import all_see_all, cluster_at, node_at, nodes_at, until

from buildnet.mesh.errors import NotFoundError, StoppingError
from buildnet.mesh.members.member_list import Rights
from buildnet.mesh.service.administration import NotAdminError
from buildnet.mesh.service.admission import AdmissionDesk
from buildnet.mesh.service.joining import JoinError
from buildnet.mesh.service.service import Joined, MembershipError
from buildnet.mesh.service.testing import Node


async def asked(node: Node, at: Node) -> tuple[asyncio.Future[Joined], str]:
    """Let ``node`` ask for admission; return the waiting join and the code that it shows."""
    shown: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    joining = asyncio.ensure_future(node.service.join(at.address, on_pending=shown.set_result))
    async with asyncio.timeout(20):
        await shown
    return joining, await shown


def test_a_request_is_approved_on_another_node(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, code = await asked(c, b)
            for node in (a, b):
                await until(node.service, node.service.requests)
                (request,) = node.service.requests()
                assert request.code == code
                assert (request.name, request.key) == ("c", c.service.key)
                assert request.responder == b.service.key
            with pytest.raises(NotAdminError, match="not admin") as caught:
                await b.service.approve("c")
            assert "a" in str(caught.value.hint)
            with pytest.raises(NotFoundError):
                await a.service.approve("nobody")
            approved = await a.service.approve(request.id[:6], rights=Rights.OBSERVER)
            assert approved.code == code
            await joining
            await all_see_all([a, b, c])
            member = c.service.view().member(c.service.key)
            assert member is not None
            assert member.rights == "observer"
            for node in (a, b, c):
                assert node.service.requests() == ()

    run(work())


def test_a_request_is_rejected_on_another_node(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, _ = await asked(c, b)
            await until(a.service, a.service.requests)
            await a.service.reject("c")
            with pytest.raises(JoinError, match="rejected"):
                await joining
            await until(a.service, lambda: not a.service.requests())
            assert len(c.service.view().members) == 1

    run(work())


def test_a_request_ends_when_who_asked_goes_away(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "c") as [a, c]:
            joining, _ = await asked(c, a)
            await until(a.service, a.service.requests)
            joining.cancel()
            await until(a.service, lambda: not a.service.requests())

    run(work())


def test_a_node_that_stops_does_not_wait_for_people(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            async with nodes_at(tmp_path, "c") as [c]:
                joining, _ = await asked(c, a)
                with pytest.raises(MembershipError, match="right now"):
                    await c.service.leave()
            with pytest.raises(StoppingError, match="stopping") as stopped:
                await joining
            assert stopped.value.exit_code == 3
            await until(a.service, lambda: not a.service.requests())

    run(work())


def test_a_node_that_stops_sends_away_who_waits_there(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b], nodes_at(tmp_path, "c") as [c]:
            joining, _ = await asked(c, b)
            await until(a.service, a.service.requests)
            b.service._stop()
            with pytest.raises(JoinError, match="about to stop"):
                await joining
            await until(a.service, lambda: not a.service.requests())

    run(work())
    assert "bug" not in caplog.text


def test_a_node_that_changes_its_cluster_sends_away_who_waits_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b", "c") as [a, b, c]:
            joining, _ = await asked(c, b)
            invited = await a.service.invite()
            await b.service.join(a.address, token=invited.token)
            with pytest.raises(JoinError, match="about to stop"):
                await joining
            assert b.service.requests() == ()

    run(work())


def test_who_waited_at_a_node_that_crashed_is_shown_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        pass

    async def work() -> None:
        async with cluster_at(tmp_path, "a") as [a], nodes_at(tmp_path, "c") as [c]:
            async with node_at(tmp_path, "b") as b:
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
                joining, _ = await asked(c, b)
                await until(a.service, a.service.requests)
                monkeypatch.setattr(AdmissionDesk, "stop", crash)
                monkeypatch.setattr(AdmissionDesk, "_publish", lambda desk: None)
            monkeypatch.undo()
            joining.cancel()
            await until(a.service, lambda: not a.service.requests())
            async with node_at(tmp_path, "b") as b:
                await all_see_all([a, b])
                await until(a.service, lambda: not a.service.requests())

    run(work())
