"""A node that leaves where it can't write, or is broken off meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.mesh.bounded import run
from tests.mesh.mesh_nodes import coordinates, node_at, until

from buildnet.mesh.events import Fact, Persist
from buildnet.mesh.link import copied_key
from buildnet.mesh.service import service as service_module
from buildnet.mesh.service.service import MeshService
from buildnet.mesh.service.store import MeshStateError, MeshStore
from buildnet.mesh.service.testing import Node
from buildnet.mesh.topology import dial_schedule


async def join(node: Node, at: Node) -> None:
    await until(at.service, coordinates(at))
    token = (await at.service.invite()).token
    await node.service.join(at.address, token=token)
    await until(node.service, lambda: coordinates(node)() and linked(node))


def linked(node: Node) -> bool:
    return any(member.linked for member in node.service.view().members)


def names(node: Node) -> set[str]:
    return {member.name for member in node.service.view().members}


def fill(volume: Path) -> Path:
    filler = volume / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return filler


def test_a_node_that_can_not_write_leaves_nobody(tmp_path: Path, small_volume: Path) -> None:
    async def work() -> None:
        async with node_at(tmp_path, "a") as a, node_at(small_volume, "b") as b:
            await join(b, a)
            cluster_id = b.service.view().cluster_id
            filler = fill(small_volume)
            with pytest.raises(MeshStateError):
                await b.service.leave()
            assert b.service.view().cluster_id == cluster_id
            assert names(a) == names(b) == {"a", "b"}
            filler.unlink()
            await b.service.leave()
            assert names(b) == {"b"}
            await until(a.service, lambda: names(a) == {"a"})
        async with node_at(small_volume, "b") as b:
            assert names(b) == {"b"}

    run(work())


def test_a_disk_that_fills_while_a_node_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    opened = MeshStore.open

    async def refused(path: Path) -> MeshStore:
        if full and path == tmp_path / "b" / "mesh.db":
            raise MeshStateError("full")
        return await opened(path)

    async def work() -> None:
        nonlocal full
        monkeypatch.setattr(service_module, "REOPEN_S", 0.1, raising=False)
        async with node_at(tmp_path, "a") as a, node_at(tmp_path, "b") as b:
            await join(b, a)
            old = b.service.view().cluster_id
            monkeypatch.setattr(MeshStore, "open", refused)
            with pytest.raises(MeshStateError, match="left"):
                await b.service.leave()
            await until(a.service, lambda: names(a) == {"a"})
            assert b.service.view().not_opened == "full"
            full = False
            await until(b.service, lambda: b.service.view().cluster_id != old)
            assert names(b) == {"b"}
            assert b.service.view().not_opened is None
            await until(b.service, coordinates(b))

    run(work())


def test_a_node_that_stops_while_it_can_not_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(path: Path) -> MeshStore:
        raise MeshStateError("full")

    async def work() -> None:
        async with node_at(tmp_path, "a") as a:
            async with node_at(tmp_path, "b") as b:
                await join(b, a)
                with monkeypatch.context() as patched:
                    unpatched = MeshStore.open

                    async def late(path: Path) -> MeshStore:
                        return await (refused if path.name == "mesh.db" else unpatched)(path)

                    patched.setattr(MeshStore, "open", late)
                    with pytest.raises(MeshStateError):
                        await b.service.leave()
            async with node_at(tmp_path, "b") as b:
                assert names(b) == {"b"}

    run(work())


def test_a_leave_that_was_broken_off_is_finished_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(self: MeshService, plan: object) -> None:
        raise KeyError("killed")

    async def work() -> None:
        async with node_at(tmp_path, "a") as a:
            port = int(a.address.rpartition(":")[2])
            async with node_at(tmp_path, "b") as b:
                await join(b, a)
                key_files = {path.name for path in (tmp_path / "b").glob("cluster*.key")}
                with monkeypatch.context() as patched:
                    patched.setattr(MeshService, "_change_clusters", killed)
                    before = await facts(tmp_path / "b" / "mesh.db")
                    with pytest.raises(KeyError):
                        await b.service.leave()
                await until(a.service, lambda: names(a) == {"a"})
            await put_back(tmp_path / "b" / "mesh.db", before)  # it died before it wrote more
        async with node_at(tmp_path, "a", port):
            async with node_at(tmp_path, "b") as b:
                await until(b.service, lambda: names(b) == {"b"})
                await until(b.service, coordinates(b))
            assert {path.name for path in (tmp_path / "b").glob("cluster*.key")} >= key_files

    run(work())


async def facts(path: Path) -> tuple[Fact, ...]:
    store = await MeshStore.open(path)
    try:
        return await store.load()
    finally:
        await store.close()


async def put_back(path: Path, kept: tuple[Fact, ...]) -> None:
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()
    store = await MeshStore.open(path)
    try:
        await store.write([Persist(0, kept)])
    finally:
        await store.close()


def test_the_original_comes_back_once_a_copy_of_it_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work() -> None:
        monkeypatch.setattr(dial_schedule, "LONGEST_BACKOFF_S", 0.5)
        monkeypatch.setattr(copied_key, "COPY_PAUSE_S", 1.0)
        monkeypatch.setattr(copied_key, "GONE_PAUSE_S", 0.5, raising=False)
        monkeypatch.setattr(copied_key, "GONE_S", 0.3, raising=False)
        async with (
            node_at(tmp_path, "a") as a,
            node_at(tmp_path, "b") as b,
            node_at(tmp_path, "c") as c,
        ):
            await join(b, a)
            await join(c, a)
            await until(b.service, lambda: len(names(b)) == 3)
            copied = copy(tmp_path / "c", tmp_path / "copy")
            async with node_at(copied, "c") as other:
                await until(other.service, lambda: links(other) == 2)
                await until(c.service, lambda: not links(c))
                for _ in range(30):  # it tries some times
                    await asyncio.sleep(0.1)
                    assert not links(c)
                assert links(other) == 2
            await until(c.service, lambda: links(c) == 2)
            assert links(a) == links(b) == 2

    run(work())


def links(node: Node) -> int:
    return sum(member.linked for member in node.service.view().members)


def copy(directory: Path, into: Path) -> Path:
    (into / directory.name).mkdir(parents=True)
    for path in directory.iterdir():
        (into / directory.name / path.name).write_bytes(path.read_bytes())
    return into
