"""What is kept for all, as a ledger's store has it: in order, and whatever others have written."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.ledger.entries import ANN, BOB
from tests.ledger.store_making import Scene, fact, using

from buildnet.ledger.service.cluster_ledger import ClusterLedger
from buildnet.ledger.service.errors import FactRefusedError
from buildnet.ledger.service.shared_facts import Changed
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.errors import NotFoundError
from buildnet.node.saved import CONFIGURATIONS, TEMPLATES_KEPT, Kept, Kind, SavedDocuments
from buildnet.pool.configuration import BuildConfiguration
from buildnet.pool.strict_model import InvalidDocumentError


def saved(store: LedgerStore, kind: Kind[Kept], rights: str = "admin") -> SavedDocuments[Kept]:
    async def ledger() -> ClusterLedger:
        return cast(ClusterLedger, SimpleNamespace(store=store))

    return SavedDocuments(kind, ledger, lambda: rights)


def config(name: str, value: dict[str, Any] | None, expects: int = 0, what: str = "") -> Any:
    what = what or ("modified" if expects else "created")
    return {
        **{"type": f"config.{what}", "entity": f"config:{name}"},
        **{"data": fact(value, expects)},
    }


def test_it_is_listed_in_order_with_what_the_ledger_says(tmp_path: Path) -> None:
    scene = Scene()
    made = scene.add(ANN, **config("b", {"resources": {"cpu": {"cores": 2}}, "name": "B"}))
    scene.add(ANN, **config("a", {}))
    scene.add(ANN, **config("gone", {}))
    scene.add(ANN, **config("gone", None, 1, "deleted"))
    changed = scene.add(BOB, **config("b", {"name": "B2", "description": "x"}, 1))
    scene.add(BOB, **config("b", {"name": "late"}, 1))  # a rival that was sealed later

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal((ANN, BOB)))
        configurations = saved(store, CONFIGURATIONS)
        assert [one.id for one in await configurations.all()] == ["a", "b"]
        one = await configurations.one("b")
        assert list(one.view())[:3] == ["id", "name", "description"]
        assert (one.version, one.height, one.entry) == (2, 1, changed.id)
        assert one.created_ms == made.body.hlc >> 16
        assert one.changed_ms == changed.body.hlc >> 16
        assert (one.created_by, one.changed_by) == (made.body.actor.id, changed.body.actor.id)
        found, version = await configurations.read("b")
        assert (found.id, found.name, version) == ("b", "B2", 2)
        for name in ("gone", "nobody"):
            with pytest.raises(NotFoundError):
                await configurations.one(name)

    using(tmp_path / "l.db", work)


def test_what_can_not_be_read_is_shown_and_breaks_nothing(tmp_path: Path) -> None:
    scene = Scene()
    scene.add(ANN, **config("new", {"resources": 7, "version": 99, "id": "x", "future": True}))
    scene.add(ANN, **config("good", {}))
    value = {"config": {"id": "x"}}
    scene.add(ANN, type="template.created", entity="template:ci", data=fact(value))

    async def work(store: LedgerStore) -> None:
        await store.keep(scene.keep())
        await store.keep(scene.seal())
        configurations = saved(store, CONFIGURATIONS)
        good, new = await configurations.all()
        assert good.problem is None
        view = new.view()
        assert (view["id"], view["version"], "resources" in view) == ("new", 1, False)
        assert view["unreadable"]["future"] is True
        assert "unknown key 'future'" in view["problem"]
        with pytest.raises(InvalidDocumentError):
            await configurations.read("new")
        # Nobody puts another one in place of what is built in.
        templates = saved(store, TEMPLATES_KEPT)
        assert [one.id for one in await templates.all()].count("ci") == 1
        assert (await templates.one("ci")).view()["system"]

    using(tmp_path / "l.db", work)


@pytest.mark.parametrize("rights", ["builder", "observer", "none"])
def test_who_is_no_admin_is_refused_before_anything_is_looked_up(rights: str) -> None:
    nothing = cast(LedgerStore, None)
    configurations = saved(nothing, CONFIGURATIONS, rights)
    document = BuildConfiguration(id="a")
    for change in (
        configurations.create(document, actor="ann"),
        configurations.replace("a", document, expects=1, actor="ann"),
        configurations.delete("a", actor="ann"),
    ):
        with pytest.raises(FactRefusedError):
            asyncio.run(change)


def test_who_changes_something_sees_it_at_once_where_he_asked(tmp_path: Path) -> None:
    """The coordinator's answer may be here before the seal is."""
    scene = Scene()
    scene.add(ANN, **config("a", {"name": "A"}))
    entries, seal = scene.keep(), scene.seal()

    async def work(store: LedgerStore) -> None:
        async def change(entity: str, **said: Any) -> Changed:
            asyncio.get_running_loop().call_soon(arriving.append, asyncio.create_task(arrive()))
            return Changed(entity, said["expects"] + 1, b"")

        async def arrive() -> None:
            await asyncio.sleep(0)
            await store.keep(entries)
            await store.keep(seal)

        arriving: list[asyncio.Task[None]] = []
        facts = SimpleNamespace(change=change)

        async def ledger() -> ClusterLedger:
            return cast(ClusterLedger, SimpleNamespace(store=store, facts=facts))

        configurations = SavedDocuments(CONFIGURATIONS, ledger, lambda: "admin")
        made = await configurations.create(BuildConfiguration(id="a", name="A"), actor="ann")
        assert (made.version, made.document) == (1, {"name": "A"})
        await asyncio.gather(*arriving)

    using(tmp_path / "l.db", work)
