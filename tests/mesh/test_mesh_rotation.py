"""Members change their keys over loopback: whatever breaks it off, one key counts in the end."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import all_see_all, cluster_at, coordinates, node_at, nodes_at, until

from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.identity import NodeKey, load_or_create, save
from buildnet.mesh.members.changes import rotate
from buildnet.mesh.service.cluster import ChangeTimeoutError, Cluster
from buildnet.mesh.service.opening import settle_rotation, upcoming_key_path


def test_a_rotated_key_goes_on(tmp_path: Path) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            path = tmp_path / "b" / "node.key"
            old = b.service.key
            new = await b.service.rotate_key(path)
            assert load_or_create(path) == new
            assert b.service.key == new.public_key != old
            await all_see_all([a, b])
            [former] = a.service.view().former
            assert (former.key, former.ending) == (old, "rotated")
            assert former.successor == b.service.view().node_id

    run(work())


@pytest.mark.parametrize("names", ["a", "ab"])
def test_the_only_voter_rotates_its_key_and_the_list_goes_on(tmp_path: Path, names: str) -> None:
    async def work() -> None:
        async with cluster_at(tmp_path, *names) as nodes:
            a = nodes[0]
            assert a.service.view().voters == 1
            await a.service.rotate_key(tmp_path / "a" / "node.key")
            await all_see_all(nodes)
            await a.service.invite()

    run(work())


def test_a_rotation_that_a_crash_broke_off_is_finished_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def crash(*_: object) -> None:
        raise OSError("the power went")

    async def work() -> None:
        path = tmp_path / "b" / "node.key"
        async with cluster_at(tmp_path, "a", "b") as [a, b]:
            old, port = load_or_create(path), int(a.address.rpartition(":")[2])
            with monkeypatch.context() as context:
                context.setattr(Cluster, "write_identity", crash)
                with pytest.raises(BuildNetError, match="can't be moved"):
                    await b.service.rotate_key(path)
            assert load_or_create(path) == old
        await settle_rotation(path, path.parent)
        new = load_or_create(path)
        assert new != old
        await settle_rotation(path, path.parent)  # once more changes nothing
        assert load_or_create(path) == new
        async with node_at(tmp_path, "a", port) as a, node_at(tmp_path, "b") as b:
            assert b.service.key == new.public_key
            await all_see_all([a, b])

    run(work())


def test_a_rotation_that_only_the_others_know_of_is_finished(tmp_path: Path) -> None:
    """It became final after the node had died."""

    async def work() -> None:
        path = tmp_path / "b" / "node.key"
        async with node_at(tmp_path, "a") as a:
            async with node_at(tmp_path, "b") as b:
                await until(a.service, coordinates(a))
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
                old, new = load_or_create(path), NodeKey.generate()
                save(upcoming_key_path(path), new)
                what = rotate(b.service.view().cluster_id, old.public_key, new)
                change = b.service.cluster.sign(what, old)
            await a.service.cluster.propose(change)
            await settle_rotation(path, path.parent)
            assert load_or_create(path) == old
            async with node_at(tmp_path, "b") as b:
                told: list[NodeKey] = []
                b.service.on_new_key = told.append
                await until(b.service, lambda: b.service.key == new.public_key)
                await all_see_all([a, b])
                assert told == [new]
            assert load_or_create(path) == new
            assert not upcoming_key_path(path).exists()

    run(work())


def test_who_was_away_while_the_only_other_one_rotated_its_key_comes_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with node_at(tmp_path, "a") as a:
            async with node_at(tmp_path, "b") as b:
                await until(a.service, coordinates(a))
                invited = await a.service.invite()
                await b.service.join(a.address, token=invited.token)
                await all_see_all([a, b])
            await a.service.rotate_key(tmp_path / "a" / "node.key")
            async with node_at(tmp_path, "b") as b:
                await all_see_all([a, b])
                assert [one.ending for one in b.service.view().former] == ["rotated"]

    run(work())


def test_a_rotation_whose_outcome_is_not_known_keeps_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def pending(*_: object) -> None:
        raise ChangeTimeoutError("not known")

    async def work() -> None:
        path = tmp_path / "a" / "node.key"
        async with nodes_at(tmp_path, "a") as [a]:
            with monkeypatch.context() as context:
                context.setattr(Cluster, "change", pending)
                with pytest.raises(ChangeTimeoutError):
                    await a.service.rotate_key(path)
            upcoming = load_or_create(upcoming_key_path(path))
            assert await a.service.rotate_key(path) == upcoming

    run(work())


def test_a_rotation_that_was_never_confirmed_changes_nothing_at_the_next_start(
    tmp_path: Path,
) -> None:
    async def work() -> None:
        path = tmp_path / "a" / "node.key"
        async with node_at(tmp_path, "a"):
            old = load_or_create(path)
        save(upcoming_key_path(path), NodeKey.generate())
        await settle_rotation(path, path.parent)
        assert load_or_create(path) == old

    run(work())
