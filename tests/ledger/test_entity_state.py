"""The state of an entity at a seal is what the derived tables held once that seal was final."""

from __future__ import annotations

from pathlib import Path

from tests.ledger.entries import ANN
from tests.ledger.store_making import Scene, using
from tests.mesh.member_changes import BEN, CARA, DAN, FOUNDER, admit, put, said, team

from buildnet.ledger.draft import EntryDraft
from buildnet.ledger.events import Keep
from buildnet.ledger.member_entries import founding_draft, member_draft
from buildnet.ledger.store.store import LedgerStore
from buildnet.mesh.members.changes import ChangeBody, Recover, Remove, Rename, Rotate, SetRights

TEAM = team()
NODES = [f"node:{who.public_key.hex()[:16]}" for who in (FOUNDER, BEN, CARA, DAN)]
CHANGES: tuple[ChangeBody, ...] = (
    admit(CARA),
    SetRights(FOUNDER.public_key, "builder"),
    Rename(FOUNDER.public_key, "elm"),
    Rotate(DAN.public_key, bytes(64)),
    Recover(1, TEAM.head, BEN.public_key, (BEN.public_key,)),
    Remove(BEN.public_key),
)


def drafts() -> list[EntryDraft]:
    """How the cluster began, the founder's own words, and each kind of change of a node."""
    found = [
        founding_draft(TEAM.genesis),
        EntryDraft("node.joined", founding_draft(TEAM.genesis).actor, entity=NODES[0]),
    ]
    for what in CHANGES:
        who = BEN if isinstance(what, Rotate) else CARA
        found.append(member_draft(put(TEAM, said(TEAM, who, what)), TEAM))
    return found


def add(scene: Scene, draft: EntryDraft) -> list[Keep]:
    scene.add(
        FOUNDER if draft.type.startswith("node.") else ANN,
        cluster=TEAM.cluster_id,
        type=draft.type,
        actor=draft.actor,
        entity=draft.entity,
        data=dict(draft.data),
    )
    return [scene.keep(), scene.seal()]


async def rows(store: LedgerStore, entity: str, height: int | None = None) -> object:
    return (await store.state(entity, height=height)).rows.get("nodes", ())


async def table(store: LedgerStore, entity: str) -> object:
    return tuple(row for row in await store.table("nodes") if f"node:{row['id']}" == entity)


def test_the_state_of_a_node_is_its_row_at_each_seal_and_after_pruning(tmp_path: Path) -> None:
    scene = Scene()

    async def work(store: LedgerStore) -> None:
        shown: dict[tuple[str, int], object] = {}
        for height, draft in enumerate(drafts(), 1):
            for what in add(scene, draft):
                await store.keep(what)
            for entity in NODES:
                shown[entity, height] = await table(store, entity)
                assert await rows(store, entity) == shown[entity, height], draft.type
        assert len({str(one) for (entity, _), one in shown.items() if entity == NODES[0]}) >= 3
        for (entity, height), expected in shown.items():
            assert await rows(store, entity, height) == expected
        await store.prune(len(scene.seals) - 1)
        for entity in NODES:
            assert await rows(store, entity) == await table(store, entity)

    using(tmp_path / "l.db", work)
