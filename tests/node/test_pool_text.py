"""The pool's view as text: made seldom, and at once where something changed here."""

from __future__ import annotations

import asyncio
import gzip
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from buildnet.node.api import pool_text
from buildnet.node.api.pool_text import PoolTexts


def service(nodes: int = 1) -> Any:
    """Return a node whose pool's view counts how often it was made."""
    made = SimpleNamespace(count=0)

    async def status() -> dict[str, Any]:
        made.count += 1
        await asyncio.sleep(0)
        return {"made": made.count, "nodes": ["x" * 100] * nodes}

    local = SimpleNamespace(members=SimpleNamespace(version=1), office=None, links={})
    workers = SimpleNamespace(running=0, slots=2, slots_in_use=0)
    return SimpleNamespace(
        pool=SimpleNamespace(status=status),
        mesh=SimpleNamespace(cluster=SimpleNamespace(local=local)),
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


def test_a_long_one_is_compressed_and_each_has_a_tag_of_its_own() -> None:
    async def run() -> None:
        short = await PoolTexts(cast(Any, service())).now()
        assert short.packed is None
        long = await PoolTexts(cast(Any, service(nodes=1000))).now()
        assert long.packed is not None
        assert gzip.decompress(long.packed) == long.plain
        assert len({short.plain_tag, long.plain_tag, long.packed_tag}) == 3

    asyncio.run(run())
