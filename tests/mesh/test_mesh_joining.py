"""Nodes join over loopback: with tokens, with wrong clocks, at once; and what keeps them out."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import all_see_all, cluster_at, node_at, nodes_at, refused_join, until

from buildnet.mesh.errors import UsageError
from buildnet.mesh.events import Persist
from buildnet.mesh.identity import NodeKey
from buildnet.mesh.link.dialing import UnreachableError, dial
from buildnet.mesh.members.invitation import Token, TokenError
from buildnet.mesh.members.member_list import Role
from buildnet.mesh.service import opening
from buildnet.mesh.service.joining import Applicant, JoinError
from buildnet.mesh.service.opening import SeedFact, now_ms
from buildnet.mesh.service.service import MembershipError
from buildnet.mesh.service.store import MeshStore


def test_join_with_a_token(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as nodes:
            a, b, c = nodes
            ids = {node.service.view().cluster_id for node in nodes}
            assert len(ids) == 1
            terms = {node.service.view().office.term for node in nodes}  # type: ignore[union-attr]
            assert len(terms) == 1
            member = a.service.view().member(b.service.key)
            assert member is not None
            assert (member.rights, member.role) == ("builder", "worker")
            assert member.link is not None
            assert member.link.kind == "direct"
            assert member.link.bytes_sent > 0
            a.service.advertise("profile", b"a's words")
            await until(c.service, lambda: c.service.records("profile"))
            held = c.service.records("profile")[a.service.key]
            assert held.body == b"a's words"
            assert abs(held.received - c.service.view().at) < 60
        kept = {path.name for path in (tmp_path / "b").iterdir()}
        assert "cluster.key" not in kept
        assert any(name.startswith("cluster-") for name in kept)
        assert any(name.startswith("mesh-") for name in kept)

    run(work())


def test_where_a_node_joined_is_kept_as_it_is_advertised(tmp_path: Path) -> None:
    """However it was typed, and also where an older version kept it so; or else the node would dial
    a peer that it is linked to."""

    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b") as (a, b):
            typed = a.address.removeprefix("http://")
            invited = await a.service.invite()
            await b.service.join(typed, token=invited.token)
            seed = next(
                fact
                for fact in await b.service.cluster.facts_beside_log()
                if isinstance(fact, SeedFact)
            )
            assert seed.address == a.address
            store = await MeshStore.open(tmp_path / "b" / "mesh.db")
            await store.write([Persist(0, (SeedFact(typed),))])
            await store.close()
        async with node_at(tmp_path, "b") as b:
            assert list(b.service.cluster.machine.topology.seeds) == [a.address]

    run(work())


def test_a_member_that_joins_again_looks_for_it_where_it_was_told(tmp_path: Path) -> None:
    """Who came back at another address may not know where this one is, nor this one where he is."""

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            elsewhere = a.address.replace("127.0.0.1", "localhost")
            assert elsewhere not in b.service.cluster.machine.topology.seeds
            assert (await b.service.join(elsewhere)).already
            assert elsewhere in b.service.cluster.machine.topology.seeds
        async with node_at(tmp_path, "b") as b:
            assert list(b.service.cluster.machine.topology.seeds) == [elsewhere]

    run(work())


def test_an_invitation_names_other_members_too(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            shown = a.service.view
            await until(a.service, lambda: all(one.addresses for one in shown().members))
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == (a.address, b.address, c.address)
            a.service.set_addresses(("http://10.0.0.9:80",), ())
            token = Token.parse((await a.service.invite()).token)
            assert token.addresses == ("http://10.0.0.9:80",)  # the others are on this host only

    run(work())


def test_tokens_that_open_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    late_s = 0
    monkeypatch.setattr(opening, "now_ms", lambda: now_ms() + late_s * 1000)

    async def work() -> None:
        nonlocal late_s
        async with nodes_at(tmp_path, "a", "b", "c") as [a, b, c]:
            used = await a.service.invite()
            await b.service.join(a.address, token=used.token)
            error = await refused_join(c, a.address, used.token)
            assert isinstance(error, TokenError)
            assert "used already" in error.message

            error = await refused_join(c, a.address, used.token[:-2])
            assert isinstance(error, TokenError)
            error = await refused_join(c, a.address, "hello")
            assert isinstance(error, TokenError)

            short = await a.service.invite(valid_s=60)
            late_s = 61
            error = await refused_join(c, a.address, short.token)
            assert isinstance(error, TokenError)
            assert "expired" in error.message

        async with nodes_at(tmp_path, "d", "e", "c") as [d, e, c]:
            invited = await d.service.invite()
            error = await refused_join(c, e.address, invited.token)
            assert isinstance(error, TokenError)
            assert "another cluster" in error.message
            reasons = {one.reason for one in e.service.view().counters}
            assert "join refused: wrong cluster" in reasons

    run(work())


@pytest.mark.parametrize("insists_on", [None, Role.OBSERVER, Role.WORKER])
def test_who_is_invited_as_an_observer_is_one(tmp_path: Path, insists_on: Role | None) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b") as [a, b]:
            b.service._settings = replace(b.service._settings, role=insists_on)
            token = (await a.service.invite(role=Role.OBSERVER)).token
            if insists_on is Role.WORKER:
                error = await refused_join(b, a.address, token)
                assert isinstance(error, TokenError)
                assert error.message.startswith("the token admits an observer only")
            else:
                await b.service.join(a.address, token=token)
                me = b.service.view().member(b.service.view().me)
                assert me is not None
                assert me.role == "observer"

    run(work())


def test_addresses_that_lead_nowhere(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a") as [a]:
            error = await refused_join(a, "127.0.0.1:1", None)
            assert isinstance(error, UnreachableError)
            assert isinstance(await refused_join(a, "no address", None), UsageError)
            error = await refused_join(a, a.address, None)
            assert isinstance(error, JoinError)
            assert "this node itself" in error.message

    run(work())


def test_who_is_a_member_already(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            cluster_at(tmp_path, "a", "b") as [a, b],
            nodes_at(tmp_path, "other") as [other],
        ):
            invited = await a.service.invite()
            assert (await b.service.join(a.address, token=invited.token)).already
            assert (await b.service.join(a.address)).already
            elsewhere = await other.service.invite()
            error = await refused_join(b, other.address, elsewhere.token)
            assert isinstance(error, MembershipError)
            assert "node leave" in str(error.hint)
            assert isinstance(await refused_join(b, other.address, None), MembershipError)

    run(work())


def test_two_joins_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with nodes_at(tmp_path, "a", "b", "c") as nodes:
            a, b, c = nodes
            invited = await a.service.invite(uses=2)
            async with asyncio.TaskGroup() as group:
                for node in (b, c):
                    group.create_task(node.service.join(a.address, token=invited.token))
            await all_see_all(nodes)
        async with nodes_at(tmp_path, "d", "e") as [d, e]:
            invited = await d.service.invite(uses=2)
            first = asyncio.ensure_future(e.service.join(d.address, token=invited.token))
            await asyncio.sleep(0)
            with pytest.raises(MembershipError, match="right now"):
                await e.service.join(d.address, token=invited.token)
            assert not (await first).already

    run(work())


@pytest.mark.parametrize("ahead_s", [3700, -3700])
def test_a_clock_that_is_an_hour_off_keeps_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead_s: int
) -> None:
    def wrong() -> int:
        return now_ms() + ahead_s * 1000

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            invited = await a.service.invite()
            monkeypatch.setattr(opening, "now_ms", wrong)
            async with nodes_at(tmp_path, "c") as [c]:
                await c.service.join(b.address, token=invited.token)
                await all_see_all([a, b, c])

    run(work())


def test_who_joins_learns_where_everybody_is(tmp_path: Path) -> None:
    """So the one it asked may be gone the next moment."""

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            invitation = await a.service.invite()
            applicant = Applicant(
                NodeKey.generate(),
                1,
                "c",
                Role.WORKER,
                b.service.cluster.local.clock.now,
                Token.parse(invitation.token),
            )
            admission = await applicant.join(await dial(b.address))
            owners = {record.owner for record in admission.addresses}
            assert owners == {a.service.key, b.service.key}

    run(work())
