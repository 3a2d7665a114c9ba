"""From whom blobs are fetched that several members have."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from buildnet.mesh.digest import Digest
from buildnet.mesh.errors import BuildNetError
from buildnet.mesh.events import LinkDown, Received
from buildnet.mesh.members.genesis import Rights
from buildnet.mesh.messages.kinds import Message
from buildnet.node.nearest_holder import NearestHolder
from buildnet.pool.messages.holders import HoldersAnswer, HoldersAsk
from buildnet.pool.messages.results import WireDigest
from buildnet.pool.nearest import assign, worth_asking

DRIVER, NEAR, FAR = b"d" * 32, b"n" * 32, b"f" * 32
SMALL, *LARGE = (Digest(f"{number:064x}", size) for number, size in enumerate((9, *[1 << 20] * 4)))


def test_only_those_who_are_about_as_near_are_asked() -> None:
    latency = {DRIVER: 10.0, NEAR: 0.5, FAR: 80.0, b"x": 15.0}
    assert worth_asking(latency, DRIVER, 8) == (NEAR, b"x")
    assert worth_asking(latency, DRIVER, 1) == (NEAR,)
    assert worth_asking(latency, NEAR, 8) == ()
    assert worth_asking({NEAR: 0.5, FAR: 80.0}, DRIVER, 8) == (NEAR, FAR)


def test_a_blob_comes_from_the_nearest_and_of_those_alike_in_turn() -> None:
    holders = {blob: [NEAR] for blob in LARGE[:2]}
    parts = assign([SMALL, *LARGE], holders, DRIVER, {DRIVER: 40.0, NEAR: 0.5})
    assert parts[NEAR] == LARGE[:2]
    assert set(parts[DRIVER]) == {SMALL, *LARGE[2:]}
    everywhere = {blob: [NEAR, FAR] for blob in LARGE}
    alike = assign(LARGE, everywhere, DRIVER, {DRIVER: 0.5, NEAR: 0.6, FAR: 90.0})
    assert {host: len(blobs) for host, blobs in alike.items()} == {DRIVER: 2, NEAR: 2}


@dataclass
class World:
    """One node that fetches, and members that have blobs; who is in ``silent`` answers nothing,
    who is in ``liars`` sends nothing that it says to have."""

    has: dict[bytes, set[Digest]]
    latency: dict[bytes, float] = field(
        default_factory=lambda: {DRIVER: 40.0, NEAR: 0.5, FAR: 90.0}
    )
    silent: set[bytes] = field(default_factory=set)
    liars: set[bytes] = field(default_factory=set)
    fetched: dict[bytes, list[Digest]] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)
    here: set[Digest] = field(default_factory=set)

    async def fetch(self, blobs: Iterable[Digest], peer: bytes) -> None:
        if peer in self.liars:
            raise BuildNetError("it does not send them")
        wanted = list(blobs)
        assert set(wanted) <= self.has[peer]
        self.fetched.setdefault(peer, []).extend(wanted)
        self.here.update(wanted)

    def missing(self, blobs: Iterable[Digest]) -> list[Digest]:
        return [blob for blob in blobs if blob not in self.here]

    def run(self, blobs: Iterable[Digest]) -> None:
        async def work() -> None:
            store: Any = SimpleNamespace(missing=self.missing)
            nearest = NearestHolder(store, self.fetch, lambda: self.latency)

            def say(to: bytes, message: Message) -> None:
                self.asked.append(to)
                assert isinstance(message, HoldersAsk)
                asked = HoldersAsk.decode(message.encode())
                if to in self.silent:
                    nearest.take(LinkDown(to))
                    return
                has = [n for n, each in enumerate(asked.blobs) if each.digest in self.has[to]]
                nearest.take(Received(to, HoldersAnswer(asked.request, tuple(has))))

            local = SimpleNamespace(
                links=dict.fromkeys((DRIVER, NEAR, FAR)),
                alive=lambda peer: True,
                members=SimpleNamespace(is_member=lambda peer: True),
            )
            cluster: Any = SimpleNamespace(local=local, say=say)
            async with nearest.guest(cluster):
                await nearest.fetch_all(blobs, DRIVER)

        asyncio.run(work())


ALL = {SMALL, *LARGE}


def test_many_bytes_come_from_the_nearest_who_has_them() -> None:
    world = World({DRIVER: ALL, NEAR: set(LARGE[1:]), FAR: ALL})
    world.run([SMALL, *LARGE])
    assert world.asked == [NEAR]
    assert set(world.fetched[NEAR]) == set(LARGE[1:])
    assert set(world.fetched[DRIVER]) == {SMALL, LARGE[0]}


def test_few_bytes_are_fetched_at_once() -> None:
    world = World({DRIVER: ALL})
    world.run([SMALL])
    assert (world.asked, world.fetched) == ([], {DRIVER: [SMALL]})


@pytest.mark.parametrize("who", ["silent", "liars"])
def test_what_a_near_one_does_not_send_comes_from_who_asked(who: str) -> None:
    world = World({DRIVER: ALL, NEAR: ALL})
    getattr(world, who).add(NEAR)
    world.run(LARGE)
    assert set(world.fetched[DRIVER]) == set(LARGE)


@pytest.mark.parametrize(("rights", "answers"), [(Rights.BUILDER, 1), (Rights.OBSERVER, 0)])
def test_members_who_may_build_are_told_what_is_here(
    tmp_path: Path, rights: Rights, answers: int
) -> None:
    said: list[tuple[bytes, Message]] = []

    async def work() -> None:
        store: Any = SimpleNamespace(missing=lambda blobs: [LARGE[0]])

        async def fetch(blobs: Iterable[Digest], peer: bytes) -> None: ...

        nearest = NearestHolder(store, fetch, dict)
        tasks: list[asyncio.Future[None]] = []

        def spawn(work: Callable[[], Coroutine[None, None, None]]) -> None:
            tasks.append(asyncio.ensure_future(work()))

        members = SimpleNamespace(
            is_member=lambda key: True, members={NEAR: SimpleNamespace(rights=rights)}
        )
        cluster: Any = SimpleNamespace(
            local=SimpleNamespace(members=members),
            say=lambda to, message: said.append((to, message)),
            spawn=spawn,
        )
        async with nearest.guest(cluster):
            ask = HoldersAsk(b"r" * 16, tuple(map(WireDigest.of, LARGE)))
            nearest.take(Received(NEAR, ask))
            await asyncio.gather(*tasks)

    asyncio.run(work())
    assert said == [(NEAR, HoldersAnswer(b"r" * 16, (1, 2, 3)))] * answers
