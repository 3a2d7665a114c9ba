"""The whole mesh of a node over loopback: founding, where it is reached, restarts, the office."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import (
    all_see_all,
    cluster_at,
    coordinates,
    has_three_voters,
    is_coordinated_by,
    node_at,
    nodes_at,
    until,
)

from buildnet.mesh.errors import BuildNetError, NotFoundError, UsageError
from buildnet.mesh.events import OfficeChanged
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.members.invitation import Token
from buildnet.mesh.members.proposals import NoQuorum
from buildnet.mesh.service.administration import NotAdminError
from buildnet.mesh.service.cluster import Cluster
from buildnet.mesh.service.guest import GuestEvent
from buildnet.mesh.service.service import MeshService, MeshSettings
from buildnet.mesh.service.testing import Node, listening_node, pair
from buildnet.mesh.testing import key_number


def test_a_fresh_node_is_a_cluster_of_one(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            view = a.service.view()
            (me,) = view.members
            assert (me.name, me.role, me.rights, me.voter) == ("a", "worker", "admin", True)
            assert view.office is not None
            assert view.office.summary == "quorum, 1 of 1 voters reachable"
        key_file = tmp_path / "a" / "cluster.key"
        assert key_file.stat().st_mode & 0o777 == 0o600
        async with nodes_at(tmp_path, "a") as [a]:
            again = a.service.view()
            assert again.cluster_id == view.cluster_id
            assert again.boot > view.boot
            assert again.office is not None
            assert again.office.term > view.office.term

    run(work())


def test_a_guest_that_opens_late_is_told_who_coordinates(tmp_path: Path) -> None:
    told: list[OfficeChanged] = []

    class Listener:
        def take(self, event: GuestEvent) -> None:
            if isinstance(event, OfficeChanged):
                told.append(event)

    @asynccontextmanager
    async def late(cluster: Cluster) -> AsyncIterator[Listener]:
        while cluster.local.office is None or not cluster.local.office.quorum:
            await asyncio.sleep(0)
        yield Listener()

    async def go() -> None:
        async with listening_node(tmp_path, "one", guest_of=late) as node:
            office = told[-1].office
            assert office is not None
            assert office.coordinator == node.service.key

    run(go())


def test_a_node_that_moves_tells_where_it_is_now(tmp_path: Path) -> None:
    """Members learn it, invitations name it, and the next cluster of the node, too."""

    async def work() -> None:
        moved = ("http://10.0.0.9:80", "https://a.example")
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            a.service.set_addresses(moved, ())
            await until(b.service, lambda: addresses(b, a) == moved)
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == moved
            await b.service.leave()
            b.service.set_addresses(("http://10.0.0.8:80",), ())
            assert addresses(b, b) == ("http://10.0.0.8:80",)

    def addresses(at: Node, of: Node) -> tuple[str, ...]:
        member = at.service.view().member(of.service.key)
        return () if member is None else member.addresses

    run(work())


def test_readiness_does_not_wait_for_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Announcing a node on the LAN takes seconds; that it can't be announced is counted."""
    begun = asyncio.Event()

    class Slow:
        def __init__(self, **options: object) -> None:
            begun.set()
            raise OSError("no network")

    monkeypatch.setattr("buildnet.mesh.link.discovery.AsyncZeroconf", Slow)

    async def work() -> None:
        settings = MeshSettings(tmp_path, "a", lan_addresses=("http://10.0.0.5:80",))
        service = await MeshService.open(NodeKey.generate(), settings)
        async with service.running():
            assert not begun.is_set()
            await begun.wait()
            while "discovery failed" not in {one.reason for one in service.view().counters}:
                await asyncio.sleep(0)
            assert service.candidates() == ()

    run(work())


def test_a_restarted_node_finds_its_cluster_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            cluster_id = a.service.view().cluster_id
        # Others listen on the same ports again; nobody is told anything.
        async with AsyncExitStack() as stack:
            nodes: list[Node] = []
            for name, before in (("a", a), ("b", b)):
                again = node_at(tmp_path, name, int(before.address.rpartition(":")[2]))
                nodes.append(await stack.enter_async_context(again))
            await all_see_all(nodes)
            assert nodes[0].service.view().cluster_id == cluster_id

    run(work())


def test_without_a_majority_nobody_is_promoted(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            with pytest.raises(NoQuorum):
                await a.service.promote("b")

    run(work())


def test_promote_and_priorities(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as nodes:
            a, b, _ = nodes
            await until(a.service, has_three_voters(a))
            await a.service.promote("b")
            for node in nodes:
                await until(node.service, is_coordinated_by(node, b))
            await a.service.set_priority("c", 7)
            member = a.service.view().member(a.service.find("c").key)
            assert member is not None
            assert member.priority == 7
            await a.service.promote("b", keep=True)
            assert a.service.find("b").priority == 8
            await a.service.promote("b", keep=True)
            assert a.service.find("b").priority == 8
            with pytest.raises(UsageError):
                await a.service.set_priority("c", 10**6)
            with pytest.raises(NotFoundError):
                await a.service.set_priority("d", 1)
            with pytest.raises(NotAdminError):
                await b.service.set_priority("c", 1)

    run(work())


def test_a_cluster_that_lost_its_majority_is_recovered(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            await until(a.service, lambda: a.service.view().office)
            office = a.service.view().office
            assert office is not None
            assert not office.quorum
            assert "provisional, 1 of 3 voters reachable since" in office.summary
            await a.service.recover(("a",))
            await until(a.service, coordinates(a))
            view = a.service.view()
            assert (view.epoch, view.voters) == (1, 1)

    run(work())


def test_names_and_ids_find_members(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "alice", "bob") as [a, b]:
            find = a.service.find
            assert find("bob") == find(b.service.view().node_id[:5])
            assert find("bob").key == b.service.key
            with pytest.raises(NotFoundError) as caught:
                find("alise")
            assert "alice" in str(caught.value.hint)

    run(work())


def test_before_it_runs_nothing_is_served(tmp_path: Path) -> None:
    async def work() -> None:
        service = await MeshService.open(key_number(1), MeshSettings(tmp_path, "a"))
        _, there = pair()
        await service.accept(there)
        assert there.closed is not None
        assert there.closed.close_code == 1013
        async with service.running():
            pass

    run(work())


@pytest.mark.parametrize("name", ["", " a", "a\nb", "x" * 300])
def test_names_that_a_node_can_not_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(BuildNetError):
        MeshSettings(tmp_path, name)
