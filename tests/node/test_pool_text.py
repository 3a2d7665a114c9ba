"""The pool's view as text: made seldom, ahead of when it is due, in slices, and at once where
something changed here."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Coroutine, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.node.api import pool_text
from buildnet.node.api.pool_text import PoolTexts


def service(nodes: int = 1) -> Any:
    """Return a node whose pool's view counts how often it was made."""
    made = SimpleNamespace(count=0, pieces=0)

    async def status_text() -> Iterator[bytes]:
        made.count += 1
        await asyncio.sleep(0)
        return pieces(made.count)

    def pieces(count: int) -> Iterator[bytes]:
        yield b'{"made":%d,"nodes":["' % count
        for _ in range(nodes):
            made.pieces += 1
            yield b"x" * 100
        yield b'"]}'

    spawned: list[Callable[[], Coroutine[None, None, None]]] = []
    local = SimpleNamespace(members=SimpleNamespace(version=1), office=None, links={})
    workers = SimpleNamespace(running=0, slots=2, slots_in_use=0)
    return SimpleNamespace(
        made=made,
        spawned=spawned,
        pool=SimpleNamespace(status_text=status_text),
        mesh=SimpleNamespace(cluster=SimpleNamespace(local=local, spawn=spawned.append)),
        builder=SimpleNamespace(workers=workers, running=lambda: []),
        in_force=SimpleNamespace(terms=None),
        config=SimpleNamespace(node_tags=()),
        resources=None,
        scan_problem=None,
    )


def test_however_many_ask_it_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_text, "KEPT_S", 3600.0)

    async def run() -> None:
        node = service()
        texts = PoolTexts(cast(Any, node))
        found = await asyncio.gather(*(texts.now() for _ in range(9)))
        assert {each.plain for each in found} == {found[0].plain}
        assert json.loads(found[0].plain)["made"] == 1
        node.builder.workers.running = 1
        assert json.loads((await texts.now()).plain)["made"] == 2
        monkeypatch.setattr(pool_text, "KEPT_S", 0.0)
        assert json.loads((await texts.now()).plain)["made"] == 3

    asyncio.run(run())


def test_it_is_made_anew_ahead_of_time_while_the_kept_one_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_text, "KEPT_S", 3600.0)

    async def run() -> None:
        node = service()
        texts = PoolTexts(cast(Any, node))
        first = await texts.now()
        assert not node.spawned
        monkeypatch.setattr(pool_text, "_AHEAD", 0.0)
        assert [await texts.now() for _ in range(3)] == [first] * 3
        assert len(node.spawned) == 1  # once, however many ask
        making = asyncio.ensure_future(node.spawned[0]())
        await asyncio.sleep(0)
        assert await texts.now() is first
        await making
        assert json.loads((await texts.now()).plain)["made"] == 2

    asyncio.run(run())


def test_who_waits_takes_one_that_was_begun_since_even_if_it_is_too_old_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_text, "KEPT_S", 0.0)

    async def run() -> None:
        node = service()
        texts = PoolTexts(cast(Any, node))
        await asyncio.gather(*(texts.now() for _ in range(9)))
        assert node.made.count <= 2  # the one that was under way is not of since they asked

    asyncio.run(run())


def test_others_get_on_while_a_long_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_text, "_SLICE_S", 0.0)

    async def run() -> None:
        node = service(nodes=100)
        making = asyncio.ensure_future(PoolTexts(cast(Any, node)).now())
        seen = set()
        while not making.done():
            seen.add(node.made.pieces)
            await asyncio.sleep(0)
        assert len(seen) > 50

    asyncio.run(run())


def test_a_long_one_is_compressed_and_each_has_a_tag_of_its_own() -> None:
    async def run() -> None:
        short = await PoolTexts(cast(Any, service())).now()
        assert short.packed is None
        long = await PoolTexts(cast(Any, service(nodes=1000))).now()
        assert long.packed is not None
        assert gzip.decompress(long.packed) == long.plain
        assert len({short.plain_tag, long.plain_tag, long.packed_tag}) == 3

    asyncio.run(run())
