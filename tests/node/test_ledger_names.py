"""Nodes, builds and shared things by what people call them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.ledger.entries import ANN
from tests.ledger.store_making import Scene, fact, using

from buildnet.ledger.query import Query, QueryError
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import NotFoundError, UsageError
from buildnet.mesh.service.view import FormerView
from buildnet.node.ledger_names import Filters, Known, Names, find_node, known_nodes
from buildnet.pool.testing import member_view, mesh_view

ANNA, BERT, BEN, OLD, GONE = (bytes([n]) * 32 for n in (0xA1, 0xB2, 0xB3, 0xB4, 0xA2))
VIEW = mesh_view(
    member_view(ANNA, "anna"),
    member_view(BERT, "berta"),
    member_view(BEN, "ben"),
    member_view(b"\xbe" * 32, "a2a2"),
    member_view(b"\xbd" * 32, "a"),
    me=ANNA,
    former=(
        FormerView(OLD, "b4" * 8, "berta", "worker", "builder", "rotated", "b2" * 8),
        FormerView(GONE, "a2" * 8, "gustav", "worker", "builder", "left", None),
    ),
)
NODES = known_nodes(VIEW, [b"\xcc" * 32])


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("berta", BERT),  # not the one that had her name before
        ("ber", BERT),
        ("gu", GONE),
        ("b4", OLD),
        ("B4B4B4B4", OLD),
        ("cccccccc", b"\xcc" * 32),
        (ANNA.hex(), ANNA),
        ("a", b"\xbd" * 32),  # though ids begin so
    ],
)
def test_a_node_is_found(text: str, key: bytes) -> None:
    assert cast(Known, find_node(text, NODES)).key == key.hex()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("be", "'be' may mean several: berta (b2b2b2b2b2b2b2b2), ben (b3b3b3b3b3b3b3b3), a2a2 ("),
        ("b", "'b' may mean several: "),
        ("a2a2", "'a2a2' may mean several: a2a2 (bebebebebebebebe), gustav (a2a2a2a2a2a2a2a2)"),
    ],
)
def test_what_fits_several_is_told_with_all_of_them(text: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        find_node(text, NODES)
    assert raised.value.message.startswith(said)


def test_an_id_that_nobody_knows_stays_and_a_name_does_not() -> None:
    assert find_node("ffffffff", NODES) is None
    with pytest.raises(NotFoundError) as raised:
        find_node("brta", NODES)
    assert raised.value.hint == "did you mean 'berta'?"


def test_queries_take_what_is_said_for_what_is_meant(tmp_path: Path) -> None:
    scene = Scene()
    for name in ("red", "rose"):
        scene.add(ANN, type="config.created", entity=f"config:{name}", data=fact({"name": name}))
    for build in ("aabb01", "aabb02", "cc"):
        scene.add(
            ANN,
            type="build.started",
            entity=f"build:{build}",
            data={"build": build, "packages": []},
        )

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep(), scene.seal())
        ledger = SimpleNamespace(store=store, core=SimpleNamespace(heads={}))
        names = Names(VIEW, cast(Any, ledger))
        builds = await store.read(lambda reader: reader.table("builds"))
        assert [one["id"] for one in builds] == ["aabb01", "aabb02", "cc"]
        for said, meant in (
            ("node:berta", f"node:{'b2' * 8}"),
            ("node:a1a1", f"node:{'a1' * 8}"),
            ("node:ffff", "node:ffff"),
            ("build:c", "build:cc"),
            ("build:dd", "build:dd"),
            ("config:re", "config:red"),
            ("config:red", "config:red"),
            ("config:none", "config:none"),
            ("whatever", "whatever"),
        ):
            assert await names.entity(said) == meant
        assert await names.noted("node:berta") == f"node:{'b2' * 8}"
        assert await names.noted("build:c") == "build:cc"
        assert await names.noted("config:re") == "config:re"
        with pytest.raises(NotFoundError):
            await names.noted("node:nobody")
        with pytest.raises(UsageError, match="may mean several: config:red, config:rose"):
            await names.entity("config:r")
        found = await names.query(Filters(Query(build="aabb02", entity="node:ben"), "berta"))
        assert (found.origin, found.build) == (BERT.hex(), "aabb02")
        assert found.entity == f"node:{'b3' * 8}"
        with pytest.raises(UsageError, match="may mean several: aabb01, aabb02"):
            await names.query(Filters(Query(build="aa")))
        with pytest.raises(QueryError):
            await names.query(Filters(origin="fff"))
        assert await names.query(Filters()) == Query()

    using(tmp_path / "l.db", work)
