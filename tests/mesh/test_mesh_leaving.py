"""Members leave a cluster over loopback or are revoked, and what is kept without a majority."""

from __future__ import annotations

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
    refused_join,
    sees,
    until,
)

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.members.changes import ChangeBody
from buildnet.mesh.members.member_list import Refused, Rights
from buildnet.mesh.service.cluster import ChangeTimeoutError, Cluster
from buildnet.mesh.service.joining import JoinError
from buildnet.mesh.service.service import MembershipError


def test_leave_and_join_again(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            old = a.service.view().cluster_id
            await c.service.leave()
            alone = c.service.view()
            assert alone.cluster_id != old
            assert len(alone.members) == 1
            for node in (a, b):
                await until(node.service, sees(node, [a, b]))
            await until(c.service, coordinates(c))
            with pytest.raises(MembershipError, match="alone"):
                await c.service.leave()
            invited = await a.service.invite()
            assert not (await c.service.join(a.address, token=invited.token)).already
            await all_see_all([a, b, c])

    run(work())


def test_a_refused_leave_keeps_the_office(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await all_see_all([a, b, c])
            await until(a.service, coordinates(a))
            before = a.service.view().office
            with pytest.raises(BuildNetError, match="last admin"):
                await a.service.leave()
            after = a.service.view().office
            assert before is not None
            assert after is not None
            assert (after.coordinator, after.term) == (before.coordinator, before.term)

    run(work())


def test_a_leave_that_is_not_confirmed_leaves_the_node_willing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unconfirmed(_: Cluster, __: ChangeBody) -> None:
        raise ChangeTimeoutError("not confirmed")

    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await until(a.service, has_three_voters(a))
            await a.service.set_rights("b", Rights.ADMIN)
            await until(b.service, is_coordinated_by(b, a))
            with monkeypatch.context() as patched:
                patched.setattr(Cluster, "change", unconfirmed)
                with pytest.raises(ChangeTimeoutError):
                    await a.service.leave()
            await until(c.service, lambda: not is_coordinated_by(c, a)())
            await until(b.service, coordinates(b))
            await b.service.promote("a")
            await until(c.service, is_coordinated_by(c, a))

    run(work())


def test_leave_without_the_others(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [_, b]:
            cluster_id = b.service.view().cluster_id
        async with node_at(tmp_path, "b") as b:
            with pytest.raises(BuildNetError) as caught:
                await b.service.leave()
            assert caught.value.hint
            assert b.service.view().cluster_id == cluster_id
            await b.service.leave(force=True)
            assert b.service.view().cluster_id != cluster_id

    run(work())


def test_a_node_that_is_out_already_is_told_how_to_end_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, _]:
            port = int(a.address.rpartition(":")[2])
        async with node_at(tmp_path, "a") as a:
            await until(a.service, coordinates(a))
            await a.service.remove("b")
        async with node_at(tmp_path, "a", port), node_at(tmp_path, "b") as b:
            await until(b.service, lambda: b.service.view().turned_away == "removed")
            with pytest.raises(MembershipError, match="it was removed") as caught:
                await b.service.leave()
            assert "node leave --force" in str(caught.value.hint)
            await b.service.leave(force=True)
            assert b.service.view().turned_away is None

    run(work())


def test_a_revoked_member_is_cut_off(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, b, c]:
            await a.service.revoke("c", reason="stolen")
            for node in (a, b):
                await until(node.service, sees(node, [a, b]))
                told = node.service.view().former
                assert [(one.node_id, one.name, one.ending) for one in told] == [
                    (c.service.view().node_id, "c", "revoked")
                ]
            error = await refused_join(c, a.address, None)
            assert isinstance(error, JoinError)
            assert "revoked" in error.message

    run(work())


def test_nobody_revokes_itself(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, _]:
            with pytest.raises(Refused, match="own key"):
                await a.service.revoke("a")
            await a.service.invite()

    run(work())


def test_a_revocation_without_a_majority_counts_here_and_is_not_final(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b", "c") as [a, _, _]:
            await until(a.service, has_three_voters(a))
        async with node_at(tmp_path, "a") as a:
            await until(a.service, lambda: a.service.view().office)
            member, final = await a.service.revoke("c", reason="stolen")
            assert not final
            assert not a.service.cluster.local.members.is_member(member.key)

    run(work())
